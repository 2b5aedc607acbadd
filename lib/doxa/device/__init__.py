"""Which device and which precision, and the reason."""
