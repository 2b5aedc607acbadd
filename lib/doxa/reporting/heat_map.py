"""The heat map: which label of the watched head how often in which group."""

from bisect import bisect_right
from dataclasses import dataclass

from doxa.monitoring.figures import Figures, Group, HeadCounts, Share

EDGES = (0.05, 0.15, 0.3, 0.45, 0.6)  # the lowest shares of the steps 1 to 5; the same on every page, so that pages compare
MOST_COLUMNS = 8
FEW = 10  # judged texts; fewer are shown but not shaded: a share of 1 in 2 would outshine all others


@dataclass(frozen=True)
class HeatMap:
    """`columns` are labels, None for all the others together; `rows` hold a group and a cell for each column: its share
    and its step of shading, 0 (none) to 5."""

    head: str
    columns: list[str | None]
    watched: str
    rows: list[tuple[Group, list[tuple[Share, int]]]]


def draw_heat_map(figures: Figures) -> HeatMap | None:
    """None without groups, or where the watched head does not give one label."""
    head = _watched_head(figures)
    if head is None or not figures.by or figures.total is None:
        return None
    watched = figures.watch[len(head.name) + 1 :]
    labels = list(head.labels)
    columns: list[str | None] = labels
    if len(labels) > MOST_COLUMNS:
        columns = labels[: MOST_COLUMNS - 1]
        columns += [watched] if watched in labels[MOST_COLUMNS - 1 :] else labels[MOST_COLUMNS - 1 : MOST_COLUMNS]
        columns.append(None)
    return HeatMap(head.name, columns, watched, [(group, _cells(group, columns)) for group in (figures.total, *figures.groups)])


def step(share: Share) -> int:
    return bisect_right(EDGES, share.share) if share.n >= FEW else 0


def step_names() -> list[str]:
    """The shares of steps 1 to 5 in words."""
    bounds = [f"{edge:.0%}" for edge in EDGES]
    return [f"{low[:-1]}–{high}" for low, high in zip(bounds, bounds[1:])] + [f"from {bounds[-1]}"]


def _watched_head(figures: Figures) -> HeadCounts | None:
    fitting = [head for head in figures.heads if figures.watch and figures.watch.startswith(f"{head.name}=")]
    head = max(fitting, key=lambda head: len(head.name), default=None)
    return head if head is not None and head.kind == "label" else None


def _cells(group: Group, columns: list[str | None]) -> list[tuple[Share, int]]:
    n_judged = sum(group.labels.values())
    counts = [group.labels.get(label, 0) for label in columns if label is not None]
    counts += [n_judged - sum(counts)] if None in columns else []
    shares = [Share(n, n_judged) for n in counts]
    return [(share, step(share)) for share in shares]
