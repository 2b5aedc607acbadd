"""Figures to terminal, markdown, html and json. Never loads torch."""
