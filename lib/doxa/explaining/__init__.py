"""Explanations: what in a text speaks for the label that a model gives it."""
