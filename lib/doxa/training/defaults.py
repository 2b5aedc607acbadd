"""What a run takes for settings that were left open."""

from dataclasses import replace

from doxa.model.kinds.kind import Kind
from doxa.training.loop import LoopSettings
from doxa.training.plan import Plan

LEAST_STEPS, MOST_EPOCHS = 300, 20
STEPS_PER_LABEL, SCRATCH_STEPS_PER_LABEL = 12, 80
FAST_HEADS = 10.0
LONG_HEAD_START = 80_000


def settle(plan: Plan, is_scratch: bool, hidden_size: int, n_examples: int, n_labels: int, n_processes: int, kind: Kind) -> LoopSettings:
    """The plan's settings, those that it leaves open by the base, the data and the kind of the heads; `n_labels` are those of the head that has most."""
    rate = plan.learning_rate or default_rate(is_scratch, hidden_size, plan.peft)
    given = {name: value for name, value in plan.loop.items() if value is not None}
    settings = LoopSettings(rate, **({"head_lr_factor": default_head_factor(is_scratch, kind, plan.peft)} | given), n_processes=n_processes)
    if "num_train_epochs" in given:
        return settings
    return replace(settings, num_train_epochs=default_epochs(is_scratch, n_examples, settings.step_size, n_labels))


def starts_from_nothing(plan: Plan, base: str | None, n_texts: int) -> bool:
    """Whether the heads are trained over an encoder that knows nothing: no base, and no head start or a short one. What has guessed words in LONG_HEAD_START
    texts, those of all epochs together, learns like a pretrained base: on waimai the settings of one were 2.3 points of macro-F1 behind those of scratch
    after 11,000 texts (1,000 labels, three draws each), 0.5 behind after 40,000, and 0.8 ahead after 160,000 (with 300 labels 1.3, with all 1.1)."""
    return base is None and not (plan.head_start and plan.head_start_epochs * n_texts >= LONG_HEAD_START)


def default_epochs(is_scratch: bool, n_examples: int, n_per_step: int, n_labels: int) -> int:
    """3, from nothing 8, and more for few examples and many labels: enough for LEAST_STEPS and for some a label, at most MOST_EPOCHS
    (Mosbach et al. 2021: small sets want more steps, not fewer)."""
    per_label = SCRATCH_STEPS_PER_LABEL if is_scratch else STEPS_PER_LABEL
    n_wanted = -(-max(LEAST_STEPS, per_label * n_labels) // -(-n_examples // n_per_step))
    return min(MOST_EPOCHS, max(8 if is_scratch else 3, n_wanted))


def default_rate(is_scratch: bool, hidden_size: int, peft: str | None) -> float:
    """A learning rate that suits the base: 3e-4 from nothing, 8e-5 for small encoders, 2e-5 from BERT-base size on; where few
    weights are trained, these bear ten times as much."""
    return (3e-4 if is_scratch else 8e-5 if hidden_size < 768 else 2e-5) * (10 if peft else 1)


def default_head_factor(is_scratch: bool, kind: Kind, peft: str | None) -> float:
    """How much faster heads learn than the base: ten times where all starts from nothing, and where outputs are of tokens or of choices. A head of the whole
    text over a pretrained base learns as fast as it: of ten draws of 600 texts each, faster heads were ahead by 0.2 points of macro-F1 on
    airline tweets, and behind by 1.3 on phrasebank (eight draws)."""
    if peft or not kind.starts_fresh:
        return 1.0
    return FAST_HEADS if is_scratch or not kind.shares else 1.0
