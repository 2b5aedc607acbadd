"""Readable rules: what they may say, and where a text obeys them. No torch."""
