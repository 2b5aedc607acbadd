"""A training run as a picture: the loss over the steps, the dev scores beneath."""

import math
from dataclasses import dataclass
from html import escape
from typing import Any

from doxa.reporting.scale import round_up

WIDTH, PANEL_HEIGHT, LEFT, RIGHT, TOP, GAP = 800, 190, 62, 24, 44, 56
HEIGHT = TOP + 2 * PANEL_HEIGHT + GAP + 54
MOST_POINTS = 600
SMOOTHING = 0.9  # of the moving average that runs over the losses
_COLOURS = 6
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-size: 15px; font-weight: 600 } .axis { stroke: #ccc; stroke-width: 1 }
.raw { fill: #9db7d5 } .line { fill: none; stroke-width: 2 } .best { fill: none; stroke: #333; stroke-width: 2 } rect { fill: #fff }
.c0 { stroke: #1f5fa8 } .c1 { stroke: #b3541e } .c2 { stroke: #2d7d46 } .c3 { stroke: #7a3e9d } .c4 { stroke: #a8881f } .c5 { stroke: #5b6770 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .axis { stroke: #444 } .raw { fill: #3d5a7d } rect { fill: #16181c } .best { stroke: #eee }
.c0 { stroke: #7fb2ea } .c1 { stroke: #e59a6b } .c2 { stroke: #7cc795 } .c3 { stroke: #c394e0 } .c4 { stroke: #d9bd62 } .c5 { stroke: #a9b4bc } }
"""
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class _Panel:
    """A plot of its own: steps to x, values to y."""

    top: float
    last_step: int
    low: float
    high: float

    def x(self, step: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * step / max(1, self.last_step), 1)

    def y(self, value: float) -> float:
        return round(self.top + PANEL_HEIGHT * (self.high - value) / (self.high - self.low), 1)

    def axes(self, name: str) -> str:
        parts = [f'<text x="{LEFT}" y="{self.top - 10}">{name}</text>']
        for value in _ticks(self.low, self.high):
            parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(value)}" y2="{self.y(value)}"/>'
                         f'<text x="{LEFT - 8}" y="{self.y(value) + 4}" text-anchor="end">{value:g}</text>')
        for step in _ticks(0, max(1, self.last_step)):
            if step == int(step):
                parts.append(f'<text x="{self.x(step)}" y="{self.top + PANEL_HEIGHT + 18}" text-anchor="middle">{int(step):,}</text>')
        return "".join(parts)

    def line(self, points: Points, colour: int) -> str:
        if not points:
            return ""
        if len(points) == 1:
            return f'<circle class="line c{colour}" cx="{self.x(points[0][0])}" cy="{self.y(points[0][1])}" r="3"/>'
        path = "L".join(f"{self.x(step)} {self.y(value)}" for step, value in points)
        return f'<path class="line c{colour}" d="M{path}"/>'


def render_training_chart(rows: list[dict[str, Any]]) -> str:
    """Return an SVG of the rows of `training.jsonl`, whole in itself and without script.

    Training rows hold `step` and `loss` (None where steps were skipped), evaluations `step`, `dev_score` and `dev`
    (head -> score)."""
    losses: Points = [(row["step"], row["loss"]) for row in rows if _is_number(row.get("loss"))]
    evaluations = [row for row in rows if _is_number(row.get("dev_score"))]
    last = max([row["step"] for row in rows], default=0)
    best = max(evaluations, key=lambda row: row["dev_score"], default=None)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title desc">',
             '<title id="title">Training</title>', f'<desc id="desc">{escape(describe_training(rows))}</desc>', f"<style>{_STYLE}</style>",
             f'<rect width="{WIDTH}" height="{HEIGHT}"/>', _loss_panel(losses, last), _score_panel(evaluations, best, last),
             f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">steps</text>', "</svg>"]
    return "\n".join(part for part in parts if part) + "\n"


def describe_training(rows: list[dict[str, Any]]) -> str:
    """The chart in words, for those who do not see it."""
    losses = [row for row in rows if _is_number(row.get("loss"))]
    evaluations = [row for row in rows if _is_number(row.get("dev_score"))]
    if not losses and not evaluations:
        return "No step was logged."
    words = []
    if losses:
        words.append(f"Loss from {losses[0]['loss']:.3f} at step {losses[0]['step']} to {losses[-1]['loss']:.3f} at step {losses[-1]['step']}.")
    if evaluations:
        best = max(evaluations, key=lambda row: row["dev_score"])
        words.append(f"Best dev score {best['dev_score']:.4f} at step {best['step']}, of {len(evaluations)} evaluations.")
    return " ".join(words)


def _loss_panel(losses: Points, last: int) -> str:
    values = [value for _, value in losses]
    panel = _Panel(TOP, last, 0.0, _ceiling(values))
    dots = "".join(f'<circle class="raw" cx="{panel.x(step)}" cy="{panel.y(min(value, panel.high))}" r="2"/>' for step, value in _thin(losses))
    smooth = [(step, min(value, panel.high)) for step, value in _smoothed(losses)]
    return panel.axes("loss (dots: mean of the logged steps; line: moving average)") + dots + panel.line(_thin(smooth), 0)


def _score_panel(evaluations: list[dict[str, Any]], best: dict[str, Any] | None, last: int) -> str:
    names = list(dict.fromkeys(name for row in evaluations for name in row.get("dev", {})))
    curves: dict[str, Points] = {"mean": [(row["step"], row["dev_score"]) for row in evaluations]}
    if len(names) > 1:
        curves |= {name: [(row["step"], row["dev"][name]) for row in evaluations if _is_number(row["dev"].get(name))] for name in names}
    values = [value for points in curves.values() for _, value in points]
    low = min([0.0, *values])
    panel = _Panel(TOP + PANEL_HEIGHT + GAP, last, low, max([1.0, *values]))
    parts = [panel.axes("dev score")]
    x = LEFT + 90.0
    for index, (name, points) in enumerate(curves.items()):
        parts.append(panel.line(_thin(points), index % _COLOURS))
        if len(curves) > 1:
            shown = name if len(name) <= 24 else name[:23] + "…"
            parts.append(f'<line class="line c{index % _COLOURS}" x1="{x}" x2="{x + 18}" y1="{panel.top - 14}" y2="{panel.top - 14}"/>'
                         f'<text x="{x + 23}" y="{panel.top - 10}">{escape(_legible(shown))}</text>')
            x += 40 + 7 * len(shown)
    if best is not None:
        px, py = panel.x(best["step"]), panel.y(best["dev_score"])
        side = "end" if px > WIDTH - 200 else "start"
        parts.append(f'<circle class="best" cx="{px}" cy="{py}" r="6"/><text x="{px + (-10 if side == "end" else 10)}" y="{py + 22}" '
                     f'text-anchor="{side}">best {best["dev_score"]:.4f}, step {best["step"]:,}</text>')
    return "".join(parts)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _legible(text: str) -> str:
    """Without the control characters that XML has no way to write."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _ceiling(values: list[float]) -> float:
    """The top of the loss axis: a round number above all but the highest hundredth, which may be a spike."""
    if not values:
        return 1.0
    ranked = sorted(values)
    return round_up(max(ranked[math.ceil(0.99 * len(ranked)) - 1], 1e-9))


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers from low to high."""
    unit = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if (high - low) / (factor * unit) <= 5)
    return [round(i * step, 10) for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def _smoothed(points: Points) -> Points:
    """Exponential moving average, its start corrected as in Adam (Kingma and Ba 2015)."""
    mean, weight, smooth = 0.0, 0.0, []
    for step, value in points:
        mean, weight = SMOOTHING * mean + (1 - SMOOTHING) * value, SMOOTHING * weight + (1 - SMOOTHING)
        smooth.append((step, mean / weight))
    return smooth


def _thin(points: Points) -> Points:
    stride = math.ceil(len(points) / MOST_POINTS) or 1
    return points[::stride]
