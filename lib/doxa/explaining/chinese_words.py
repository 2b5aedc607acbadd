"""Words of Chinese, which has no spaces between them, as jieba's dictionary and its hidden Markov model cut them."""

from types import ModuleType

import regex

from doxa.device.extras import load_extra
from doxa.text.segments import Span, find_words, join_runs

CHINESE_WORD = "chinese-word"
_HAN = regex.compile(r"\p{Han}")


def find_chinese_words(text: str) -> list[Span]:
    """As `find_words` has them, but for neighbouring characters of Chinese, which are put together to words. Raises DoxaError where jieba is not installed."""
    jieba = load_segmenter()
    spans: list[Span] = []
    for run in join_runs(find_words(text), lambda before, span: before[1] == span[0] and _is_han(text, before) and _is_han(text, span)):
        start, end = run[0][0], run[-1][1]
        spans += run if len(run) == 1 else [(start + first, start + last) for _, first, last in jieba.tokenize(text[start:end])]
    return spans


def load_segmenter() -> ModuleType:
    """Jieba in Rust, with its dictionary inside. Raises DoxaError where it is not installed."""
    return load_extra("rjieba", "chinese", f"--unit {CHINESE_WORD}")


def _is_han(text: str, span: Span) -> bool:
    start, end = span
    return end == start + 1 and _HAN.match(text[start]) is not None
