"""What a NAME on the command line means: a predicted head if there is one, else a field of the record."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from doxa.errors import UsageError


@dataclass(frozen=True)
class Named:
    """A head or a field. `part` says which of its columns: label, labels or score of a head, or field."""

    name: str
    part: str

    @property
    def scope(self) -> str:
        return "field" if self.part == "field" else "head"

    @property
    def column(self) -> str:
        """Its column in the tables of a ColumnReader."""
        return f"{self.part}:{self.name}"


def split_scope(asked: str) -> tuple[str, str]:
    """Cut `head:NAME` and `field:NAME` into scope and name; the scope of any other name is empty."""
    scope, colon, name = asked.partition(":")
    return (scope, name) if colon and scope in ("head", "field") else ("", asked)


def field_names(asked: Collection[str]) -> list[str]:
    """The fields that names may mean, before it is known which heads there are."""
    return [name for scope, name in map(split_scope, asked) if scope != "head"]


def head_names(asked: Collection[str]) -> list[str]:
    """The heads that names of the scope head: mean."""
    return [name for scope, name in map(split_scope, asked) if scope == "head"]


def resolve_name(asked: str, flag: str, heads: Mapping[str, str], fields: Collection[str]) -> Named:
    """Find what `asked` means among `heads` (name -> label, labels, number) and the fields of the first records.

    `HEAD.score` is the score of a head's label. `field:NAME` need not be among the fields. Raises UsageError.
    """
    scope, name = split_scope(asked)
    if scope != "field":
        if name in heads:
            return Named(name, "score" if heads[name] == "number" else heads[name])
        head = name.removesuffix(".score")
        if head != name and head in heads:
            if heads[head] == "labels":
                raise UsageError(f'{flag} {asked}: head "{head}" gives several labels, which have no one score')
            return Named(head, "score")
    if scope == "field" or scope == "" and name in fields:
        return Named(name, "field")
    known = ", ".join(sorted(heads)) + "; fields: " + ", ".join(sorted(set(fields) - {"prediction"}))
    later = "" if scope else f"; give field:{asked} where only later records have it"
    raise UsageError(f"{flag} {asked}: no such head or field. Heads: {known}{later}")
