"""The file of rules: TOML, read and checked whole before the first text."""

import hashlib
import math
import sys
import tomllib
from dataclasses import dataclass, replace
from typing import Any

import regex

from doxa.errors import UsageError
from doxa.rules.negation import NEGATIONS, SEEMING, TURNS
from doxa.rules.phrases import cut_phrase

_KEYS = ("head", "label", "any", "all", "none", "pattern", "number", "negation", "negation_scope", "firm")
_NUMBER_KEYS = ("near", "within", "unit", "above", "at_least", "below", "at_most")
_BOUNDS = ("above", "at_least", "below", "at_most")
SCOPE_WORDS, NEAR_WORDS = 3, 5


@dataclass(frozen=True)
class NumberRange:
    """A number with `unit` (None: any) between the bounds, at most `within` words from one of the phrases `near` (none: anywhere)."""

    near: tuple[str, ...] = ()
    within: int = NEAR_WORDS
    unit: str | None = None
    above: float = -math.inf
    at_least: float = -math.inf
    below: float = math.inf
    at_most: float = math.inf

    def holds(self, value: float) -> bool:
        return self.above < value < self.below and self.at_least <= value <= self.at_most


@dataclass(frozen=True)
class Rule:
    """What a text must hold to speak for `label` of `head`: one phrase of `any`, each of `all`, a match of `pattern`, a number; and
    nothing of `none`. What stands at most `scope` words after one of `negations`, and before one of `turns`, does not count, but for `seeming` ones. Where one
    that `is_final` fires, no later rule for its head is asked."""

    name: str
    head: str
    label: str
    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    pattern: regex.Pattern | None = None
    number: NumberRange | None = None
    negations: tuple[str, ...] = ()
    seeming: tuple[str, ...] = ()
    turns: tuple[str, ...] = ()
    scope: int = SCOPE_WORDS
    is_firm: bool = False
    is_final: bool = False


@dataclass(frozen=True)
class RuleFile:
    """`fingerprint` is the sha256 of the file, by which a run that goes on knows that the rules are the same."""

    path: str
    rules: tuple[Rule, ...]
    fingerprint: str


def read_rules(path: str) -> RuleFile:
    """Read a file of rules. Raises UsageError, in one line that names the rule and says what to do, for any mistake in it."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return RuleFile(path, parse_rules(raw, path), hashlib.sha256(raw).hexdigest())


def parse_rules(raw: bytes, path: str) -> tuple[Rule, ...]:
    """The rules of a file's bytes; `path` stands in messages. Raises UsageError."""
    try:
        content = tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8; convert it with iconv") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError, and so is what a number of 5,000 digits raises
        raise UsageError(f"{path} is not TOML: {error}") from None
    _check_keys(content, ("first", "words", "rules"), path)
    is_first = _truth(content.get("first", False), f"{path}: first")
    lists = _Lists(content.get("words", {}), path)
    tables = content.get("rules", {})
    if not isinstance(tables, dict) or not tables:
        raise UsageError(f"{path} holds no rule; a rule is a table [rules.NAME]")
    return tuple(replace(_parse_rule(name, table, lists, f'{path}: rule "{name}"'), is_final=is_first) for name, table in tables.items())


class _Lists:
    """The named word lists of a file; `@name` in a list of words stands for all of its words."""

    def __init__(self, tables: Any, path: str):
        if not isinstance(tables, dict):
            raise UsageError(f"{path}: [words] holds lists of words, as in: falls = [\"fell\", \"下跌\"]")
        self._lists: dict[str, tuple[str, ...]] = {}
        for name, words in tables.items():
            self._lists[name] = self.read(words, f'{path}: words "{name}"')

    def read(self, words: Any, place: str) -> tuple[str, ...]:
        """The words of a list, named lists unfolded. Raises UsageError for what is no word."""
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise UsageError(f'{place} must be a list of words and phrases, as in ["default*", "missed payment"]')
        found: list[str] = []
        for word in words:
            if word.startswith("@"):
                if word[1:] not in self._lists:
                    raise UsageError(f'{place}: there is no word list "{word[1:]}" before it under [words]; known: {", ".join(self._lists) or "none"}')
                found += self._lists[word[1:]]
                continue
            try:
                cut_phrase(word)
            except ValueError as error:
                raise UsageError(f'{place}: "{word}" {error}') from None
            found.append(word)
        return tuple(dict.fromkeys(found))


def _parse_rule(name: str, table: Any, lists: _Lists, place: str) -> Rule:
    if not isinstance(table, dict):
        raise UsageError(f"{place} must be a table: [rules.{name}]")
    if not name.strip():
        raise UsageError(f"{place} needs a name")
    _check_keys(table, _KEYS, place)
    for key in ("head", "label"):
        if not isinstance(table.get(key), str) or not table[key]:
            raise UsageError(f'{place} needs a {key}, as in {key} = "{"topic" if key == "head" else "credit"}"')
    words = {key: lists.read(table.get(key, []), f"{place}: {key}") for key in ("any", "all", "none")}
    pattern = _parse_pattern(table.get("pattern"), place)
    number = _parse_number(table["number"], lists, place) if "number" in table else None
    if not (words["any"] or words["all"] or pattern or number):
        raise UsageError(f"{place} looks for nothing; give it any, all, pattern or number")
    negations, seeming, turns = _parse_negation(table.get("negation", False), lists, place)
    if "negation_scope" in table and not negations:
        raise UsageError(f"{place}: negation_scope goes with negation; add negation = true")
    return Rule(name, table["head"], table["label"], **words, pattern=pattern, number=number, negations=negations, seeming=seeming, turns=turns,
                scope=_whole(table.get("negation_scope", SCOPE_WORDS), f"{place}: negation_scope"), is_firm=_truth(table.get("firm", False), f"{place}: firm"))


def _parse_pattern(text: Any, place: str) -> regex.Pattern | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise UsageError(f"{place}: pattern must be a text in single quotes")
    try:
        pattern = regex.compile(text, regex.IGNORECASE)
    except (regex.error, RecursionError, OverflowError) as error:
        raise UsageError(f"{place}: pattern is no regular expression: {error}") from None
    if pattern.fullmatch(""):
        raise UsageError(f"{place}: pattern finds the empty text, which is everywhere; let it ask for something")
    return pattern


def _parse_number(table: Any, lists: _Lists, place: str) -> NumberRange:
    if not isinstance(table, dict):
        raise UsageError(f'{place}: number must be a table, as in number = {{ near = ["fell"], above = 5, unit = "%" }}')
    place = f"{place}: number"
    _check_keys(table, _NUMBER_KEYS, place)
    bounds = {key: table[key] for key in _BOUNDS if key in table}
    for key, value in bounds.items():
        if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:  # an integer may be past it
            raise UsageError(f"{place}: {key} must be a number")
    if not bounds:
        raise UsageError(f"{place} needs a bound: above, at_least, below or at_most")
    low, high = max(table.get("above", -math.inf), table.get("at_least", -math.inf)), min(table.get("below", math.inf), table.get("at_most", math.inf))
    if low > high:
        raise UsageError(f"{place}: no number is above {low} and below {high}")
    unit = table.get("unit")
    if unit is not None and (not isinstance(unit, str) or not unit.strip()):
        raise UsageError(f'{place}: unit must be a text, as in unit = "%"')
    if "within" in table and "near" not in table:
        raise UsageError(f"{place}: within goes with near")
    return NumberRange(lists.read(table.get("near", []), f"{place}: near"), _whole(table.get("within", NEAR_WORDS), f"{place}: within"), unit, **bounds)


def _parse_negation(value: Any, lists: _Lists, place: str) -> tuple[tuple[str, ...], ...]:
    """Return the negating phrases, those that only seem to negate, and those that end what is negated."""
    if isinstance(value, bool):
        return (NEGATIONS, SEEMING, TURNS) if value else ((), (), ())
    if not isinstance(value, list):
        raise UsageError(f'{place}: negation must be true, or a list of words, as in ["not", "denies", "没有"]')
    return lists.read(value, f"{place}: negation"), (), ()


def _check_keys(table: dict[str, Any], known: tuple[str, ...], place: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f'{place}: unknown key "{key}"; known: {", ".join(known)}')


def _whole(value: Any, place: str) -> int:
    if type(value) is not int or value < 1:
        raise UsageError(f"{place} must be a whole number of words, 1 or more")
    return value


def _truth(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{place} must be true or false")
    return value
