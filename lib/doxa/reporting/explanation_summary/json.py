"""The figures as JSON, for machines: numbers unrounded."""

from dataclasses import asdict

from doxa.reporting.json import dump


def render_json(figures) -> str:
    """Every figure of a Summary or a Contrast under the name that it has there."""
    return dump(asdict(figures), indent=2)
