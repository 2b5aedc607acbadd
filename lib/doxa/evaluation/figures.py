"""What evaluate found, ready to be shown."""

from dataclasses import dataclass, field

from doxa.evaluation.mistakes import Mistake
from doxa.metrics.classification import Estimate


@dataclass(frozen=True)
class LabelFigures:
    """One label: rows that hold it, rows that were given it, and figures by name (precision, recall, f1, ...)."""

    label: str
    held: int
    said: int
    figures: dict[str, Estimate]


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows whose score lies in a bin: how many, their mean score, the share that is right with its Wilson interval."""

    low: float
    high: float
    n: int
    score: float
    right: Estimate


@dataclass(frozen=True)
class Slice:
    """The rows of one value, with their figures but for those of scores; `is_few` when they are too few to be ranked."""

    name: str
    n: int
    figures: dict[str, Estimate]
    is_few: bool


@dataclass
class HeadEvaluation:
    """One head. `headline` is the figure that decides, `small` are those of a slice; of `lower_is_better` less is better. `confusion` counts gold (rows) by predicted (columns) over `labels`; of a head of many labels it is None.
    `undefined` are figures that these records do not define, as a correlation of numbers that are all alike."""

    head: str
    kind: str
    n: int
    lost: dict[str, int]
    figures: dict[str, Estimate]
    headline: str
    small: tuple[str, ...]
    lower_is_better: frozenset[str]
    labels: list[LabelFigures] = field(default_factory=list)
    confusion: list[list[int]] | None = None
    reliability: list[ReliabilityBin] = field(default_factory=list)
    slices: dict[str, list[Slice]] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    signature: str = ""
    undefined: list[str] = field(default_factory=list)


@dataclass
class Evaluation:
    """All heads of a stream of `n_records`, of which `errors` (code -> number) carry an error and `n_unmet` were not asked for."""

    title: str
    n_records: int
    n_good: int
    errors: dict[str, int]
    n_unmet: int
    heads: list[HeadEvaluation]
    notes: list[str]
    conditions: list[str]
    by: str | None
    version: str
