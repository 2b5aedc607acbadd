"""Base models, heads, the model directory."""
