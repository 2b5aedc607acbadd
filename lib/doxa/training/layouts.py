"""Labelled records laid out in windows; those that hold nothing to read are left out, and told of."""

from typing import Any

from doxa.errors import RecordError
from doxa.model.kinds.table import kind_of
from doxa.text.question import Layout
from doxa.training.examples import Example, LabelledSet
from doxa.training.plan import Listener


def lay_out(found: LabelledSet, what: str, shared: dict[str, Any], listener: Listener) -> list[tuple[Example, Layout]]:
    """The examples that could be laid out; `what` names them, `shared` is what all ways of training have (see `prepare`)."""
    layouts = kind_of(shared["heads"]).lay_out([example.question for example in found.examples], shared["tokenizer"], shared["reading"])
    failed = [example for example, layout in zip(found.examples, layouts) if isinstance(layout, RecordError)]
    if failed:
        listener.warn(f"{len(failed)} {what} records hold no token that the base reads and were left out, {failed[0].place} for one")
    return [(example, layout) for example, layout in zip(found.examples, layouts) if not isinstance(layout, RecordError)]
