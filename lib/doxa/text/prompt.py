"""How a text is put to a model that writes: within a prompt, cut where it is too long."""

from dataclasses import dataclass

from doxa.errors import DoxaError, RecordError
from doxa.text.frame import Reading, Window
from doxa.text.tokenizer import TextTokenizer

SLOT = "{text}"


@dataclass(frozen=True)
class Prompting(Reading):
    """A reading in one window. `template` is the prompt, with SLOT where the text goes; `is_continued` where a decoder writes on behind it:
    then no special tokens end it, and `n_reserved` of the window's `max_length` tokens are left for what is written."""

    template: str = SLOT
    is_continued: bool = False
    n_reserved: int = 0

    def put(self, texts: list[str], tokenizer: TextTokenizer) -> list[tuple[Window, int] | RecordError]:
        """The window of each text, and how many tokens it would have uncut. Special tokens count in the prompt alone: in a text their names are
        letters like others, so no text can end its own turn.

        Raises DoxaError where the prompt leaves no room for a text."""
        before, after = self.template.split(SLOT)
        specials = tokenizer.special_tokens()
        at = max((before.rfind(token) + len(token) for token in specials if token in before), default=0)
        end = min((after.find(token) for token in specials if token in after), default=len(after))
        lead, trail = tokenizer.encode([before[:at], after[end:]])
        if tuple(lead[: len(self.frame.prefix)]) != self.frame.prefix:
            lead = [*self.frame.prefix, *lead]
        if not self.is_continued:
            trail = [*trail, *self.frame.suffix]
        before, after = before[at:], after[:end]  # what a tokenizer may join with the text
        encoded = tokenizer.encode_literally([before + text + after for text in texts])
        return [self._place(len(before), len(text), *found, lead, trail) for text, found in zip(texts, encoded)]

    def _place(self, start: int, n_characters: int, ids: list[int], offsets: list[tuple[int, int]], lead: list[int], trail: list[int]
               ) -> tuple[Window, int] | RecordError:
        first = next((i for i, (_, end) in enumerate(offsets) if end > start), len(ids))
        last = next((i for i, (begin, _) in enumerate(offsets) if i >= first and begin >= start + n_characters), len(ids))
        own = ids[first:last]
        if not own:
            return RecordError("empty_text", "the text holds nothing that the tokenizer reads")
        n_fixed = len(lead) + len(trail) + len(ids) - len(own)
        room = self.max_length - self.n_reserved - n_fixed
        if room < 1:
            raise DoxaError(f"the prompt has {n_fixed} tokens by itself, and {self.max_length - self.n_reserved} is all that the model reads; "
                            "take a shorter --prompt, or fewer --max-new-tokens")
        if len(own) > room and self.policy == "error":
            return RecordError("too_long_text", f"the text has {len(own) + n_fixed} tokens with its prompt, the model reads "
                                                f"{self.max_length - self.n_reserved}; see --long")
        kept = self._parts(own, room)[0][0]  # of windows the first: what is written cannot be pooled
        return Window([*lead, *ids[:first], *kept, *ids[last:], *trail], None, len(kept)), n_fixed + len(own)
