"""The table of kinds. A kind that is not here does not exist; one that is here works in every command."""

from typing import Any

from doxa.errors import DoxaError
from doxa.model.heads import Head, read_output_names
from doxa.model.kinds.choice import Choice
from doxa.model.kinds.kind import Kind, Stock
from doxa.model.kinds.mask import Mask
from doxa.model.kinds.slices import Slices
from doxa.model.kinds.span import Span
from doxa.model.kinds.tags import Tags
from doxa.model.kinds.text import Text
from doxa.model.kinds.vector import Vector

KINDS: dict[str, Kind] = {kind.name: kind for kind in (
    Slices("label"),
    Slices("labels"),
    Slices("number"),
    Tags(),
    Span(),
    Choice(),
    Text(),  # behind `choice`, whose entries hold a text as well
    Mask(),
    Vector(),
)}
ALIASES = {"multi": "labels"}


def kind_of(heads: list[Head]) -> Kind:
    """The kind that lays out and answers for all heads of a model. Raises DoxaError for one that is not in the table, or does not mix."""
    for head in heads:
        if head.kind not in KINDS:
            raise DoxaError(f'head "{head.name}" is of kind "{head.kind}", which this doxa does not know; update it')
    kinds = [KINDS[head.kind] for head in heads]
    for head, kind in zip(heads[1:], kinds[1:]):
        if not (kind.shares and kinds[0].shares):
            raise DoxaError(f'head "{heads[0].name}" ({heads[0].kind}) and head "{head.name}" ({head.kind}) do not fit into one model; train one for each')
    return kinds[0]


def stock_of(heads: list[Head], config: dict[str, Any]) -> Stock:
    """The network that computes all heads of a model, whose config.json this is."""
    return kind_of(heads).stock_of(heads[0], config)


def foreign_head(config: dict[str, Any], name: str) -> Head:
    """The one head of a model that doxa did not write, by what its config.json says.

    Raises ValueError when its label names are no names, DoxaError for an architecture that no kind is made for."""
    architecture = str((config.get("architectures") or ["ForSequenceClassification"])[0])
    kind = next((kind for kind in KINDS.values() if any(stock.is_named(architecture) for stock in kind.stocks)), None)
    if kind is None:
        raise DoxaError(f"its architecture is {architecture}, which no kind of head is made for; fine-tune it first")
    if not kind.shares:
        return Head(name, kind.name, tuple(read_output_names(config)) if kind.has_labels else ())
    labels, problem = tuple(read_output_names(config)), config.get("problem_type")
    if problem == "regression" or (len(labels) == 1 and problem is None):
        return Head(name, "number")
    return Head(name, "labels" if problem == "multi_label_classification" else "label", labels)
