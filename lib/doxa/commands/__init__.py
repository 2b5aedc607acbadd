"""One file per command: flags on top, one domain call beneath."""
