"""Pure numbers: classification, intervals."""
