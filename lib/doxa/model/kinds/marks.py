"""What the reader of columns has to know of kinds: by which keys an entry of `prediction` is one of theirs, by which field gold is checked."""

import functools

from doxa.model.kinds.table import KINDS


@functools.cache
def kinds_by_mark() -> dict[str, str]:
    """Key to kind, in the order of the table: of several that an entry has the first tells, so a kind whose mark other kinds have, too,
    stands after them."""
    found: dict[str, str] = {}
    for name, kind in KINDS.items():
        for mark in kind.marks:
            found.setdefault(mark, name)
    return found


def checking_fields() -> dict[str, str]:
    """Kind to the field that its gold is checked by, of kinds that have one."""
    return {name: kind.checked_by for name, kind in KINDS.items() if kind.checked_by}
