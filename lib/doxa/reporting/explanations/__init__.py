"""Explained records to one page for people who decide. Never loads torch."""
