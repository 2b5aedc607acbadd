"""The table of kinds. A kind that is not here does not exist; one that is here works in every command."""

from doxa.model.kinds.kind import Kind

KINDS: dict[str, Kind] = {}
