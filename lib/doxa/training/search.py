"""A search for better settings: trials chosen by what the earlier ones reached, hopeless ones given up."""

from dataclasses import asdict, replace
from typing import Any

import torch

from doxa.errors import DoxaError
from doxa.device.extras import load_extra
from doxa.training.loop import Position
from doxa.training.plan import Listener, Plan
from doxa.training.prepare import fresh_model
from doxa.training.prepared import Prepared
from doxa.training.rounds import Trained, Trial, make_loop, start_loop
from doxa.training.space import Space, Span, default_space
from doxa.training.stages import Stages

N_AT_RANDOM = 5  # trials, before the sampler learns from them and before any is given up


class Sampler:
    """Chooses settings by a tree-structured Parzen estimator (Bergstra et al. 2011), gives trials up by the median rule
    (Golovin et al. 2017): one whose best score so far is below the median of the others' after the same share of their epochs.

    A choice follows from the seed, the number of the trial and the trials before: a run that was stopped goes on alike."""

    def __init__(self, space: Space, seed: int):
        self._optuna = load_extra("optuna", "search", "--search")
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        distributions = self._optuna.distributions
        self.space = {name: distributions.CategoricalDistribution(part) if isinstance(part, tuple)
                      else distributions.IntDistribution(int(part.low), int(part.high)) if part.is_whole
                      else distributions.FloatDistribution(part.low, part.high, log=part.is_log) for name, part in space.items()}
        self._spans, self._seed, self.done = space, seed, []

    def ask(self) -> dict[str, Any]:
        """Settings of the next trial. The first one takes what the flags say, where the space holds it: see `search`."""
        return self._study(self._seed + len(self.done)).ask(self.space).params

    def is_hopeless(self, scores: list[float], n_epochs: int) -> bool:
        """Whether a trial with these dev scores, one for each of its first epochs, is to be given up."""
        study = self._study(self._seed)
        trial = study.ask()
        for share, score in _by_share(scores, n_epochs).items():
            trial.report(score, share)
        return bool(trial.should_prune())

    def tell(self, trial: Trial) -> None:
        self.done.append(trial)

    def _study(self, seed: int):
        optuna = self._optuna
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(n_startup_trials=N_AT_RANDOM, seed=seed),
                                    pruner=optuna.pruners.MedianPruner(n_startup_trials=N_AT_RANDOM))
        states = optuna.trial.TrialState
        for trial in self.done:
            known = {name: value for name, value in trial.settings.items() if name in self._spans and _holds(self._spans[name], value)}
            state = states.COMPLETE if not trial.is_given_up else states.PRUNED if trial.scores else states.FAIL
            study.add_trial(optuna.trial.create_trial(
                state=state, value=trial.score if state == states.COMPLETE else None, params=known,
                distributions={name: self.space[name] for name in known}, intermediate_values=_by_share(trial.scores, trial.n_epochs)))
        return study


def search(plan: Plan, prepared: Prepared, encoder: str | None, soft: torch.Tensor | None, stages: Stages, listener: Listener) -> Trained:
    """Train with one choice of settings after the other, the first as the flags say; the best model by its dev score is kept as it was trained."""
    space = plan.space or default_space(prepared.settings.learning_rate, prepared.settings.num_train_epochs, (encoder or prepared.base) is not None)
    sampler, first, best = Sampler(space, prepared.settings.seed), stages.number, None
    for number in range(plan.n_trials):
        settings = sampler.ask() if number else current_settings(plan, prepared, space)
        n_epochs = settings.get("num-train-epochs", prepared.settings.num_train_epochs)
        identity = {f"trial {number + 1}": repr(settings)}
        position = stages.pass_by(identity)
        if position is None:
            trial_plan, trial_prepared = _settle(plan, prepared, settings, encoder)
            loop = start_loop(trial_plan, trial_prepared, stages)
            listener.note(f"trial {number + 1} of {plan.n_trials}: {describe(settings)}")
            position = stages.try_out(
                f"trial {number + 1}", loop, trial_prepared.make_task(trial_plan, soft=soft), lambda: trial_prepared.evaluate(loop), identity,
                lambda position: sampler.is_hopeless(position.scores, n_epochs), lambda position: _is_better(position, best))
            if position.is_given_up and position.scores:
                listener.note(f"trial {number + 1} was given up after epoch {len(position.scores)}: most others did better by then")
        sampler.tell(Trial(number, settings, position.scores, position.best_epoch, n_epochs, position.is_given_up, position.seconds))
        if _is_better(position, best):
            if best is not None:
                stages.forget(first + best.number)
            best, best_position = sampler.done[-1], position
    if best is None:
        raise DoxaError("no trial had a finite loss to its end; --force starts anew, with another --space")
    listener.note(f"trial {best.number + 1} is the best: dev score {best.score:.4f}")
    best_plan, best_prepared = _settle(plan, prepared, best.settings, encoder)
    loop = make_loop(best_plan, best_prepared, stages)
    stages.take_back(first + best.number, loop)
    return Trained(best_plan, best_prepared, loop, best_position, first + best.number, sampler.done)


def current_settings(plan: Plan, prepared: Prepared, space: Space) -> dict[str, Any]:
    """What the flags say of the settings that a search tries."""
    known = vars(plan) | asdict(prepared.settings)
    return {name: value for name in space if (value := known[name.replace("-", "_")]) is not None}


def describe(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in settings.items())


def _settle(plan: Plan, prepared: Prepared, settings: dict[str, Any], encoder: str | None) -> tuple[Plan, Prepared]:
    plan = plan.with_settings(settings)
    rate = plan.learning_rate or prepared.settings.learning_rate
    known = {name: value for name, value in plan.loop.items() if value is not None}
    return plan, fresh_model(plan, replace(prepared, settings=replace(prepared.settings, learning_rate=rate, **known)), encoder)


def _is_better(position: Position, best: Trial | None) -> bool:
    return not position.is_given_up and (best is None or position.best_score > best.score)


def _by_share(scores: list[float], n_epochs: int) -> dict[int, float]:
    """Percent of the epochs -> best score by then, at every percent that is past. Where rates fall to zero over the epochs,
    a trial of many epochs is to be compared by the share that it has run, not by their number."""
    return {share: max(scores[: share * n_epochs // 100]) for share in range(-(-100 // n_epochs), 100 * len(scores) // n_epochs + 1)}


def _holds(part: Span | tuple[Any, ...], value: Any) -> bool:
    return value in part if isinstance(part, tuple) else part.low <= value <= part.high
