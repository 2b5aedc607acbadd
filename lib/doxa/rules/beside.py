"""Rules beside a model: what fires for a text, and whether the model says the same."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from doxa.errors import UsageError
from doxa.rules.format import Rule
from doxa.rules.match import RuleBook


def beside(book: RuleBook, text: str, prediction: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """For every head of a prediction the rules that fire: `name`, `label`, `agrees` and `matches` (`text`, `start`, `end`: characters)."""
    found: dict[str, list[dict[str, Any]]] = {head: [] for head in prediction}
    for firing in book.find(text):
        rule = firing.rule
        if rule.head in found:
            matches = [{"text": text[start:end], "start": start, "end": end} for start, end in firing.spans]
            found[rule.head].append({"name": rule.name, "label": rule.label, "agrees": says(prediction[rule.head], rule.label), "matches": matches})
    return found


def says(entry: dict[str, Any], label: str) -> bool:
    """Whether a head's prediction holds a label."""
    return label in entry["labels"] if "labels" in entry else entry.get("label") == label


def check_heads(rules: Sequence[Rule], heads: dict[str, tuple[str, ...]], path: str, firm_only: bool = False) -> list[str]:
    """Hold rules against a model's `heads` (name -> labels; none for a number). Return notes on rules that are for other models.

    Raises UsageError for a label that its head does not know, and where no rule (no firm one) is for any of the heads."""
    strangers: Counter[str] = Counter()
    n_usable, known = 0, ", ".join(heads)
    for rule in rules:
        place = f'{path}: rule "{rule.name}"'
        if rule.head not in heads:
            strangers[rule.head] += 1
        elif not heads[rule.head]:
            raise UsageError(f'{place}: head "{rule.head}" gives a number, which has no labels; take the rule out')
        elif rule.label not in heads[rule.head]:
            raise UsageError(f'{place}: head "{rule.head}" has no label "{rule.label}"; it knows: {", ".join(heads[rule.head])}')
        else:
            n_usable += rule.is_firm or not firm_only
    if not n_usable and firm_only and strangers.total() < len(rules):
        raise UsageError(f"{path}: no rule for a head of this model ({known}) is firm; only rules with firm = true override")
    if not n_usable:
        raise UsageError(f"{path}: no rule is for a head of this model; its heads: {known}")
    return [f'{path}: {n} {"rule is" if n == 1 else "rules are"} for head "{head}", which this model has not ({known})' for head, n in strangers.items()]
