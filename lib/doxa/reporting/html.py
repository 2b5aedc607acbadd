"""The page as one self-contained HTML file: no script, no request, charts as inline SVG."""

from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from doxa.monitoring.figures import Figures
from doxa.reporting import alerts, charts, heat_map, wording
from doxa.reporting.alerts import MOST_ALERTS
from doxa.terminal import visible


def render_html(figures: Figures) -> str:
    shown = [figures.total, *figures.groups] if figures.total else figures.groups
    ceiling = charts.share_ceiling(shown)
    drawings = {id(group): charts.draw_trend(group.buckets, ceiling, figures.every, figures.alerts_of(group)) for group in shown}
    return _template().render(
        figures=figures, wording=wording, is_watching=figures.watch is not None, draw=lambda group: drawings[id(group)],
        describe=lambda group: charts.describe_trend(group, figures), language=wording.language,
        alerts=alerts, most_alerts=MOST_ALERTS, heat_map=heat_map.draw_heat_map(figures), heat_steps=heat_map.step_names(), few=heat_map.FEW)


def _template():
    # `finalize` sees every value that is written, so that no text reaches the page without its controls made visible.
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, finalize=_harmless)
    return environment.from_string(resources.files("doxa.reporting").joinpath("templates/page.html").read_text("utf-8"))


def _harmless(value):
    return visible(wording.one_line(value), one_line=True) if isinstance(value, str) and not isinstance(value, Markup) else value
