"""The page of evaluate as one self-contained HTML file: no script, no request, charts as inline SVG."""

import math

from doxa.evaluation.figures import Evaluation, HeadEvaluation, LabelFigures, Slice
from doxa.evaluation.slices import FEW
from doxa.metrics.classification import Estimate
from doxa.monitoring.figures import Share
from doxa.records.quantity import quantity
from doxa.reporting import evaluation_wording, heat_map, wording
from doxa.reporting.interval_bar import Axis, IntervalBar, span_axis
from doxa.reporting.reliability import draw_reliability
from doxa.reporting.template import load_template

TILES = {"label": ("macro_f1", "accuracy", "matthews", "calibration_error"), "labels": ("macro_f1", "exact_match", "micro_f1", "samples_f1"),
         "number": ("mae", "rmse", "r2", "spearman")}
MOST_TILES = 4
MOST_COLUMNS = 15  # labels; the confusions of more are told in pairs
MOST_SLICES = 30
_OF_A_LABEL = ("precision", "recall", "f1", "roc_auc", "average_precision")


def render_evaluation_html(evaluation: Evaluation) -> str:
    return load_template("evaluation.html").render(
        evaluation=evaluation, heads=[_HeadPage(head, evaluation) for head in evaluation.heads], words=evaluation_wording, wording=wording,
        language=wording.language, quantity=quantity, interval=interval, unit=Axis(), few_shaded=heat_map.FEW, few=FEW, heat_steps=heat_map.step_names())


def interval(found: Estimate) -> str:
    """The 95 % interval: `0.838–0.883`; a dash where there is none."""
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return "–"
    return f"{evaluation_wording.number(found.low)}–{evaluation_wording.number(found.high)}"


class _HeadPage:
    """What the page shows of one head."""

    def __init__(self, head: HeadEvaluation, evaluation: Evaluation):
        self.head, self.by = head, evaluation.by
        told = evaluation_wording.figures_alone(head)
        self.headline = head.headline
        tiles = TILES.get(head.kind) or tuple(dict.fromkeys((head.headline, *head.small, *told)))[:MOST_TILES]
        self.tiles = [name for name in tiles if name in told]
        self.others = [name for name in told if name not in self.tiles]
        self.reliability = draw_reliability(head.reliability)
        self.columns = [name for name in _OF_A_LABEL if any(name in label.figures for label in head.labels)]

    @property
    def rows(self) -> list[LabelFigures]:
        """The labels, those held most first."""
        return self.head.labels[: evaluation_wording.MOST_LABELS]

    @property
    def averages(self) -> list[tuple[str, dict[str, Estimate]]]:
        """Name of an average over all labels, and its figures."""
        return evaluation_wording.averages_of(self.head)

    @property
    def confusion(self) -> list[tuple[str, int, list[tuple[int, Share, int]]]]:
        """Of each gold label its name, the number of its records, and (count, share, step of shading) for each predicted label."""
        if not self.head.confusion or len(self.head.labels) > MOST_COLUMNS:
            return []
        names = [label.label for label in self.head.labels]
        return [(name, sum(row), [(n, share, heat_map.step(share) if n else 0) for n, share in ((n, Share(n, sum(row))) for n in row)])
                for name, row in zip(names, self.head.confusion)]

    @property
    def pairs(self) -> list[tuple[int, str, str, int]]:
        """The most frequent confusions of a head of too many labels for a table."""
        if not self.head.confusion or self.confusion:
            return []
        return evaluation_wording.confused_pairs(self.head)[: evaluation_wording.MOST_PAIRS]

    @property
    def slicings(self) -> list[tuple[str, list[str], list[tuple[Slice, IntervalBar | None]], int]]:
        """(name, what its columns show, rows of (slice, bar), number of slices left out) of each slicing."""
        overall, found = self.head.figures.get(self.headline), []
        names = sorted(self.head.small, key=lambda name: name != self.headline)
        for slicing, slices in self.head.slices.items():
            shown = slices[:MOST_SLICES]
            axis = span_axis([*(part.figures[self.headline] for part in shown if self.headline in part.figures), *([overall] if overall else [])])
            rows = [(part, axis.draw(part.figures.get(self.headline), overall)) for part in shown]
            found.append((self.by if slicing == "by" else evaluation_wording.SLICINGS.get(slicing, slicing), names, rows, len(slices) - len(shown)))
        return found

    def draw(self, name: str) -> IntervalBar | None:
        """The bar of a figure of the whole head, of those that are best at 1."""
        found = self.head.figures[name]
        axis = span_axis([found])
        return axis.draw(found) if name not in self.head.lower_is_better and axis.high == 1.0 else None
