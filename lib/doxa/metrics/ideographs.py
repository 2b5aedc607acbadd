"""Characters of scripts that write no spaces between words."""

import re

IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"  # for a class of a regular expression
KANA = "\u3041-\u309f\u30a0-\u30ff\u31f0-\u31ff"
_IDEOGRAPH = re.compile(f"[{IDEOGRAPHS}]")


def holds_ideographs(text: str) -> bool:
    return _IDEOGRAPH.search(text) is not None
