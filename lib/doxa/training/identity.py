"""What has to be the same for a run to go on."""

import hashlib
import os
from dataclasses import asdict

import torch

from doxa.errors import DoxaError
from doxa.model.directory import sha256_of
from doxa.model.safety import find_weights
from doxa.training.examples import LabelledSet
from doxa.training.plan import Plan
from doxa.training.prepared import Prepared


def identify(plan: Plan, prepared: Prepared) -> dict[str, str]:
    """What has to be the same for a run to go on: name -> value."""
    found = {"--base": plan.base, "--max-length": str(prepared.reading.max_length), "precision": prepared.precision,
             "--text-field": " ".join(filter(None, (prepared.train.fields.text, prepared.train.fields.text_pair))), "--label-smoothing-factor": str(plan.label_smoothing_factor),
             "--focal-gamma": str(plan.focal_gamma), "--class-weights": plan.class_weights, "--head-init": str(plan.head_init),
             "--adversarial": str(plan.adversary), "torch": torch.__version__,
             "--head": repr([(head.name, head.kind, head.labels, *((head.settings,) if head.settings else ())) for head in prepared.heads]),
             "the training data": fingerprint(prepared.train), "the dev data": fingerprint(prepared.dev)}
    found |= {"--" + name.replace("_", "-"): str(value) for name, value in asdict(prepared.settings).items()}
    found |= {"--peft": f"{plan.peft} {plan.peft_rank}", "--head-start": f"{plan.head_start} {plan.head_start_epochs} {plan.head_start_rate}",
              "--self-training-rounds": str(plan.n_rounds), "--teacher": " ".join(plan.teachers),
              "--search": repr(sorted(plan.space.items())) if plan.n_trials else "",
              "the unlabelled data": fingerprint(prepared.unlabelled)}
    if prepared.base is not None:
        found["the weights of --base"] = " ".join(sha256_of(os.path.join(prepared.base, name)) for name in find_weights(prepared.base))
    return found


def check_identity(kept: dict[str, str], what: str, identity: dict[str, str]) -> None:
    """Raises DoxaError when what was kept is of another run, naming the first difference."""
    for name, value in identity.items():
        before = kept.get(name)
        if before != value:
            shown = f": {before} then, {value} now" if before is not None and max(len(before), len(value)) <= 40 else ""
            raise DoxaError(f"--resume: {name} is not what {what} was made with{shown}. "
                            "Give the same data and flags, or --force to start anew")


def fingerprint(found: LabelledSet) -> str:
    """sha256 over texts and labels in order: equal sets have equal fingerprints."""
    digest = hashlib.sha256()
    for example in found.examples:
        digest.update(repr((example.texts, example.values)).encode())
    return digest.hexdigest()
