"""The page as one self-contained HTML file: no script, no request, charts as inline SVG."""

from doxa.monitoring.figures import Figures
from doxa.records.quantity import quantity
from doxa.reporting import alerts, charts, heat_map, wording
from doxa.reporting.alerts import MOST_ALERTS
from doxa.reporting.template import load_template


def render_html(figures: Figures) -> str:
    shown = [figures.total, *figures.groups] if figures.total else figures.groups
    ceiling = charts.share_ceiling(shown)
    drawings = {id(group): charts.draw_trend(group.buckets, ceiling, figures.every, figures.alerts_of(group)) for group in shown}
    return load_template("page.html").render(
        figures=figures, wording=wording, is_watching=figures.watch is not None, draw=lambda group: drawings[id(group)],
        describe=lambda group: charts.describe_trend(group, figures), language=wording.language, quantity=quantity,
        alerts=alerts, most_alerts=MOST_ALERTS, heat_map=heat_map.draw_heat_map(figures), heat_steps=heat_map.step_names(), few=heat_map.FEW)
