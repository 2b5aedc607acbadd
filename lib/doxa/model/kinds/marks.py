"""By which keys an entry of `prediction` is known to be of a kind."""

from doxa.model.kinds.table import KINDS


def kinds_by_mark() -> dict[str, str]:
    """Key to kind, in the order of the table: of several that an entry has the first tells, so a kind whose mark other kinds have, too,
    stands after them."""
    found: dict[str, str] = {}
    for name, kind in KINDS.items():
        for mark in kind.marks:
            found.setdefault(mark, name)
    return found
