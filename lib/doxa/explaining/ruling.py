"""Rules beside explanations: which fired for a text, and whether the model says the same."""

from typing import Any

from doxa.model.heads import Head
from doxa.records.outcome import Outcome
from doxa.rules.beside import beside, check_heads
from doxa.rules.format import RuleFile
from doxa.rules.match import RuleBook


class Ruling:
    """The rules of a file that are for the heads explained. `notes` are for the user. Raises UsageError where none is."""

    def __init__(self, file: RuleFile, heads: list[Head], text_field: str):
        names = {head.name for head in heads if head.labels}
        self.notes = check_heads(file.rules, {head.name: head.labels for head in heads}, file.path)
        self.names, self.text_field = names, text_field
        self.thresholds = {head.name: dict(zip(head.labels, head.thresholds or [0.5] * len(head.labels))) for head in heads}
        self.book = RuleBook(rule for rule in file.rules if rule.head in names)

    def apply(self, outcomes: list[Outcome]) -> None:
        """Add `rules` to the explanation of every head of labels, a list that is empty where none fired."""
        for outcome in outcomes:
            explanation = outcome.added.get("explanation")
            if explanation is None:
                continue
            said = {head: _said(entry, self.thresholds[head]) for head, entry in explanation.items() if head in self.names}
            for head, fired in beside(self.book, outcome.record.get_text(self.text_field), said).items():
                explanation[head]["rules"] = fired


def _said(entry: dict[str, Any], thresholds: dict[str, float]) -> dict[str, Any]:
    """What the model predicts, which is not what is explained where that was asked for."""
    if "labels" in entry:
        return {"labels": [part["label"] for part in entry["labels"] if part["score"] >= thresholds[part["label"]]]}
    other = entry.get("runner_up")
    return other if other is not None and other["score"] > entry["score"] else {"label": entry.get("label")}
