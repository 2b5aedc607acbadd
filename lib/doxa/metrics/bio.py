"""Tags of tokens and the spans that they mark, in the schemes IOB2 (BIO), IOB1 and BIOES, which BILOU and BMES spell with other letters.

A tag is a prefix, a hyphen and a label (`B-PER`), or `O` for a token in no span; a prefix alone (`B`) has the label `_`. Spans are
(start, end, label) in tokens, end exclusive. Schemes: Ramshaw & Marcus (1995), Tjong Kim Sang & Veenstra (1999), Ratinov & Roth (2009)."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

Span = tuple[int, int, str]

IOB2, IOB1, BIOES = "IOB2", "IOB1", "BIOES"
NO_LABEL = "_"
_PREFIXES = {IOB2: "BIO", IOB1: "BIO", BIOES: "BIOES"}
_TAG = re.compile(r"O|([BIESMLU])(?:-(.+))?", re.DOTALL)
_SPELLING = {"M": "I", "L": "E", "U": "S"}
_OUTSIDE = ("O", "")
_MANY = 1 << 14  # tags of which is kept what they say: a corpus has few of them, many times


@lru_cache(_MANY)
def is_span_tag(tag: str) -> bool:
    """Whether a tag can be one of a span; a part of speech (`NN`) cannot."""
    return _TAG.fullmatch(tag) is not None


def find_odd(sequences: Iterable[Sequence[str]]) -> str | None:
    """The first tag that can be none of a span, where most that are not `O` name the label of one; None where there is none, or where most do not: those
    are labels of single tokens, as parts of speech are."""
    odd, n_odd, n_labelled = None, 0, 0
    for tags in sequences:
        for tag in tags:
            if not is_span_tag(tag):
                odd, n_odd = odd or tag, n_odd + 1
            elif "-" in tag:
                n_labelled += 1
    return odd if n_labelled > n_odd else None


def find_scheme(sequences: Iterable[Sequence[str]]) -> str:
    """The scheme of a corpus: exact where all its sequences are faultless in any, IOB2 where they are in none.

    Only BIOES ends spans with a tag of their own. In IOB1 `B-` stands only between spans of one label that touch, so that a first
    span begins with `I-`, which IOB2 never has. Raises ValueError for a tag that is none of a span."""
    starts_inside = False
    parts_only = True
    for tags in sequences:
        parts = list(map(_split, tags))
        if any(prefix in "ES" for prefix, _ in set(parts)):
            return BIOES
        for (_, before), (prefix, label) in zip([_OUTSIDE, *parts], parts):
            starts_inside |= prefix == "I" and before != label
            parts_only &= prefix != "B" or before == label
    return IOB1 if starts_inside and parts_only else IOB2


def lenient_spans(tags: Sequence[str]) -> list[Span]:
    """The spans of a sequence in any scheme that is not strict with it: where `I-` goes on with nothing, one begins (as in conlleval). Raises ValueError."""
    return tags_to_spans(tags, BIOES if find_scheme([tags]) == BIOES else IOB1)


def tags_to_spans(tags: Sequence[str], scheme: str | None = None) -> list[Span]:
    """The spans of a sequence of tags, in order; `scheme` None finds it by this one alone.

    Strict, as seqeval's mode of that name: what does not begin as its scheme says is no span (IOB2: `I-PER` after `O` or after another
    label), and in BIOES what is not ended neither. Raises ValueError for a tag that is none of the scheme."""
    scheme = scheme or find_scheme([tags])
    spans: list[Span] = []
    start, held = None, ""
    parts = [*map(_split, tags), _OUTSIDE]
    odd = {prefix for prefix, _ in set(parts)} - set(_PREFIXES[scheme])
    if odd:
        tag = next(tag for tag, (prefix, _) in zip(tags, parts) if prefix in odd)
        examples = ", ".join(f"{letter}-PER" for letter in _PREFIXES[scheme] if letter != "O")
        raise ValueError(f"{tag!r} is no tag of {scheme}, which has {examples} and O")
    for place, (prefix, label) in enumerate(parts):
        if start is not None and prefix in "IE" and label == held:
            if prefix == "E":
                spans.append((start, place + 1, held))
                start = None
            continue
        if start is not None and scheme != BIOES:
            spans.append((start, place, held))
        start = None
        if prefix == "B" or prefix == "I" and scheme == IOB1:
            start, held = place, label
        elif prefix == "S":
            spans.append((place, place + 1, label))
    return spans


def spans_to_tags(spans: Iterable[Span], n_tokens: int) -> list[str]:
    """IOB2 tags (n_tokens) of spans in any order. Raises ValueError where one is empty or outside, or two overlap: tags cannot say that."""
    tags = ["O"] * n_tokens
    for start, end, label in sorted(spans):
        if not 0 <= start < end <= n_tokens:
            raise ValueError(f"a span from {start} to {end} does not fit {n_tokens} tokens")
        if any(tag != "O" for tag in tags[start:end]):
            raise ValueError(f"two spans overlap at token {start}; tags cannot say that")
        tags[start:end] = [f"B-{label}"] + [f"I-{label}"] * (end - start - 1)
    return tags


@lru_cache(_MANY)
def _split(tag: str) -> tuple[str, str]:
    """Prefix, in the letters of BIOES, and label."""
    found = _TAG.fullmatch(tag)
    if not found:
        raise ValueError(f"{tag!r} is no tag of a span, such as B-PER, I-PER or O")
    prefix, label = found.groups()
    return (_SPELLING.get(prefix, prefix), label or NO_LABEL) if prefix else _OUTSIDE
