"""What becomes of explained records: more records, or a page of them."""

from collections.abc import Iterable, Iterator

from doxa.errors import RecordError, UsageError
from doxa.explaining.corpus_words import read_entries
from doxa.records.outcome import Outcome, to_record
from doxa.records.page_formats import choose_page, is_html
from doxa.records.prefetch import gather
from doxa.records.record import Record
from doxa.records.unfold import unfold_explanations
from doxa.records.writer import choose_format

WORDS = ("terminal", "markdown", "json")  # formats of a page about words
AT_ONCE = 256


def choose_output(output: str | None, to: str | None, summary: bool, contrast: bool, learn_rules: bool = False) -> str:
    """The format by `--to`, else by the suffix of `--output`: of words one of WORDS, of texts html, of records any other.

    Raises UsageError for one that what was asked for does not come in."""
    if summary + contrast + learn_rules > 1:
        raise UsageError("--summary, --contrast and --learn-rules are pages of their own: ask for one")
    if learn_rules and to is not None:
        raise UsageError("--learn-rules writes a file of rules: it takes no --to")
    if learn_rules:
        return "rules"
    if summary or contrast:
        kind = choose_page(output, to, WORDS)
        if kind not in WORDS:
            raise UsageError(f"--{'summary' if summary else 'contrast'} --to {kind}: it comes as {', '.join(WORDS[:-1])} or {WORDS[-1]}")
        return kind
    if to in WORDS:
        raise UsageError(f"--to {to} is for --summary and --contrast; explained texts come as html, or as records: jsonl, arrow, parquet, csv")
    return to or ("html" if is_html(output) else choose_format(output, to)[0])


def check_contrast(files: tuple[str, ...], heads: tuple[str, ...]) -> None:
    """Raise UsageError where --contrast lacks what it compares."""
    if len(files) != 2:
        raise UsageError("--contrast compares two files: the earlier one and the later one")
    if len(heads) != 1:
        raise UsageError("--contrast is about one label: give --head NAME and --label LABEL")


class ExplainedBefore:
    """Records that hold their explanations, as they are, in the place of an ExplainedStream. Where words are to be added up (`is_of_words`), an
    explanation that explain did not write is the record's error; a page of texts shows what is left of it."""

    signature = "explained before"

    def __init__(self, text_field: str, text_pair_field: str | None, is_of_words: bool):
        self.text_field, self.text_pair_field, self.is_of_words = text_field, text_pair_field, is_of_words

    def explain(self, records: Iterator[Record]) -> Iterator[list[Outcome]]:
        for window in gather(unfold_explanations(records), AT_ONCE):
            yield [self._outcome(record) for record in window]

    def _outcome(self, record: Record) -> Outcome:
        outcome = Outcome(record)
        if self.is_of_words and not record.is_error:
            try:
                for _ in read_entries(record):
                    pass
            except RecordError as error:
                outcome.error = error
        return outcome


def records_of(windows: Iterable[list[Outcome]]) -> Iterator[Record]:
    """The records as the next command would read them."""
    for outcomes in windows:
        yield from map(to_record, outcomes)
