"""Records that carry an error: how many, why, and where the first ones stand."""

MOST_CODES = 3
MOST_PLACES = 2


class Failures:
    """Counts failed records by the code of their error."""

    def __init__(self) -> None:
        self.n = 0
        self.first: str | None = None
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[str]] = {}

    def add(self, place: str, code: str, message: str) -> None:
        self.n += 1
        self.first = self.first or f"{place}: {message}"
        self._counts[code] = self._counts.get(code, 0) + 1
        places = self._places.setdefault(code, [])
        if len(places) < MOST_PLACES:
            places.append(place)

    def describe(self, n_records: int) -> str:
        """How many of so many records failed; of several, also how many there are of each code, the most frequent first, and where the first
        two stand; the first failure in full."""
        told = f"{self.n} of {n_records} records carry an error"
        if self.n > 1:
            codes = sorted(self._counts, key=lambda code: (-self._counts[code], code))
            parts = [f"{self._counts[code]} {code} ({', '.join(self._places[code])}{', …' if self._counts[code] > MOST_PLACES else ''})"
                     for code in codes[:MOST_CODES]]
            rest = sum(self._counts[code] for code in codes[MOST_CODES:])
            told += ": " + ", ".join(parts) + (f", {rest} others" if rest else "")
        return f"{told}; first: {self.first}"
