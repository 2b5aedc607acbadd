"""How many there are of something, as a sentence says it."""


def quantity(n: float, thing: str) -> str:
    """A number with its noun, which takes an s in the plural: `1 record`, `1,234 records`."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def are(n: int) -> str:
    """The verb of n things."""
    return "is" if n == 1 else "are"


def left_out(n: int) -> str:
    """What becomes of n things."""
    return f"{are(n)} left out"
