"""Tagging: a label for every token, and the entities that they make."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from doxa.errors import DoxaError, RecordError
from doxa.metrics.bio import IOB1, find_odd, is_span_tag, lenient_spans, spans_to_tags, tags_to_spans
from doxa.metrics.entity_figures import is_tags
from doxa.metrics.tallied import Tallied
from doxa.metrics.token_figures import tag_figures
from doxa.model.heads import SCORE_DIGITS, Head
from doxa.model.kinds.kind import Kind, Lesson, Stock, Told, read_json, read_list
from doxa.model.kinds.tokenwise import IGNORED, TokenPlaces, gather_tokens, lay_out_text, log_odds, log_softmax
from doxa.records.record import MISSING, Record, json_type
from doxa.records.text_fields import TextFields
from doxa.text.frame import Reading
from doxa.text.question import Layout, Question
from doxa.text.segments import find_pieces, join_tokens
from doxa.text.tokenizer import TextTokenizer

OUTSIDE = "O"
PLAIN = "plain"  # a scheme of labels that make no entities of several tokens, such as parts of speech


@dataclass(frozen=True, slots=True)
class Units:
    """What gets a tag each: spans of characters. `is_given` where they are the record's own tokens."""

    spans: list[tuple[int, int]]
    is_given: bool


class Tags(Kind):
    """BIO tags by the best path that is well-formed. The units are the record's `tokens`, else pieces of its text; a unit's tag is read at
    its first token of the model (Devlin et al. 2019).

    Whether a model that doxa did not write learnt IOB2 or IOB1 cannot be seen from its labels. There each tag is the likeliest by itself, and an
    `I-` that goes on with nothing opens an entity, as transformers' pipeline has it with aggregation_strategy="simple"."""

    name = "tags"
    stock = Stock("AutoModelForTokenClassification", "ForTokenClassification", "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES", "token classifier", per_token=True)
    softmax_over = "labels"
    has_labels = True
    learns_from = '"tokens" and a tag for each of them, or a text and a list of its entities {start, end, label}'
    marks = ("entities",)
    is_explained = True
    claims_key = "entities"

    def read_question(self, record: Record, fields: TextFields) -> Question:
        if record.get("tokens") in (MISSING, None) or fields.is_given:
            if not fields.is_given and record.get(fields.text) is MISSING:
                raise RecordError("missing_field", f'fields "tokens" and "{fields.text}" are missing; name the field of a text with --text-field')
            text = record.get_text(fields.text)
            return Question((text,), more=Units(find_pieces(text), False))
        tokens = read_list(record, "tokens")
        odd = next((token for token in tokens if not isinstance(token, str)), "")
        if odd != "":
            raise RecordError("bad_tokens", f'field "tokens" holds {json_type(odd)}; all tokens have to be texts')
        text, spans = join_tokens(tokens)
        if not text or text.isspace():
            raise RecordError("empty_text", 'field "tokens" holds no text')
        return Question((text,), more=Units(spans, True))

    def read_gold(self, value: Any) -> list[str] | list[dict[str, Any]] | None:
        """Tags in BIO, or entities as {start, end, label}."""
        value = read_json(value)
        if value is None:
            return None
        if isinstance(value, list) and value and all(isinstance(tag, str) and tag for tag in value):
            odd = find_odd([value])
            if odd:
                raise ValueError(f"holds tags of spans, such as B-PER, and {odd!r}, which is none")
            return value
        if isinstance(value, list) and all(map(_is_entity, value)):
            return [{key: entity[key] for key in ("start", "end", "label")} for entity in value]
        raise ValueError("is neither a list of tags nor a list of entities with start, end and label")

    def check(self, question: Question, gold: Any) -> None:
        if is_tags(gold):
            if not question.more.is_given:
                raise ValueError('holds tags, but the record has no "tokens" that they are for')
            if len(gold) != len(question.more.spans):
                raise ValueError(f"holds {len(gold)} tags for {len(question.more.spans)} tokens")
        elif any(entity["end"] > len(question.texts[0]) for entity in gold):
            raise ValueError("holds an entity that ends behind the text")

    def find_odd(self, gold: list[Any]) -> list[int]:
        if find_odd(filter(is_tags, gold)) is None:
            return []
        return [place for place, own in enumerate(gold) if is_tags(own) and _is_plain(own)]

    def decide_head(self, name: str, gold: list[Any]) -> Head:
        values = [value for value in gold if value]
        sequences = list(filter(is_tags, values))
        odd = find_odd(sequences)
        if odd:
            raise DoxaError(f'field "{name}" holds tags of spans, such as B-PER, and {odd!r}, which is none; mend it or leave such records out')
        tags = {tag for value in sequences for tag in value}
        if _is_plain(tags):
            labels, settings = tuple(sorted(tags)), {"scheme": PLAIN}
        else:
            named = {label for value in sequences for *_, label in lenient_spans(value)} | {entity["label"] for value in values for entity in value if isinstance(entity, dict)}
            labels, settings = (OUTSIDE, *(f"{begin}-{label}" for label in sorted(named) for begin in "BI")), {}
        if len(labels) < 2:
            raise DoxaError(f'field "{name}" holds no entity; there is nothing to learn')
        return Head(name, self.name, labels, settings=settings)

    def adopt(self, head: Head, directory: str) -> Head:
        if _is_plain(head.labels):
            return replace(head, settings=head.settings | {"scheme": PLAIN})
        may_be_iob1 = all(label[0] in "BIO" for label in head.labels)
        return replace(head, settings=head.settings | {"scheme": IOB1}) if may_be_iob1 else head

    def lay_out(self, questions: list[Question], tokenizer: TextTokenizer, reading: Reading) -> list[Layout | RecordError]:
        return lay_out_text(questions, tokenizer, reading)

    def teach(self, question: Question, layout: Layout, gold: Any, head: Head) -> list[Lesson]:
        ids = {label: i for i, label in enumerate(head.labels)}
        spans = question.more.spans
        tags = _learnt_tags(gold, head) if is_tags(gold) else spans_to_tags(_cover(gold, spans), len(spans))
        wanted = np.full(layout.about.n_tokens, IGNORED)
        firsts = layout.about.first_tokens(spans)
        for first, tag in zip(firsts[::-1], tags[::-1]):  # of units within one token of the model, the first decides
            if first >= 0:
                wanted[first] = ids.get(tag, IGNORED)
        return [Lesson([window], place.spread(wanted, len(window.ids), IGNORED)) for window, place in zip(layout.windows, layout.about.places)]

    def answer_one(self, layout: Layout, outputs: Sequence[np.ndarray], head: Head, with_scores: bool) -> dict[str, Any] | None:
        logits = gather_tokens(outputs, layout.about)
        return _tag(logits, layout.about, head) if np.isfinite(logits[layout.about.is_read]).all() else None

    def arrow_type(self, head: Head, with_scores: bool) -> list[tuple[str, pa.DataType]]:
        return [("entities", pa.list_(pa.struct(self.claim_type(head)))), ("tags", pa.list_(pa.string()))]

    def claims(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        return entry["entities"]

    def labels_of(self, head: Head) -> list[str]:
        return sorted({_entity_label(tag) for tag in head.labels if tag != OUTSIDE})

    def claim_type(self, head: Head) -> list[tuple[str, pa.DataType]]:
        return [("start", pa.int64()), ("end", pa.int64()), ("label", pa.string()), ("score", pa.float64()), ("text", pa.string())]

    def tell(self, claim: dict[str, Any]) -> Told:
        return Told(claim.get("label"), claim.get("text"), claim.get("start"), claim.get("end"))

    def bear_out(self, claim: dict[str, Any], gold: Any, record: Record | Mapping[str, Any]) -> tuple[bool, str] | None:
        """What gold says is what it has where the claim is."""
        if is_tags(gold):
            text, spans = join_tokens(read_json(record.get("tokens")))
            if _is_plain(gold) or len(spans) != len(gold):
                return None
            entities = [(spans[first][0], spans[last - 1][1], label) for first, last, label in lenient_spans(gold)]
        else:
            text, entities = record.get("text"), [(entity["start"], entity["end"], entity["label"]) for entity in gold]
        there = [(start, end, label) for start, end, label in entities if start < claim["end"] and claim["start"] < end]
        words = [f"{text[start:end]} ({label})" if isinstance(text, str) else label for start, end, label in there]
        return (claim["start"], claim["end"], claim["label"]) in there, ", ".join(words) or "no entity"

    def weigh(self, claim: dict[str, Any], layout: Layout, outputs: Sequence[np.ndarray], head: Head) -> float:
        """The mean over the entity's units of the log-odds that the unit is of an entity with this label."""
        windows, weigh = self.weigher(claim, layout, head)
        return weigh([outputs[window] for window in windows])

    def weigher(self, claim: dict[str, Any], layout: Layout, head: Head) -> tuple[list[int], Callable[[Sequence[np.ndarray]], float]]:
        """Few windows tell of an entity: those that count for its tokens."""
        places: TokenPlaces = layout.about
        units = [(start, end) for start, end in places.question.more.spans if start < claim["end"] and claim["start"] < end]
        firsts = places.first_tokens(units)
        firsts = firsts[firsts >= 0]
        firsts = firsts[places.is_read[firsts]]
        windows, own = np.unique(places.owners[0][firsts], return_inverse=True)
        rows = list(zip(own.tolist(), places.owners[1][firsts].tolist()))
        chosen = np.array([_entity_label(tag) == claim["label"] for tag in head.labels])
        return windows.tolist(), lambda outputs: float(log_odds(np.stack([outputs[window][row] for window, row in rows]) / head.temperature, chosen).mean())

    def judge(self, gold: list[Any], *said: list[dict[str, Any]]) -> Tallied:
        return tag_figures(gold, *said)

    def simple(self, train: list[tuple[Question, Any]], questions: list[Question]) -> dict[str, list[dict[str, Any]]]:
        """Of tokens that make entities, every entity of training wherever it stands, longest first; else each token's commonest tag."""
        if any(is_tags(gold) and _is_plain(gold) for _, gold in train):
            return {"commonest tag": _commonest_tags(train, questions)}
        counts: dict[tuple[str, ...], Counter] = defaultdict(Counter)
        for question, gold in train:
            words = _words(question)
            spans = lenient_spans(gold) if is_tags(gold) else _cover(gold, question.more.spans)
            for start, end, label in spans:
                counts[words[start:end]][label] += 1
        known = {words: found.most_common(1)[0][0] for words, found in counts.items()}
        return {"dictionary": [_entry(question, _look_up(_words(question), known)) for question in questions]}


def _tag(logits: np.ndarray, places: TokenPlaces, head: Head) -> dict[str, Any]:
    """The entry of one text by the outputs (T, C) of its tokens; a unit that no token stands for is outside."""
    units: Units = places.question.more
    text = places.question.texts[0]
    firsts = places.first_tokens(units.spans)
    is_read = (firsts >= 0) & places.is_read[firsts]
    scores = log_softmax(logits[np.where(is_read, firsts, 0)] / head.temperature)  # (units, C)
    scheme = head.settings.get("scheme")
    is_plain = scheme == PLAIN
    if OUTSIDE in head.labels:
        scores[~is_read] = np.where(np.array(head.labels) == OUTSIDE, 0.0, -np.inf)
    goes_on = np.zeros(len(firsts), bool)  # units of one token of the model (银行, as Qwen reads it, or what WordPiece does not know) are not parted
    goes_on[1:] = is_read[1:] & (firsts[1:] == firsts[:-1])
    own = scores[~goes_on]
    path = own.argmax(axis=1) if scheme else best_path(own, head.labels)
    whose = np.cumsum(~goes_on) - 1
    tags = [head.labels[i] for i in path[whose]]
    tags = ["I" + tag[1:] if is_on and not is_plain and tag[:2] in ("B", "B-") else tag for tag, is_on in zip(tags, goes_on)]
    sure = np.exp(own[np.arange(len(path)), path])[whose]
    runs = [(i, i + 1, tag) for i, tag in enumerate(tags) if tag != OUTSIDE] if is_plain else tags_to_spans(tags, scheme)
    if not is_plain:
        tags = spans_to_tags(runs, len(tags))  # other models have other schemes
    entities = []
    for first, end, label in runs:
        start, stop = units.spans[first][0], units.spans[end - 1][1]
        entities.append({"start": start, "end": stop, "label": label, "score": round(float(sure[first:end].mean()), SCORE_DIGITS), "text": text[start:stop]})
    return {"entities": entities} | ({"tags": tags} if units.is_given else {})


def best_path(scores: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """The likeliest sequence of BIO tags (N,) by their log probabilities (N, C) in which every I- goes on with an entity of its label (Viterbi 1967)."""
    n, n_labels = scores.shape
    inside, may_follow = _grammar(labels)
    path = scores.argmax(axis=1)
    if not n or not inside[path[0]] and may_follow[path[:-1], path[1:]].all():
        return path
    costs = np.where(may_follow, 0.0, -np.inf)
    best, back = np.where(inside, -np.inf, scores[0]), np.zeros((n, n_labels), int)
    for i in range(1, n):
        reached = best[:, None] + costs
        back[i] = reached.argmax(axis=0)
        best = reached[back[i], np.arange(n_labels)] + scores[i]
    for i in range(n - 1, -1, -1):
        path[i] = best.argmax() if i == n - 1 else back[i + 1][path[i + 1]]
    return path


@lru_cache
def _grammar(labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which labels go on with an entity (C,), and which may follow which (before, after). Where nothing begins entities of a label, `I-` does."""
    inside = np.array([label[:2] == "I-" and f"B-{label[2:]}" in labels for label in labels])
    own = np.array([label[2:] if label[:2] in ("B-", "I-") else "" for label in labels])
    return inside, ~inside[None, :] | (own[:, None] == own[None, :])


def _cover(entities: list[dict[str, Any]], spans: list[tuple[int, int]]) -> list[tuple[int, int, str]]:
    """Entities as spans of units, those that they touch; an entity that overlaps an earlier one is left to that."""
    found, end_of_last = [], 0
    for entity in sorted(entities, key=lambda entity: (entity["start"], -entity["end"])):
        touched = [i for i, (start, end) in enumerate(spans) if start < entity["end"] and entity["start"] < end]
        if touched and touched[0] >= end_of_last:
            end_of_last = touched[-1] + 1
            found.append((touched[0], end_of_last, entity["label"]))
    return found


def _words(question: Question) -> tuple[str, ...]:
    return tuple(question.texts[0][start:end] for start, end in question.more.spans)


def _look_up(words: tuple[str, ...], known: dict[tuple[str, ...], str]) -> list[tuple[int, int, str]]:
    """The spans of units that are known, from left to right, the longest at each place."""
    longest = max(map(len, known), default=0)
    found, at = [], 0
    while at < len(words):
        end = next((end for end in range(min(len(words), at + longest), at, -1) if words[at:end] in known), None)
        if end is not None:
            found.append((at, end, known[words[at:end]]))
        at = end or at + 1
    return found


def _entry(question: Question, spans: list[tuple[int, int, str]]) -> dict[str, Any]:
    """What is said of spans of units that are sure."""
    units, text = question.more, question.texts[0]
    entities = [{"start": units.spans[first][0], "end": units.spans[end - 1][1], "label": label} for first, end, label in spans]
    return {"entities": [entity | {"score": 1.0, "text": text[entity["start"] : entity["end"]]} for entity in entities],
            "tags": spans_to_tags(spans, len(units.spans))}


def _commonest_tags(train: list[tuple[Question, list[str]]], questions: list[Question]) -> list[dict[str, Any]]:
    counts: dict[str, Counter] = defaultdict(Counter)
    for question, tags in train:
        for word, tag in zip(_words(question), tags):
            counts[word][tag] += 1
    commonest = sum(counts.values(), Counter()).most_common(1)[0][0]
    return [{"entities": [], "tags": [counts[word].most_common(1)[0][0] if word in counts else commonest for word in _words(question)]}
            for question in questions]


def _is_entity(value: Any) -> bool:
    return (isinstance(value, dict) and type(value.get("start")) is int and type(value.get("end")) is int and 0 <= value["start"] < value["end"]
            and isinstance(value.get("label"), str) and bool(value["label"]))


def _entity_label(tag: str) -> str:
    """The label of the entities that a tag is of."""
    return tag[2:] if is_span_tag(tag) and tag != OUTSIDE else tag


def _learnt_tags(tags: list[str], head: Head) -> list[str]:
    return tags if head.settings.get("scheme") == PLAIN or _is_plain(tags) else spans_to_tags(lenient_spans(tags), len(tags))


def _is_plain(tags) -> bool:
    """Whether labels follow no scheme of beginnings and insides."""
    return not all(map(is_span_tag, tags))
