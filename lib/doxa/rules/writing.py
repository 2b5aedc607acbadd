"""Rules of words and phrases as a file that `format.py` reads back."""

import json
from collections.abc import Iterable

from doxa.rules.format import Rule


def write_rules(rules: Iterable[Rule], comments: Iterable[str] = ()) -> str:
    """The TOML of rules that name phrases in `any` alone, of which the first that fires speaks, beneath comments of one line each."""
    lines = [*(f"# {' '.join(comment.split())}" for comment in comments), "first = true"]
    for rule in rules:
        lines += ["", f"[rules.{_text(rule.name)}]", f"head = {_text(rule.head)}", f"label = {_text(rule.label)}", f"any = [{', '.join(map(_text, rule.any))}]"]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """A TOML basic string: JSON's, which leaves DEL as it is where TOML does not."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
