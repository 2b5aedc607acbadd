"""Training of a masked-language model on texts without labels: every token of them is there to be guessed."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from doxa.errors import DoxaError, UsageError
from doxa.text.frame import Window
from doxa.text.question import Layout
from doxa.training.layouts import lay_out
from doxa.training.lessons import check_flags, compare_answers
from doxa.training.loop import TrainingLoop
from doxa.training.masked_language import MaskedLanguage, held_out_loss
from doxa.training.plan import Listener, Plan
from doxa.training.prepared import Judged, Prepared

MOST_JUDGED = 100  # dev records whose pseudo-perplexity is computed: a pass for every token


@dataclass(kw_only=True)
class Masking(Prepared):
    """`places` name the records of `windows`, all those of training; `dev_layouts` are the texts of dev."""

    windows: list[Window]
    places: list[str]
    train_layouts: list[Layout]
    dev_layouts: list[Layout]

    def n_rows(self, plan: Plan) -> int:
        return len(self.windows)

    def train_windows_of(self) -> list[Window]:
        return self.windows

    def check(self, plan: Plan) -> None:
        if plan.head_start:
            raise UsageError("--head-start mlm learns what a head of mask learns; leave one of them out")
        if self.unlabelled.examples:
            raise UsageError("--unlabelled: a head of mask learns from all texts as they are; give them as TRAIN")
        check_flags(plan, self.kind.name, {"--class-weights": plan.class_weights != "none", "--focal-gamma": plan.focal_gamma > 0,
                                           "--label-smoothing-factor": plan.label_smoothing_factor > 0})

    def make_task(self, plan: Plan, chosen: Any = None, soft: torch.Tensor | None = None) -> MaskedLanguage:
        return self._task(self.windows, self.places)

    def _task(self, windows: list[Window], places: list[str] | None = None) -> MaskedLanguage:
        tokenizer = self.tokenizer
        return MaskedLanguage(windows, tokenizer.mask_id(), tokenizer.rust.get_vocab_size(), tokenizer.special_ids(), self.pad_id, self.mixed, places or [])

    def evaluate(self, loop: TrainingLoop) -> dict[str, float]:
        """Minus the mean loss on hidden tokens of dev."""
        return {self.head.name: -held_out_loss(loop.model, self._task(_bare(self.dev_layouts)))}

    def judge(self, plan: Plan, loop: TrainingLoop) -> Judged:
        """Pseudo-perplexity of at most MOST_JUDGED texts of dev, evenly spread, beside that by how often training holds each token."""
        chosen = np.linspace(0, len(self.dev_layouts) - 1, min(MOST_JUDGED, len(self.dev_layouts))).astype(int)
        layouts = [self.dev_layouts[i] for i in chosen]
        predictions = self.kind.answer(layouts, self.engine_of(loop).compute([window for layout in layouts for window in layout.windows]), self.heads, False)
        said = {"model": self.entries_of(predictions),
                "unigram": say_unigram(self.train_layouts, layouts, self.tokenizer.rust.get_vocab_size())}
        return Judged(self.heads, [compare_answers(self.head, self.kind, [None] * len(layouts), said)])

    def probe_windows(self, most: int) -> list[Window]:
        return [layout.windows[0].one_by_one()[0] for layout in self.dev_layouts[:most]]


def say_unigram(train: list[Layout], layouts: list[Layout], n_ids: int) -> list[dict[str, Any]]:
    """Log-likelihoods by how often each token is in training, one added to every count (Laplace)."""
    counts = Counter(token for layout in train for token in _tokens(layout))
    n = sum(counts.values()) + n_ids
    return [{"log_likelihood": float(sum(np.log((counts[token] + 1) / n) for token in tokens)), "n_tokens": len(tokens)} for tokens in map(_tokens, layouts)]


def _tokens(layout: Layout) -> list[int]:
    """The tokens of a text that are guessed."""
    return [window.ids[at] for window in layout.windows for at in window.hidden.positions if window.ids[at] != window.hidden.mask_id]


def _bare(layouts: list[Layout]) -> list[Window]:
    """The windows of texts, with nothing hidden yet."""
    return [replace(window, hidden=None) for layout in layouts for window in layout.windows]


def prepare_masking(plan: Plan, shared: dict[str, Any], listener: Listener) -> dict[str, Any]:
    """What Masking has beyond what is shared by all. Raises DoxaError where nothing is left to learn, or the base has no mask token."""
    train, dev = lay_out(shared["train"], "training", shared, listener), lay_out(shared["dev"], "dev", shared, listener)
    if not train or not dev:
        raise DoxaError(f"no {'dev' if train else 'training'} record is left to learn from")
    train_layouts = [layout for _, layout in train]
    return dict(windows=_bare(train_layouts), places=[example.place for example, layout in train for _ in layout.windows], train_layouts=train_layouts,
                dev_layouts=[layout for _, layout in dev])
