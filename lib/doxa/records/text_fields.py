"""Which fields of a record hold its texts."""

from dataclasses import dataclass

from doxa.records.record import Record

# What public sets call the two texts of a pair.
PAIRS = (("text", "text_pair"), ("text_a", "text_b"), ("sentence1", "sentence2"), ("sentence_a", "sentence_b"), ("premise", "hypothesis"),
         ("question1", "question2"), ("query", "passage"), ("question", "context"))


@dataclass(frozen=True)
class TextFields:
    """The fields of the one text, or of both of a pair. `is_given` where the user named them."""

    text: str = "text"
    text_pair: str | None = None
    is_given: bool = False

    def of(self, record: Record) -> "TextFields":
        """The same, and for a record that lacks the text, unless the user named it, the names of a pair that it has."""
        if self.is_given or record.holds(self.text):
            return self
        found = find_pair(record)
        return TextFields(*found) if found else self


def find_pair(record: Record) -> tuple[str, str] | None:
    """The names of the two texts of a pair that a record has."""
    return next((pair for pair in PAIRS if record.holds(pair[0]) and record.holds(pair[1])), None)


def texts_in_words(record: Record) -> str | None:
    """What a record without a text gives to read, for people: both texts of a pair, or its tokens; None where there is neither."""
    pair, tokens = find_pair(record), record.get("tokens")
    if pair:
        return " | ".join(text for text in map(record.get, pair) if isinstance(text, str)) or None
    if isinstance(tokens, list):
        return " ".join(token for token in tokens if isinstance(token, str)) or None
    return tokens if isinstance(tokens, str) else None
