"""The page of explanations as one self-contained HTML file: no script, no request."""

from collections.abc import Iterable

from doxa.records.record import Record
from doxa.reporting import wording
from doxa.reporting.explanations import cards, evidence
from doxa.reporting.explanations.cards import Fields
from doxa.reporting.explanations.entries import DOUBT
from doxa.reporting.explanations.groups import gather
from doxa.reporting.template import load_template


def render_explanations(records: Iterable[Record | dict], text_field: str = "text", text_pair_field: str | None = None, id_field: str = "id",
                        title: str = "Why the model says so", signature: str = "", top: int = 20) -> str:
    """Return the page of what `explanation` holds in each record.

    At most `top` explanations of a label are shown, and `top` that a rule contradicts; memory depends on them and not on
    the number of records. The texts stand under the fields named, a gold label under the head's name. A record without an
    explanation, or one that was altered and no longer makes sense, is counted and named on the page; none raises an error.
    """
    found = gather(records, Fields(text_field, text_pair_field, id_field), top)
    return load_template("explanations.html").render(
        found=found, title=title, signature=signature, cards=cards, evidence=evidence, doubt=DOUBT, language=wording.language)
