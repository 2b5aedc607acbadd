"""Kinds of heads: what each reads, asks a stock network, and says."""
