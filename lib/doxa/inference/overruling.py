"""Firm rules over a model's predictions: where one fires, its label stands, and its name beside it."""

from typing import Any

from doxa.errors import RecordError, UsageError
from doxa.model.heads import Head
from doxa.records.outcome import Outcome
from doxa.rules.beside import check_heads
from doxa.rules.format import RuleFile
from doxa.rules.match import RuleBook


class Overruling:
    """The firm rules of a file, for the heads of a model. `notes` are for the user.

    `n_contradicted` counts the records on which firm rules contradict each other, so that the model's label stayed. Raises
    UsageError where a head has no labels to rule on, the file has no firm rule for these heads, or one with a label that its head does not know.
    """

    def __init__(self, file: RuleFile, heads: list[Head], text_field: str, with_scores: bool):
        if others := [head for head in heads if head.kind not in ("label", "labels", "number")]:
            raise UsageError(f'--rules is for heads of label and labels; head "{others[0].name}" is one of {others[0].kind}')
        self.heads = {head.name: head for head in heads}
        self.notes = check_heads(file.rules, {head.name: head.labels for head in heads}, file.path, firm_only=True)
        self.book = RuleBook(rule for rule in file.rules if rule.is_firm and rule.head in self.heads)
        self.text_field, self.with_scores = text_field, with_scores
        self.n_contradicted = 0

    @property
    def ruled_heads(self) -> frozenset[str]:
        """The heads that some firm rule is for."""
        return frozenset(rule.head for rule in self.book.rules)

    def apply(self, outcomes: list[Outcome]) -> None:
        """Change predictions in place. They hold the scores of all labels, which go unless they were asked for."""
        for outcome in outcomes:
            prediction = outcome.added.get("prediction")
            if prediction is None:
                continue
            try:
                text = outcome.record.get_text(self.text_field)
            except RecordError as error:  # its token ids were there
                outcome.error, outcome.added = RecordError(error.code, f"--rules reads the text: {error}"), {}
                continue
            self._overrule(prediction, text)
            if not self.with_scores:
                for entry in prediction.values():
                    _strip_scores(entry)

    def _overrule(self, prediction: dict[str, dict[str, Any]], text: str) -> None:
        fired: dict[str, dict[str, list[str]]] = {}  # head -> label -> names of its rules
        for firing in self.book.find(text):
            fired.setdefault(firing.rule.head, {}).setdefault(firing.rule.label, []).append(f"rule:{firing.rule.name}")
        is_contradicted = False
        for head, labels in fired.items():
            if self.heads[head].kind == "labels":
                _add_labels(prediction[head], labels, self.heads[head].labels)
            elif len(labels) == 1:
                [(label, names)] = labels.items()
                prediction[head].update(label=label, score=prediction[head]["scores"][label], by=names[0])
            else:
                is_contradicted = True
        self.n_contradicted += is_contradicted


def _add_labels(entry: dict[str, Any], labels: dict[str, list[str]], known: tuple[str, ...]) -> None:
    entry["labels"] = [label for label in known if label in labels or label in entry["labels"]]
    entry["by"] = [name for names in labels.values() for name in names]


def _strip_scores(entry: dict[str, Any]) -> None:
    if "labels" in entry:
        entry["scores"] = {label: entry["scores"][label] for label in entry["labels"]}
    else:
        entry.pop("scores", None)
