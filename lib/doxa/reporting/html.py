"""The page as one self-contained HTML file: no script, no request, charts as inline SVG."""

from importlib import resources

from jinja2 import Environment

from doxa.monitoring.figures import Bucket, Figures
from doxa.reporting import wording
from doxa.terminal import visible

WIDTH, HEIGHT = 640, 150  # of a chart's drawing area, in its own units
LEFT, BOTTOM = 34, 20


def render_html(figures: Figures) -> str:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["safe_text"] = lambda text: visible(str(text), one_line=True)
    template = environment.from_string(resources.files("doxa.reporting").joinpath("templates/page.html").read_text("utf-8"))
    return template.render(figures=figures, wording=wording, charts=[chart(group.buckets, figures) for group in figures.groups])


def chart(buckets: list[Bucket], figures: Figures) -> dict | None:
    """Coordinates of one trend: the share's line and interval band, or bars of the counts; None without buckets."""
    if not buckets:
        return None
    step = (WIDTH - LEFT) / len(buckets)
    centres = [LEFT + step * (i + 0.5) for i in range(len(buckets))]
    most = max(bucket.n for bucket in buckets) or 1
    bars = [{"x": round(x - step * 0.4, 1), "width": round(max(step * 0.8, 0.5), 1), "y": round(HEIGHT * (1 - 0.35 * bucket.n / most), 1),
             "height": round(HEIGHT * 0.35 * bucket.n / most, 1), "is_complete": bucket.is_complete} for x, bucket in zip(centres, buckets)]
    points = [{"x": round(x, 1), "y": _height(bucket.watched.share), "is_complete": bucket.is_complete,
               "title": f"{wording.bucket_label(bucket, figures.every)}: {wording.percent_interval(bucket.watched)} of {bucket.n}"}
              for x, bucket in zip(centres, buckets) if figures.watch and bucket.watched.share is not None]
    return {"bars": bars, "points": points, "lines": _runs(centres, buckets, _line) if figures.watch else [],
            "bands": _runs(centres, buckets, _band) if figures.watch else [],
            "first": wording.bucket_label(buckets[0], figures.every), "last": wording.bucket_label(buckets[-1], figures.every),
            "grid": [{"y": _height(value), "label": f"{value:.0%}"} for value in (0, 0.5, 1)] if figures.watch else []}


def _height(share: float) -> float:
    return round(HEIGHT * (1 - share), 1)


def _runs(centres: list[float], buckets: list[Bucket], shape) -> list[str]:
    """One path for every run of buckets that hold something: a line never crosses an empty bucket."""
    paths, run = [], []
    for x, bucket in [*zip(centres, buckets), (0.0, None)]:
        if bucket is not None and bucket.watched.share is not None:
            run.append((round(x, 1), bucket.watched))
        elif run:
            paths.append(shape(run))
            run = []
    return paths


def _line(run: list) -> str:
    return "M" + " L".join(f"{x} {_height(share.share)}" for x, share in run)


def _band(run: list) -> str:
    if len(run) == 1:  # an interval of its own, drawn as a narrow bar
        run = [(run[0][0] - 2, run[0][1]), (run[0][0] + 2, run[0][1])]
    upper = [f"{x} {_height(share.interval[1])}" for x, share in run]
    lower = [f"{x} {_height(share.interval[0])}" for x, share in reversed(run)]
    return "M" + " L".join(upper + lower) + " Z"
