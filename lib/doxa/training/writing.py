"""Training of a head that writes: for each text the target's tokens, each with all before it given (teacher forcing)."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional as F
from transformers import PreTrainedModel

from doxa.errors import DoxaError, UsageError
from doxa.inference.generator import Generator, Manner
from doxa.metrics.likelihood_figures import LikelihoodFigures
from doxa.model.heads import Head
from doxa.model.safety import read_config
from doxa.model.writing import end_of_text, find_prompt, generation_config, target_logits
from doxa.text.frame import Frame, Window
from doxa.text.prompt import SLOT
from doxa.text.question import Question
from doxa.text.tokenizer import TextTokenizer
from doxa.text.vocabulary import learn_writing_tokenizer
from doxa.training.examples import Example, LabelledSet
from doxa.training.layouts import lay_out
from doxa.training.lessons import check_flags, compare_answers
from doxa.training.loop import TrainingLoop
from doxa.training.plan import Listener, Plan
from doxa.training.prepared import EVALUATED_AT_ONCE, NOT_FINITE, Judged, Prepared

MOST_WRITTEN = 200  # dev records that the closing table writes for
ROOM_SHARE = 1.25  # of the longest target: what may be written
PROBED, PROBED_TOKENS = 4, 64  # windows, and tokens of each, to compare a model with itself: their outputs are as wide as the vocabulary


@dataclass(slots=True)
class Passage:
    """What is to be written for a window. `place` names the record."""

    window: Window
    target: list[int]
    place: str


@dataclass
class WritingTask:
    """The mean cross-entropy of the targets' tokens; the prompt and what pads it do not count."""

    passages: list[Passage]
    mixed: torch.dtype | None = None
    label_smoothing: float = 0.0
    lengths: list[int] = field(init=False)
    adds_up = True
    token_ids = None  # any token may be written
    places: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lengths = [len(passage.window.ids) + len(passage.target) for passage in self.passages]
        self.places = [passage.place for passage in self.passages]

    def batch(self, model: PreTrainedModel, part: np.ndarray) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
        own = [self.passages[i] for i in part]
        prompts, targets = [passage.window.ids for passage in own], [passage.target for passage in own]

        def compute() -> torch.Tensor:
            with torch.autocast(model.device.type, self.mixed or torch.bfloat16, enabled=self.mixed is not None):
                logits, gold = target_logits(model, prompts, targets)
            return F.cross_entropy(logits.float(), gold, label_smoothing=self.label_smoothing)

        return torch.ones(len(own), 1), compute

    def shortcut(self, model: PreTrainedModel) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass(kw_only=True)
class Writing(Prepared):
    """`dev_passages` hold the first of each dev record's gold texts, `dev_gold` all of them. `end_id` is the token that ends a text."""

    passages: list[Passage]
    dev_passages: list[Passage]
    dev_questions: list[Question]
    dev_gold: list[Any]
    end_id: int

    @classmethod
    def learn_tokenizer(cls, examples: Iterable[Example]) -> Tokenizer:
        return learn_writing_tokenizer(text for example in examples for text in (*example.texts, *_texts(example.values[0])))

    @classmethod
    def suit_heads(cls, plan: Plan, heads: list[Head], base: str | None, tokenizer: TextTokenizer, train: LabelledSet, max_length: int) -> list[Head]:
        """How the base is asked, and how much may be written: more by a quarter than the longest target of training, as far as there are
        positions; of a decoder's, that read the prompt as well, half."""
        config = read_config(base) if base else {"is_encoder_decoder": True, "max_position_embeddings": max_length}
        is_encoder_decoder = bool(config.get("is_encoder_decoder"))
        prompt = plan.prompt or (find_prompt(base, is_encoder_decoder) if base else SLOT)
        n_special = len(tokenizer.frame.prefix) + len(tokenizer.frame.suffix) if is_encoder_decoder else 1
        longest = max(map(len, tokenizer.encode([text for example in train.examples for text in _texts(example.values[0])])))
        positions = config.get("max_position_embeddings") if is_encoder_decoder else max_length // 2
        n_new = min(int((longest + n_special) * ROOM_SHARE), positions if isinstance(positions, int) else longest * 2 + n_special)
        return [replace(head, settings=head.settings | {"prompt": prompt, "max_new_tokens": n_new}) for head in heads]

    def check(self, plan: Plan) -> None:
        """Raises UsageError for what this kind has no use for."""
        check_flags(plan, self.kind.name, {"--class-weights": plan.class_weights != "none", "--focal-gamma": plan.focal_gamma > 0})
        for flag, is_given in {"--adversarial": plan.adversary is not None, "--head-start": plan.head_start is not None}.items():
            if is_given:
                raise UsageError(f"{flag} is for encoders; leave it out for a head of {self.kind.name}")
        if self.train.fields.text_pair:
            raise UsageError(f"--text-pair-field: a head of {self.kind.name} reads one text; put both into one field")

    def n_rows(self, plan: Plan) -> int:
        return len(self.passages)

    def train_windows_of(self) -> list[Window]:
        return [Window([*passage.window.ids, *passage.target], None, passage.window.weight) for passage in self.passages]

    def make_task(self, plan: Plan, chosen: Any = None, soft: torch.Tensor | None = None) -> WritingTask:
        return WritingTask(self.passages, self.mixed, plan.label_smoothing_factor)

    def generator(self, loop: TrainingLoop) -> Generator:
        return Generator(loop.model, self.device, self.tokenizer.max_length, Manner.of(self.head.settings), self.tokenizer.decode, [self.end_id],
                         mixed=self.mixed, n_cores=1 if loop.processes.shards else None)

    def evaluate(self, loop: TrainingLoop) -> dict[str, float]:
        """The mean log-likelihood of the tokens of dev: cheap, where writing for all of dev after each epoch is not."""
        found = self.likelihoods(loop, stops=True)
        return {} if found is None else {self.head.name: float(np.concatenate(found).mean())}

    def likelihoods(self, loop: TrainingLoop, stops: bool = False) -> list[np.ndarray] | None:
        """Those of each dev target's tokens (T,); None when `stops` and a signal arrived. Raises DoxaError where one is not finite."""
        generator, found = self.generator(loop), []
        for start in range(0, len(self.dev_passages), EVALUATED_AT_ONCE):
            if stops and self.is_stopped(loop):
                return None
            part = self.dev_passages[start : start + EVALUATED_AT_ONCE]
            found += generator.score([passage.window.ids for passage in part], [passage.target for passage in part])
        if not all(np.isfinite(own).all() for own in found):
            raise DoxaError(NOT_FINITE)
        return found

    def judge(self, plan: Plan, loop: TrainingLoop) -> Judged:
        """Write for some of the dev records, beside the first sentence of each text; and the perplexity of all."""
        kind, chosen = self.kind, slice(0, MOST_WRITTEN)
        questions, gold = self.dev_questions[chosen], self.dev_gold[chosen]
        layouts = kind.lay_out(questions, self.tokenizer, self.reading)
        rows = self.generator(loop).compute([layout.windows[0] for layout in layouts])
        said = {"model": self.entries_of(kind.answer(layouts, rows, self.heads, False))} | kind.simple([], questions)
        figures = compare_answers(self.head, kind, gold, said)
        surprise = [{"log_likelihood": float(own.sum()), "n_tokens": len(own)} for own in self.likelihoods(loop)]
        perplexity, n_tokens = LikelihoodFigures().total([None] * len(surprise), surprise)["perplexity"], sum(own["n_tokens"] for own in surprise)
        remark = (f"{self.head.name}: perplexity {perplexity:.3f} of the {n_tokens} tokens of all {len(self.dev_gold)} dev records, by which the epoch was "
                  f"chosen; the table is of what was written for {'the first ' if len(gold) < len(self.dev_gold) else ''}{len(gold)} of them")
        return Judged(self.heads, [figures], more={"perplexity": {self.head.name: {"value": perplexity, "n_tokens": n_tokens}}}, remarks=[remark])

    def finish(self, model: PreTrainedModel) -> None:
        """Let any tool that loads the directory write as predict does."""
        model.generation_config = generation_config(model, [self.end_id], self.head.settings["max_new_tokens"])

    def probe_windows(self, most: int) -> list[Window]:
        return [Window(passage.window.ids[:PROBED_TOKENS], None, 0) for passage in self.dev_passages[: min(most, PROBED)]]

    def probe_inputs(self, most: int) -> dict[str, np.ndarray]:
        inputs = super().probe_inputs(most)
        return inputs | ({"decoder_input_ids": inputs["input_ids"]} if self.model.config.is_encoder_decoder else {})


def prepare_writing(plan: Plan, shared: dict[str, Any], listener: Listener) -> dict[str, Any]:
    """What Writing has beyond what is shared by all. Raises DoxaError where nothing is left to learn."""
    head, tokenizer, reading, base = shared["heads"][0], shared["tokenizer"], shared["reading"], shared["base"]
    end_id, most = end_of_text(base, tokenizer), head.settings["max_new_tokens"]
    frame = None if reading.is_continued else tokenizer.frame

    def windows_of(name: str, what: str) -> list[tuple[Example, Window]]:
        pairs = lay_out(shared[name], what, shared, listener)
        if n_cut := sum(layout.is_cut for _, layout in pairs):
            listener.note(f"{n_cut} {what} texts are longer than the model reads; of each the beginning is read")
        return [(example, layout.windows[0]) for example, layout in pairs]

    train, dev = windows_of("train", "training"), windows_of("dev", "dev")
    if not train or not dev:
        raise DoxaError(f"no {'dev' if train else 'training'} record is left to learn from")
    passages = [Passage(window, target, example.place) for example, window in train
                for target in _targets(tokenizer, _texts(example.values[0]), frame, end_id)]
    dev_passages = [Passage(window, _targets(tokenizer, _texts(example.values[0])[:1], frame, end_id)[0][:most], example.place) for example, window in dev]
    if n_long := sum(len(passage.target) > most for passage in passages):
        listener.warn(f"{n_long} training targets are longer than {most} tokens, the most that the model can write; the beginning of each is learnt")
        passages = [replace(passage, target=passage.target[:most]) for passage in passages]
    return dict(passages=passages, dev_passages=dev_passages, dev_questions=[example.question for example, _ in dev],
                dev_gold=[example.values[0] for example, _ in dev], end_id=end_id)


def _targets(tokenizer: TextTokenizer, texts: list[str], frame: Frame | None, end_id: int) -> list[list[int]]:
    """The ids to write for each text: framed as the tokenizer frames texts where an encoder-decoder writes it, and ended."""
    found = [frame.single(ids) if frame else ids for ids in tokenizer.encode(texts)]
    return [ids if ids[-1:] == [end_id] else [*ids, end_id] for ids in found]


def _texts(gold: str | list[str]) -> list[str]:
    return [gold] if isinstance(gold, str) else gold
