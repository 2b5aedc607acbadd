"""The closing table of finetune, as plain text."""

import math

from doxa.terminal import visible

_METHODS = {"model": "this model", "tfidf": "TF-IDF + linear", "majority": "majority"}


def render_training(result) -> str:
    """Figures per head and method on the dev set with 95 % intervals, and who is ahead."""
    lines = [
        f"{result.n_train} training records, {result.n_dev} dev records, best epoch {result.epoch}, "
        f"{result.n_parameters / 1e6:.1f} M parameters{_trained(result)}, {result.seconds:.0f} s",
        "",
    ]
    shared = {tuple(map(_in_words, _columns(figures))) for figures in result.figures}
    names = next(iter(shared)) if len(shared) == 1 else ("first figure", "second figure")
    rows = [("head", "method", names[0], "".join(names[1:]), "support")]
    for figures in result.figures:
        for method, scores in figures.scores.items():
            shown = [_show(scores[name]) for name in _columns(figures)]
            rows.append((visible(figures.head, one_line=True), _METHODS.get(method, method), shown[0], "".join(shown[1:]), str(figures.support)))
        if len(shared) > 1:
            lines.append(f"head {visible(figures.head, one_line=True)}: the columns hold {' and '.join(map(_in_words, _columns(figures)))}")
    lines += [*_align(rows), "", *(_verdict(figures) for figures in result.figures)]
    lines += map(_calibration, result.calibrations)
    lines += result.remarks
    lines += _trials(result.trials)
    folds = "; thresholds of labels are those of its other folds" if any(figures.kind == "labels" for figures in result.figures) else ""
    lines.append(f"Figures on the dev set, by which the epoch was chosen{folds}; brackets hold 95 % intervals (of shares Wilson, else bootstrap).")
    lines.append(f"Model: {visible(result.output, one_line=True)}")
    return "\n".join(lines) + "\n"


def _in_words(name: str) -> str:
    return name.replace("_", " ")


def _columns(figures) -> list[str]:
    """The two figures that are shown, the one that counts most first."""
    return list(figures.scores["model"])[:-3:-1]


def _trials(trials) -> list[str]:
    """One line a trial, best first."""
    if not trials:
        return []
    names = list(dict.fromkeys(name for trial in trials for name in trial.settings))
    rows = [("trial", "dev score", "epochs", "seconds", *names)]
    for trial in sorted(trials, key=lambda trial: (trial.is_given_up, -trial.score)):
        score = f"{trial.score:.4f}" if trial.scores else "not finite"
        rows.append((str(trial.number + 1), score + (" given up" if trial.is_given_up and trial.scores else ""), str(len(trial.scores)), f"{trial.seconds:.0f}",
                     *(_setting(trial.settings.get(name, "")) for name in names)))
    return ["", *_align(rows), "",
            f"The settings were chosen among {len(trials)} by the dev set, whose figures flatter this model for it: judge it by texts that it has not seen."]


def _setting(value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _align(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def render_plan(draft) -> str:
    """What a run would do, and what it would take."""
    lines = [f"{draft.n_train} training records, {draft.n_dev} dev records, {draft.n_parameters / 1e6:.1f} M parameters", *draft.stages]
    for head, counts in zip(draft.heads, draft.counts):
        name = visible(head.name, one_line=True)
        if head.kind not in ("label", "labels"):
            lines.append(f"head {name}: {'a number' if head.kind == 'number' else head.kind}")
            continue
        lines.append(f"head {name}: {len(head.labels)} labels{', several a record' if head.kind == 'labels' else ''}")
        lines += [f"  {visible(label, one_line=True)}  {count}" for label, count in counts.items()]
    median, most, nearly_all, longest = draft.lengths
    lines.append(f"tokens a text: half have up to {median}, 90 % up to {most}, 99 % up to {nearly_all}, the longest {longest}")
    lines.append(f"memory: about {draft.memory_bytes / 1e9:.1f} GB; disk: up to {draft.disk_bytes / 1e9:.1f} GB for checkpoints and the model")
    lines.append(f"Nothing was written. Without --dry-run the model goes to {visible(draft.output, one_line=True)}")
    return "\n".join(lines) + "\n"


def _calibration(calibration) -> str:
    return (f"{visible(calibration.head, one_line=True)}: temperature {calibration.temperature:.2f}; expected calibration error "
            f"{calibration.ece_before:.3f} without one, {calibration.ece_after:.3f} with those that other folds of the dev set give"
            + ("; a temperature is chosen by log loss" if calibration.ece_after > calibration.ece_before else ""))


def _trained(result) -> str:
    share = result.n_trained / result.n_parameters
    return "" if share > 0.999 else f" ({result.n_trained:,} trained, {share:.1%})"


def _show(estimate) -> str:
    return "–" if math.isnan(estimate.value) else f"{_number(estimate.value)} [{_bound(estimate.low)}, {_bound(estimate.high)}]"


def _bound(value: float) -> str:
    return "–" if math.isnan(value) else _number(value)


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}" if abs(value) < 1e6 else f"{value:{sign}.3e}"


def _verdict(figures) -> str:
    lead, name, measure = figures.lead, visible(figures.head, one_line=True), _in_words(_columns(figures)[0])
    if math.isnan(figures.scores["model"][_columns(figures)[0]].value):
        return f"{name}: {measure} is not defined on this dev set, which tells nothing of the model; give a larger one with --dev"
    if lead is None:
        return f"{name}: there is no simple method to compare it with"
    rival = figures.rival if figures.rival else "TF-IDF"
    is_ahead, is_behind = (lead.high < 0, lead.low > 0) if figures.lower_is_better else (lead.low > 0, lead.high < 0)
    if is_ahead:
        verdict = f"this model is ahead of {rival}"
    elif is_behind:
        verdict = f"{rival} is AHEAD of this model"
    else:
        verdict = f"no clear difference to {rival}"
    return f"{name}: {verdict}, {_number(lead.value, '+')} {measure} [{_number(lead.low, '+')}, {_number(lead.high, '+')}]"
