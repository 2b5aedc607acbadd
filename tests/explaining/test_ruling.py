"""Whether a rule agrees with what the model says, which is not always what is explained."""

from doxa.explaining.ruling import Ruling
from doxa.model.heads import Head
from doxa.records.outcome import Outcome
from doxa.records.record import Record
from doxa.rules.format import Rule, RuleFile


def test_a_label_that_is_explained_below_its_threshold_is_not_said():
    ruling = Ruling(RuleFile("", (Rule("r", "tags", "x", any=("loss",)), Rule("s", "tags", "y", any=("loss",))), ""),
                    [Head("tags", "labels", ("x", "y"), thresholds=(0.6, 0.3))], "text")
    outcome = Outcome(Record("made", 1, None, {"text": "a loss"}))
    outcome.added = {"explanation": {"tags": {"labels": [{"label": "x", "score": 0.5}, {"label": "y", "score": 0.4}]}}}
    ruling.apply([outcome])
    assert [rule["agrees"] for rule in outcome.added["explanation"]["tags"]["rules"]] == [False, True]
