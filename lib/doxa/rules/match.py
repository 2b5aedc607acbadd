"""Rules against texts: which ones fire, and where."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, islice, takewhile

from doxa.errors import DoxaError
from doxa.rules.format import NumberRange, Rule
from doxa.rules.negation import is_negated, standing
from doxa.rules.numbers import find_numbers, number_pattern
from doxa.rules.phrases import Hit, PhraseIndex
from doxa.rules.words import PARTS_A_WORD, Layout, cut, fold

PATTERN_S, PATTERN_S_A_CHARACTER = 0.5, 1e-6  # the time that a pattern has for a text
MOST_TIMEOUTS = 10  # texts on which a pattern may run out of time, before the work ends
MOST_MATCHES = 100  # of a pattern in a text


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule that holds for a text, and its matches: (start, end) in characters of the text, in order, each once."""

    rule: Rule
    spans: tuple[tuple[int, int], ...]


class RuleBook:
    """Compiled rules. The words and phrases of all of them are looked for in one pass; patterns, one by one, after the rest."""

    def __init__(self, rules: Iterable[Rule]):
        self.rules = tuple(rules)
        numbers: dict[str, int] = {}
        self._parts = [_RuleParts(rule, numbers) for rule in self.rules]
        self._index = PhraseIndex(numbers)
        self._waking: dict[int, list[int]] = {}
        self._wakeful = [i for i, parts in enumerate(self._parts) if not parts.waking]
        for i, parts in enumerate(self._parts):
            for phrase in parts.waking:
                self._waking.setdefault(phrase, []).append(i)
        self._timeouts: Counter[str] = Counter()

    def find(self, text: str) -> list[Firing]:
        """The rules that fire for a text, in the order of the file; after one that is final none of its head.

        Raises DoxaError where a pattern runs out of time on text after text; on a few it counts as not found."""
        folded = fold(text)
        hits = self._index.find(cut(folded))
        awake = {i for hit in hits for i in self._waking.get(hit.phrase, ())}
        if not awake and not self._wakeful:
            return []
        view = _View(text, folded, hits)
        firings, decided = [], set()
        for i in sorted(awake.union(self._wakeful)):
            rule = self.rules[i]
            if rule.head not in decided and (spans := self._evaluate(self._parts[i], view)):
                firings.append(Firing(rule, tuple(sorted(set(spans)))))
                decided |= {rule.head} if rule.is_final else set()
        return firings

    def _evaluate(self, parts: "_RuleParts", view: "_View") -> list[tuple[int, int]]:
        """The matches of a rule; none where it does not fire."""
        if any(phrase in view.places for phrase in parts.none):
            return []
        spans = []
        if parts.any:
            found = [hit for phrase in parts.any if phrase in view.places for hit in view.standing(phrase, parts)]
            if not found:
                return []
            spans += map(view.span, found)
        for phrase in parts.all:
            found = view.standing(phrase, parts)
            if not found:
                return []
            spans += map(view.span, found)
        if parts.rule.number:
            found = list(self._numbers(parts, view))
            if not found:
                return []
            spans += found
        if parts.rule.pattern:
            found = list(self._pattern(parts, view))
            if not found:
                return []
            spans += found
        return spans

    def _numbers(self, parts: "_RuleParts", view: "_View") -> Iterator[tuple[int, int]]:
        """Numbers in the range, and the words they stand near."""
        wanted: NumberRange = parts.rule.number
        near = sorted((hit for phrase in parts.near for hit in view.standing(phrase, parts)), key=lambda hit: hit.first)
        if wanted.near and not near:
            return
        reach = list(accumulate((hit.last for hit in near), max))  # how far the first n of them go
        for number in find_numbers(parts.number_pattern, view.folded):
            if not wanted.holds(number.value):
                continue
            first, last = view.words_of(number.start, number.end)
            if not wanted.near:
                if not view.is_negated(first, parts):
                    yield number.start, number.end
                continue
            place = Hit(-1, first, last)
            middle = bisect_left(near, first, key=lambda hit: hit.first)
            before = takewhile(lambda n: reach[n] >= first or view.is_within(reach[n], first, wanted.within), range(middle - 1, -1, -1))
            after = takewhile(lambda n: near[n].first <= last or view.is_within(last, near[n].first, wanted.within), range(middle, len(near)))
            for n in chain(before, after):
                if view.are_near(place, near[n], wanted.within):
                    yield number.start, number.end
                    yield view.span(near[n])

    def _pattern(self, parts: "_RuleParts", view: "_View") -> Iterator[tuple[int, int]]:
        name, text = parts.rule.name, view.text
        try:
            for match in islice(parts.rule.pattern.finditer(text, timeout=PATTERN_S + PATTERN_S_A_CHARACTER * len(text)), MOST_MATCHES):
                start, end = match.span()
                if start < end and not (parts.negations and view.is_negated(view.words_of(start, end)[0], parts)):
                    yield start, end
        except TimeoutError:
            self._timeouts[name] += 1
            if self._timeouts[name] >= MOST_TIMEOUTS:
                raise DoxaError(f'rule "{name}": its pattern took more than {PATTERN_S} s on {MOST_TIMEOUTS} texts; make it simpler') from None


class _RuleParts:
    """A rule with numbers for its phrases. `waking` are those of which one must be there for the rule to fire."""

    def __init__(self, rule: Rule, numbers: dict[str, int]):
        def number(phrases: tuple[str, ...]) -> tuple[int, ...]:
            return tuple(numbers.setdefault(phrase, len(numbers)) for phrase in phrases)

        self.rule = rule
        self.any, self.all, self.none = number(rule.any), number(rule.all), number(rule.none)
        self.negations, self.seeming, self.turns = number(rule.negations), number(rule.seeming), number(rule.turns)
        self.near = number(rule.number.near) if rule.number else ()
        self.number_pattern = number_pattern(rule.number.unit) if rule.number else None
        self.waking = self.all[:1] or self.any or self.near


class _View:
    """A text with what was found in it; its layout is made when somebody asks."""

    def __init__(self, text: str, folded: str, hits: list[Hit]):
        self.text, self.folded = text, folded
        self.places: dict[int, list[Hit]] = {}
        for hit in hits:
            self.places.setdefault(hit.phrase, []).append(hit)
        self._layout: Layout | None = None
        self._negations: dict[tuple, tuple[list[Hit], list[Hit]]] = {}

    @property
    def layout(self) -> Layout:
        if self._layout is None:
            self._layout = Layout(self.folded)
        return self._layout

    def span(self, hit: Hit) -> tuple[int, int]:
        return self.layout.starts[hit.first], self.layout.ends[hit.last]

    def words_of(self, start: int, end: int) -> tuple[int, int]:
        """First and last word that the characters from start to end touch."""
        first = max(0, bisect_right(self.layout.ends, start))
        return min(first, len(self.layout.starts) - 1), max(first, bisect_left(self.layout.starts, end) - 1)

    def standing(self, phrase: int, parts: _RuleParts) -> list[Hit]:
        """Where a phrase is and nothing takes it back."""
        found = self.places.get(phrase, [])
        return [hit for hit in found if not self.is_negated(hit.first, parts)] if parts.negations else found

    def is_negated(self, place: int, parts: _RuleParts) -> bool:
        key = parts.negations
        if key not in self._negations:
            hits, seeming, turns = ([hit for phrase in phrases for hit in self.places.get(phrase, ())] for phrases in (parts.negations, parts.seeming, parts.turns))
            self._negations[key] = sorted(standing(hits, seeming), key=lambda hit: hit.last), sorted(turns, key=lambda hit: hit.first)
        negations, turns = self._negations[key]
        return bool(negations) and is_negated(place, negations, turns, self.layout, parts.rule.scope)

    def are_near(self, one: Hit, other: Hit, within: int) -> bool:
        """Whether at most `within` - 1 words stand between two places of one sentence."""
        before, after = (one, other) if one.first <= other.first else (other, one)
        if after.first <= before.last:
            return True
        return self.is_within(before.last, after.first, within) and self.layout.share_sentence(before.last, after.first)

    def is_within(self, first: int, second: int, within: int) -> bool:
        return self.layout.parts_between(first, second) < PARTS_A_WORD * within
