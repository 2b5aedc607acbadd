"""The templates of pages, and the one gate by which text from records comes onto them."""

from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from doxa.reporting import wording
from doxa.terminal import visible

MOST_CHARACTERS = 20_000  # of one value; what is longer is no name, and a page that holds it many times opens in no browser

class Passage(str):
    """Text whose spaces and line breaks stay on the page; every other text becomes one line."""


def load_template(name: str) -> Template:
    # `finalize` sees every value that is written, so that no text reaches a page without its controls made visible.
    environment = Environment(loader=FunctionLoader(_read_template), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=StrictUndefined, finalize=_harmless)
    return environment.get_template(name)


def _read_template(name: str) -> str:
    return resources.files("doxa.reporting").joinpath("templates", name).read_text("utf-8")


def _harmless(value):
    if isinstance(value, Passage):
        return visible(value)
    return visible(wording.shorten(value, MOST_CHARACTERS), one_line=True) if isinstance(value, str) and not isinstance(value, Markup) else value
