"""How good predictions are, and whether others are better."""
