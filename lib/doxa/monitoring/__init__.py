"""Counting opinion over topics and time. Never loads torch."""
