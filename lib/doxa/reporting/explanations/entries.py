"""The entries of an explanation, every value checked: a record may have been altered since it was explained."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from doxa.model.kinds.kind import Kind
from doxa.model.kinds.marks import kinds_by_mark
from doxa.model.kinds.table import KINDS
from doxa.records.entries import find_kind
from doxa.records.figures import finite

DOUBT = 0.2  # a label that leads by less is doubtful
EVEN = 0.5  # where a label of many says neither yes nor no, unless it has a threshold
_MEASURES = ("comprehensiveness", "sufficiency", "random_comprehensiveness", "random_sufficiency")


@dataclass(frozen=True)
class Faithfulness:
    """What becomes of the score, on average, without the strongest words and with them alone, beside words taken at random.

    The measures are those of DeYoung et al. (2020), ERASER: a difference to the score of the whole text, mostly from -1 to 1."""

    comprehensiveness: float
    sufficiency: float
    random_comprehensiveness: float
    random_sufficiency: float

    @property
    def is_weak(self) -> bool:
        """Whether the named words do worse than random ones, in being taken away or in being kept alone, or no better in both.

        Two decimals count, as they are shown: where the model gives the same score whatever it reads, all words alone keep it."""
        gains = ((self.comprehensiveness, self.random_comprehensiveness), (self.random_sufficiency, self.sufficiency))
        signs = [round(own, 2) - round(other, 2) for own, other in gains]
        return min(signs) < 0 or max(signs) <= 0


@dataclass(frozen=True)
class Rule:
    """A rule that fired: what it says, what it met, and whether the model says the same (None: not told)."""

    name: str
    label: str
    agrees: bool | None
    matches: tuple[str, ...]


@dataclass(frozen=True)
class Said:
    """What a claim says in words, and where that stands in one of the record's texts, if it does."""

    text: str
    start: int | None
    end: int | None


@dataclass(frozen=True)
class Entry:
    """Why one text got one label of a head; `label` is None for what is a number, which is `called` something.

    `kind` is label, labels, number or claim: an entity, an answer, a choice, whose label is what it is called, and what was `said`; what a
    model wrote is a number, its perplexity. `gold` is a label, labels or a number, None where nobody knows; `tokens` are as they came."""

    head: str
    kind: str
    label: str | None
    score: float | None
    method: str
    unit: str
    runner_up: tuple[str, float | None] | None = None
    gold: Any = None
    faithfulness: Faithfulness | None = None
    rules: tuple[Rule, ...] = ()
    delta: float | None = None
    tokens: list = field(default_factory=list)
    called: str = "value"
    threshold: float = EVEN
    is_borne_out: bool | None = None  # what gold says of a claim
    said: Said | None = None

    @property
    def noun(self) -> str:
        """What faithfulness is told of."""
        if self.kind == "claim":
            return "evidence"
        return "score" if self.kind != "number" else "value" if self.said is None else "log-likelihood"

    @property
    def margin(self) -> float | None:
        """By how much the label leads, in units of the score; below 0 where the model itself says another label. Of a label of many, twice the way to its
        threshold."""
        if self.kind == "number" or self.score is None:
            return None
        if self.kind == "labels":
            return 2 * (self.score - self.threshold)
        other = self.runner_up[1] if self.runner_up else None
        return self.score - (1 - self.score if other is None else other)

    @property
    def is_doubtful(self) -> bool:
        """Whether a label leads by little, or a claim by little over all that might be said instead."""
        if self.margin is None:
            return False
        return self.margin < DOUBT if self.kind == "claim" else abs(self.margin) < DOUBT

    @property
    def predicted(self) -> str | None:
        """The label that the model itself gives."""
        return self.runner_up[0] if self.runner_up and self.margin is not None and self.margin < 0 else self.label

    @property
    def is_unsaid(self) -> bool:
        """Whether a label of many is explained that the model does not say."""
        return self.kind == "labels" and self.score is not None and self.score < self.threshold

    @property
    def is_mistake(self) -> bool:
        """Whether the gold label is known, and another one than the model's."""
        if self.kind == "claim":
            return self.is_borne_out is False
        if self.gold is None or self.kind == "number":
            return False
        if self.kind == "labels":
            return self.label not in self.gold and (self.score or 0) >= self.threshold
        return self.gold != self.predicted

    @property
    def is_contradicted(self) -> bool:
        """Whether a rule that fired says another label than the model."""
        return any(rule.agrees is False for rule in self.rules)

    @property
    def is_weak(self) -> bool:
        return self.faithfulness is not None and self.faithfulness.is_weak


def read_entries(explanation: Any, fields) -> Iterator[Entry | None]:
    """Each label of each head that the field `explanation` holds; None for one that is not of its shape.

    `fields` is the record, which may hold a gold label under the head's name."""
    for head, content in explanation.items() if isinstance(explanation, dict) else [("", None)]:
        kind = KINDS.get(find_kind(content, kinds_by_mark) or "") if isinstance(content, dict) else None
        if not isinstance(content, dict):
            yield None
        elif kind is not None and not kind.shares:
            claims = content.get(kind.claims_key) if kind.claims_key else [content]
            for claim in claims if isinstance(claims, list) else [None]:
                yield _read_claim(head, kind, claim, fields)
        elif isinstance(content.get("labels"), list):
            for part in content["labels"]:
                yield _read_entry(head, "labels", {**content, **part} if isinstance(part, dict) else {}, fields.get(head))
        else:
            yield _read_entry(head, "label" if "label" in content else "number", content, fields.get(head))


def _read_claim(head: str, kind: Kind, content: Any, fields) -> Entry | None:
    if not isinstance(content, dict) or not isinstance(content.get("tokens"), list):
        return None
    told, score = kind.tell(content), finite(content.get("score"))
    if score is None or not isinstance(told.name, str):
        return None
    said = Said(told.text, *(place if type(place) is int else None for place in (told.start, told.end))) if isinstance(told.text, str) else None
    is_borne_out, gold = _judge_claim(head, kind, content, fields) or (None, None)
    return Entry(head, "claim" if told.is_sure else "number", told.name if told.is_sure else None, score, _text(content.get("method")) or "method not told",
                 _text(content.get("unit")) or "word", faithfulness=_faithfulness(content.get("faithfulness")), tokens=content["tokens"], called=told.name, said=said,
                 gold=gold, is_borne_out=is_borne_out)


def _judge_claim(head: str, kind: Kind, content: dict, fields) -> tuple[bool, str] | None:
    """What gold says of a claim, where the record holds it under the head's name and both make sense."""
    try:
        gold = kind.read_gold(fields.get(head))
        return None if gold is None else kind.bear_out(content, gold, fields)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
        return None


def _read_entry(head: str, kind: str, content: dict, gold: Any) -> Entry | None:
    label, score, tokens = content.get("label"), finite(content.get("score")), content.get("tokens")
    if not isinstance(tokens, list) or (score is None if kind == "number" else not isinstance(label, str)):
        return None
    return Entry(head, kind, None if kind == "number" else label, score, _text(content.get("method")) or "method not told",
                 _text(content.get("unit")) or "word", _runner_up(content.get("runner_up")), _gold(kind, gold),
                 _faithfulness(content.get("faithfulness")), tuple(_rules(content.get("rules"))), finite(content.get("delta")), tokens,
                 threshold=EVEN if finite(content.get("threshold")) is None else finite(content["threshold"]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _runner_up(value: Any) -> tuple[str, float | None] | None:
    return (value["label"], finite(value.get("score"))) if isinstance(value, dict) and isinstance(value.get("label"), str) else None


def _gold(kind: str, value: Any) -> Any:
    """The gold value if it is of the head's kind; a label stands for a list of one."""
    if kind == "number":
        return finite(value)
    if kind == "label":
        return value if isinstance(value, str) else None
    if isinstance(value, list):
        return tuple(label for label in value if isinstance(label, str))
    return (value,) if isinstance(value, str) else None


def _faithfulness(value: Any) -> Faithfulness | None:
    figures = [finite(value.get(name)) for name in _MEASURES] if isinstance(value, dict) else [None]
    return None if None in figures else Faithfulness(*figures)


def _rules(value: Any) -> Iterator[Rule]:
    for rule in value if isinstance(value, list) else ():
        if isinstance(rule, dict) and isinstance(rule.get("name"), str):
            matches = rule.get("matches") if isinstance(rule.get("matches"), list) else []
            found = dict.fromkeys(match["text"] for match in matches if isinstance(match, dict) and isinstance(match.get("text"), str))
            agrees = rule.get("agrees")
            yield Rule(rule["name"], _text(rule.get("label")), agrees if isinstance(agrees, bool) else None, tuple(found))
