"""Prediction: weights do not change."""
