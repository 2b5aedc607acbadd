"""The pages that explained records come as: coloured texts, words over a corpus, words between two windows."""

from collections.abc import Iterable
from dataclasses import dataclass

from doxa.explaining.contrast import contrast
from doxa.explaining.summary import summarize
from doxa.records.record import Record
from doxa.reporting.blocks import to_markdown, to_terminal
from doxa.reporting.explanations.html import render_explanations
from doxa.reporting.explanations.words import describe_contrast, describe_summary, to_json

TITLES = {"texts": "Why the model says so", "summary": "Words that speak for each label", "contrast": "What moved"}


@dataclass(frozen=True)
class PageWanted:
    """`about` is texts, summary or contrast; `kind` the format; `head` and `label` are those of a contrast between `files`."""

    about: str
    kind: str
    title: str | None
    signature: str
    text_field: str
    text_pair_field: str | None
    id_field: str
    top: int
    head: str | None = None
    label: str | None = None
    files: tuple[str, ...] = ()
    width: int = 100
    is_coloured: bool = False


def render_explained(streams: list[Iterable[Record]], wanted: PageWanted) -> str:
    """The page of one stream of explained records, or of two for a contrast. Raises UsageError where they hold no explanation."""
    title = wanted.title or TITLES[wanted.about]
    if wanted.about == "texts":
        return render_explanations(streams[0], wanted.text_field, wanted.text_pair_field, wanted.id_field, title, wanted.signature, wanted.top)
    if wanted.about == "summary":
        found = summarize(streams[0], wanted.id_field, wanted.top)
        blocks, about = describe_summary(found, title), {"title": title}
    else:
        found = contrast(*streams, wanted.head, wanted.label, wanted.id_field, wanted.top, wanted.files)
        blocks, about = describe_contrast(found, title, wanted.files), {"title": title, "files": list(wanted.files)}
    if wanted.kind == "json":
        return to_json(found, **about)
    return to_markdown(blocks) if wanted.kind == "markdown" else to_terminal(blocks, wanted.width, wanted.is_coloured)
