"""What explanations of a whole corpus say, and what moved between two windows, as pages."""
