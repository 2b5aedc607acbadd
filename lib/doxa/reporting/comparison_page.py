"""The page of compare as one self-contained HTML file: no script, no request, charts as inline SVG."""

from dataclasses import dataclass

from doxa.evaluation.compare import Comparison, Comparisons, Difference, HeadComparison
from doxa.evaluation.slices import FEW
from doxa.metrics.classification import Estimate
from doxa.metrics.figure_range import range_of
from doxa.records.quantity import quantity
from doxa.reporting import comparison_wording, evaluation_wording, wording
from doxa.reporting.interval_bar import Axis, IntervalBar, center_axis
from doxa.reporting.template import load_template

MOST_OPEN = 20  # rows of a table; the others are folded
LEAST_FOLDED = 5  # a fold that hides fewer is in the way
MOST_ROWS = 1000
_TONES = {"worse": "is-worse", "better": "is-better", "not worse": "is-better", "open": "is-open"}


def render_comparison_html(comparisons: Comparisons) -> str:
    pairs = [_PairPage(pair, comparisons) for pair in comparisons.pairs]
    return load_template("comparison.html").render(
        comparisons=comparisons, pairs=pairs, n_deciding=sum(len(head.verdicts) for pair in pairs for head in pair.heads), words=evaluation_wording,
        told=comparison_wording, wording=wording, language=wording.language, quantity=quantity, few=FEW)


@dataclass(frozen=True)
class Row:
    """A difference and its bar, better to the right. `reach` is what the ends of the bar stand for, `n` the number of records of a slice."""

    figure: Difference
    name: str
    bar: IntervalBar | None
    tone: str
    reach: float
    n: int | None = None

    @property
    def is_few(self) -> bool:
        return self.n is not None and self.n < FEW


@dataclass(frozen=True)
class Chart:
    """The rows of a table, of which `n_cut` are left out; `reach` is what the ends of the bars stand for, None where it is another in each row."""

    title: str
    column: str
    noun: str
    rows: list[Row]
    reach: float | None
    n_cut: int = 0
    has_overall: bool = False

    @property
    def opened(self) -> list[Row]:
        return self.rows[: self._n_open]

    @property
    def folded(self) -> list[Row]:
        return self.rows[self._n_open :]

    @property
    def _n_open(self) -> int:
        return MOST_OPEN if len(self.rows) > MOST_OPEN + LEAST_FOLDED else len(self.rows)

    @property
    def words(self) -> str:
        """The bars in words: how many lie wholly on either side."""
        sides = [side_of(row.figure) for row in self.rows]
        worse, better = sides.count("is-worse"), sides.count("is-better")
        return (f"Of {quantity(len(self.rows), self.noun)}: {worse:,} with the whole interval on the worse side, {better:,} on the better side, "
                f"{len(sides) - worse - better:,} with an interval that holds 0.")


class _PairPage:
    def __init__(self, pair: Comparison, comparisons: Comparisons):
        self.pair = pair
        self.conclusion, self.extent = comparison_wording.conclude(pair, comparisons.margin)
        self.heads = [_HeadPage(head, comparisons) for head in pair.heads]
        tones = [row.tone for head in self.heads for row in head.verdicts]
        gravest = ("is-worse", "is-open", "is-better") if comparisons.margin else ("is-worse", "is-better", "is-open")
        self.tone = next(tone for tone in gravest if tone in tones)


class _HeadPage:
    """What the page shows of one head of a pair of files."""

    def __init__(self, head: HeadComparison, comparisons: Comparisons):
        self.head = head
        told = [figure for figure in head.figures if evaluation_wording.is_told_alone(figure.name)]
        self.verdicts = [_draw_verdict(head, figure, comparisons) for figure in head.figures if figure.verdict is not None]
        self.charts = [_chart_figures(told, comparisons.margin)]
        if len(head.labels) > 1:
            self.charts.append(_chart("F1 of every label", "label", "label", [(figure, None) for figure in head.labels]))
        overall = next((figure for figure in head.figures if figure.name == head.headline), None)
        for name, parts in head.slices.items():
            called = comparisons.by if name == "by" else evaluation_wording.SLICINGS.get(name, name)
            headline = evaluation_wording.title_of(head.headline)
            self.charts.append(_chart(f"{headline[:1].upper()}{headline[1:]} by {called}", called, "value", [(figure, n) for n, figure in parts], overall))
        self.charts = [chart for chart in self.charts if chart.rows]


def gain_of(figure: Difference) -> Estimate:
    """How much better the new one is, with its interval, whichever way the figure goes."""
    more = figure.more
    return Estimate(-more.value, -more.high, -more.low) if figure.is_lower_better else more


def side_of(figure: Difference) -> str:
    """On which side of 0 the whole interval lies."""
    gain = gain_of(figure)
    return "is-worse" if gain.high < 0 else "is-better" if gain.low > 0 else "is-open"


def _draw(figure: Difference, name: str, axis: Axis, margin: float = 0.0, n: int | None = None, overall: Estimate | None = None) -> Row:
    tone = _TONES[figure.verdict] if figure.verdict is not None else "is-few" if n is not None and n < FEW else side_of(figure)
    return Row(figure, name, axis.draw(gain_of(figure), overall, -margin if margin else None), tone, axis.high, n)


def _draw_verdict(head: HeadComparison, figure: Difference, comparisons: Comparisons) -> Row:
    """On the axis of what is alike in all pairs of files, so that bars compare."""
    alike = [other for pair in comparisons.pairs for own in pair.heads for other in own.figures if other.verdict is not None
             and ((own.head, other.name) == (head.head, figure.name) or _is_share(other) and _is_share(figure))]
    return _draw(figure, evaluation_wording.title_of(figure.name), center_axis(map(gain_of, alike), comparisons.margin), comparisons.margin)


def _is_share(figure: Difference) -> bool:
    """Whether a figure ends at 1 and begins at 0 or -1, so that its differences are of a size with those of others."""
    least, greatest = range_of(figure.name) or (None, None)
    return greatest == 1.0 and least in (0.0, -1.0)


def _chart_figures(figures: list[Difference], margin: float) -> Chart:
    common = center_axis((gain_of(figure) for figure in figures if _is_share(figure)), margin)
    rows = [_draw(figure, evaluation_wording.title_of(figure.name), common if _is_share(figure) else center_axis([gain_of(figure)], margin), margin)
            for figure in figures]
    return Chart("Figures", "figure", "figure", rows, common.high if any(map(_is_share, figures)) else None)


def _chart(title: str, column: str, noun: str, figures: list[tuple[Difference, int | None]], overall: Difference | None = None) -> Chart:
    shown = figures[:MOST_ROWS]
    compared = gain_of(overall) if overall is not None else None
    axis = center_axis([gain_of(figure) for figure, _ in shown] + ([compared] if compared else []))
    rows = [_draw(figure, figure.name, axis, n=n, overall=compared) for figure, n in shown]
    return Chart(title, column, noun, rows, axis.high, len(figures) - len(shown), has_overall=compared is not None)
