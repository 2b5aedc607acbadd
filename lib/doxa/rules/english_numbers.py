"""Whole numbers below two thousand in English words, such as twenty-five or two hundred and ten, with figures behind the point, and halves."""

import regex

_ONES = {word: i for i, word in enumerate("zero one two three four five six seven eight nine".split())}
_TEENS = {word: i for i, word in enumerate("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(), 10)}
_TENS = {word: 10 * i for i, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_ARTICLES = {"a": 1.0, "an": 1.0, "half a": 0.5, "half an": 0.5}
_HYPHEN = r"[\s\-\u2010\u2011]"
_ANY = "|".join(sorted((*_ONES, *_TEENS, *_TENS, "hundred"), key=len, reverse=True))
_FIGURE = "|".join(_ONES)
SCALE_WORDS = "thousand|million|billion|trillion"
# A whole run of such words, whether it makes a number or not, so that none is read from its middle.
ENGLISH = (rf"(?<![\w\-])(?:(?:half\s)?an?(?=\s(?:{SCALE_WORDS}|per\s?cent|percentage|pct|basis)\b)"
           rf"|(?:a\s(?=hundred))?(?:{_ANY})(?:{_HYPHEN}(?:and\s)?(?:{_ANY}))*+(?:\spoint(?:\s(?:{_FIGURE}))++|\sand\sa\shalf)?)\b")
# Part of a larger number (two million five hundred thousand), of a list, or a fraction of what is named (half of one percent).
IN_LARGER = regex.compile(rf"\b(?:(?:{_ANY}|{SCALE_WORDS}|point){_HYPHEN}(?:and\s)?|(?:half|quarters?|thirds?|fifths?|tenths?|hundredths?)\sof\s)$")
_WHOLE = regex.compile(rf"(?:(?P<hundreds>a|{'|'.join((*_ONES, *_TEENS))})\shundred)?(?(hundreds)(?:\s(?:and\s)?(?P<rest>.+))?|(?P<rest>.+))")
_REST = regex.compile(rf"(?P<tens>{'|'.join(_TENS)})(?:{_HYPHEN}(?P<ones>{'|'.join(list(_ONES)[1:])}))?|(?P<below>{'|'.join((*_ONES, *_TEENS))})")


def read_english(text: str) -> float | None:
    """The value of a run that ENGLISH finds in a folded text; None for words that make no number, such as `twenty hundred`."""
    if text in _ARTICLES:
        return _ARTICLES[text]
    text, half = text.removesuffix(" and a half"), 0.5 * text.endswith(" and a half")
    whole, _, fraction = text.partition(" point ")
    parts = _WHOLE.fullmatch(whole.strip())
    if parts is None:
        return None
    rest = _REST.fullmatch(parts["rest"]) if parts["rest"] else None
    if parts["rest"] and rest is None:
        return None
    known = _ONES | _TEENS | _TENS | {"a": 1, None: 0}
    value = 100 * known[parts["hundreds"]] + (known[rest["tens"]] + known[rest["ones"]] + known[rest["below"]] if rest else 0)
    return value + (float("0." + "".join(str(_ONES[word]) for word in fraction.split())) if fraction else half)
