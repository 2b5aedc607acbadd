"""The page as blocks, the same words and numbers for every format that people read."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Block:
    """A heading with lines of text and one table beneath. Text from records stands in it as it came."""

    title: str
    lines: list[str] = field(default_factory=list)
    header: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)


def summary_blocks(summary) -> list[Block]:
    """The blocks of a `doxa.explaining.summary.Summary`."""
    counts = [f"{summary.n_records:,} records"]
    counts += [f"{summary.n_errors:,} error records"] if summary.n_errors else []
    counts += [f"{summary.n_unexplained:,} without an explanation"] if summary.n_unexplained else []
    blocks = [Block("What pushes the labels", [", ".join([*counts, *summary.how])])]
    for label in summary.labels:
        name = label.head if label.label is None else f"{label.head}={label.label}"
        blocks.append(Block(name, [f"{label.n:,} texts, {label.n_ranked:,} words in enough of them"]))
        for title, words in (("speaking for it", label.speaking_for), ("speaking against it", label.speaking_against)):
            rows = [(word.word, f"{word.n:,}", f"{word.mean:+.3f}", _interval(word), f"{word.share_for:.0%}", ", ".join(word.examples)) for word in words]
            if rows:
                blocks.append(Block("", [], (title, "texts", "mean", "interval", "for", "examples"), rows))
            else:
                blocks[-1].lines.append(f"no word is clearly {title}")
    if summary.faithfulness:
        rows = [(head, measure.replace("_", " "), f"{mean.n:,}", f"{mean.mean:.3f}", _interval(mean, "")) for head, measures in summary.faithfulness.items()
                for measure, mean in measures.items()]
        blocks.append(Block("Faithfulness", [], ("head", "measure", "texts", "mean", "95 %"), rows))
    return [*blocks, _closing(summary)]


def contrast_blocks(contrast) -> list[Block]:
    """The blocks of a `doxa.explaining.contrast.Contrast`."""
    name = contrast.head if contrast.label is None else f"{contrast.head}={contrast.label}"
    lines = []
    if contrast.label is not None:
        (hits1, n1), (hits2, n2) = contrast.before, contrast.after
        share = contrast.share
        lines.append(f"share: {hits1 / n1:.1%} of {n1:,} texts before, {hits2 / n2:.1%} of {n2:,} after: "
                     f"{100 * share.value:+.1f} points [{100 * share.low:+.1f}, {100 * share.high:+.1f}]")
    lines.append(f"evidence per text, all words together: {_change(contrast.evidence)}")
    lines.append(f"{len(contrast.words)} words moved it, of {contrast.n_tested:,} looked at" if contrast.words else
                 f"no word clearly moved it, of {contrast.n_tested:,} looked at")
    rows = [(word.word, f"{word.change.value:+.4f}", _interval(word.change, "+", 4), f"{word.by_frequency.value:+.4f}", f"{word.by_evidence.value:+.4f}",
             " → ".join(f"{share:.1%}" for share in word.shares), " → ".join("–" if mean is None else f"{mean:+.2f}" for mean in word.means),
             ", ".join(word.examples)) for word in contrast.words]
    header = ("word", "change", "interval", "by frequency", "by evidence", "in texts", "mean evidence", "examples")
    return [Block(f"What moved {name}", lines, header, rows), _closing(contrast)]


def _closing(figures) -> Block:
    return Block("", [*(f"note: {note}" for note in figures.notes), f"method: {figures.method}"])


def _interval(found, sign: str = "+", digits: int = 3) -> str:
    return "–" if found.low is None else f"{found.low:{sign}.{digits}f}, {found.high:{sign}.{digits}f}"


def _change(change) -> str:
    return f"{change.value:+.3f} nats [{change.low:+.3f}, {change.high:+.3f}]"
