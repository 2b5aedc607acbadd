"""The reliability diagram (DeGroot and Fienberg 1983): how often the label is right, by its score; geometry for inline SVG."""

from dataclasses import dataclass

from doxa.evaluation.figures import ReliabilityBin

SIDE = 100.0


@dataclass(frozen=True)
class Diagram:
    """In a box of 100 by 100, y growing downwards. `points` are (score, share right, its upper and its lower end); `bars` (x, y, width,
    height) count records, the fullest bin as high as the box."""

    points: list[tuple[float, float, float, float]]
    line: str
    bars: list[tuple[float, float, float, float]]
    most: int
    words: str


def draw_reliability(bins: list[ReliabilityBin]) -> Diagram | None:
    """None without bins."""
    if not bins:
        return None
    most = max(part.n for part in bins)
    points = [(_x(part.score), _y(part.right.value), _y(part.right.high), _y(part.right.low)) for part in bins]
    bars = [(_x(part.low + 0.1 * (part.high - part.low)), _y(part.n / most), _x(0.8 * (part.high - part.low)), _x(part.n / most)) for part in bins]
    line = "M" + "L".join(f"{x} {y}" for x, y, _, _ in points) if len(points) > 1 else ""
    return Diagram(points, line, bars, most, describe_reliability(bins))


def describe_reliability(bins: list[ReliabilityBin]) -> str:
    """The diagram in words: which scores are surely (95 %) too high or too low, and how many records they stand for."""
    n = sum(part.n for part in bins)
    high = [part for part in bins if part.right.high < part.score]
    low = [part for part in bins if part.right.low > part.score]
    told = [_tell(parts, words) for parts, words in ((high, "too high"), (low, "too low")) if parts]
    if not told:
        return f"{n:,} records in {len(bins)} bins; in no bin are scores surely (95 %) too high or too low."
    return f"{n:,} records in {len(bins)} bins; scores are surely {' and '.join(told)}."


def _tell(parts: list[ReliabilityBin], words: str) -> str:
    worst = max(parts, key=lambda part: abs(part.score - part.right.value))
    return (f"{words} in {len(parts)} of them, {sum(part.n for part in parts):,} records (furthest off: a mean score of {worst.score:.2f} where "
            f"{worst.right.value:.2f} are right)")


def _x(value: float) -> float:
    return round(SIDE * value, 2)


def _y(value: float) -> float:
    return round(SIDE * (1 - value), 2)
