"""Records to records with explanations, in order, while later ones are being read."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from doxa.errors import RecordError
from doxa.explaining.claims import ClaimExplainer
from doxa.explaining.explainer import Explainer
from doxa.explaining.ruling import Ruling
from doxa.inference.predictor import wait_for
from doxa.records.outcome import Outcome, refuse_second_head
from doxa.records.prefetch import gather
from doxa.records.record import Clashes, Record

# Few, so that what is explained comes out soon: the steps of a single text already fill a batch on a CPU.
WINDOW_RECORDS, GPU_WINDOW_RECORDS = 32, 512


class ExplainedStream:
    """Adds `explanation`, with the rules of `ruling` that fire, if there is one."""

    def __init__(self, explainer: Explainer | ClaimExplainer, text_field: str = "text", text_pair_field: str | None = None,
                 window_records: int = WINDOW_RECORDS, fingerprint: Callable[[], str] = str):
        self.explainer, self.text_field, self.text_pair_field, self.window_records = explainer, text_field, text_pair_field, window_records
        self._fingerprint = fingerprint
        self.ruling: Ruling | None = None
        self._lane = ThreadPoolExecutor(1, "explainer")  # aside, so that signals find this thread awake

    @property
    def signature(self) -> str:
        """Names the model; found when a page asks for it, for which foreign weights are read whole."""
        return f"model:{self._fingerprint()}"

    def explain(self, records: Iterator[Record]) -> Iterator[list[Outcome]]:
        """Yield lists of outcomes in the order of the records. Raises UsageError when the first record already explains one of the heads."""
        self._clashes = Clashes(lambda record: refuse_second_head(record, self.explainer.wanted.heads, "explanation"))
        for window in gather(records, self.window_records):
            yield self._explain_window(window)

    def _explain_window(self, records: list[Record]) -> list[Outcome]:
        outcomes = [Outcome(record) for record in records]
        readable, questions = [], []
        for outcome in outcomes:
            record = outcome.record
            if record.is_error:
                continue
            try:
                self._clashes.check(record)
                questions.append(self.explainer.read(record))
            except RecordError as error:
                outcome.error = error
                continue
            readable.append(outcome)
        for outcome, answer in zip(readable, wait_for(self._lane.submit(self.explainer.explain, questions))):
            if isinstance(answer, RecordError):
                outcome.error = answer
            else:
                outcome.added = {"explanation": answer}
        if self.ruling:
            self.ruling.apply(outcomes)
        return outcomes
