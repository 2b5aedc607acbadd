"""What finished models say of the texts: the soft targets that a student learns from (Hinton et al. 2015)."""

import numpy as np
import torch

from doxa.errors import DoxaError
from doxa.model.kinds.slices import pool_texts
from doxa.inference.torch_engine import load_torch_engine
from doxa.model.directory import read_table
from doxa.model.heads import Head, head_slices, probabilities
from doxa.text.frame import Reading
from doxa.text.tokenizer import load_tokenizer
from doxa.device.cpu import usable_cores
from doxa.training.plan import Listener
from doxa.training.classifying import Classifying

ASKED_AT_ONCE = 2048


def ask_teachers(directories: tuple[str, ...], prepared: Classifying, listener: Listener) -> torch.Tensor:
    """Mean of the teachers' calibrated probabilities (numbers: standardised values) for every training and unlabelled text, (n, C).

    Raises DoxaError when a teacher lacks a head or one of its labels."""
    texts = [example.texts for example in (*prepared.train.examples, *prepared.unlabelled.examples)]
    total = np.zeros((len(texts), sum(head.n_outputs for head in prepared.heads)))
    for directory in directories:
        listener.note(f"asking {directory} about {len(texts)} texts")
        total += _ask(directory, texts, prepared)
    soft = total / len(directories)
    return torch.tensor((soft - prepared.shift) / prepared.scale, dtype=torch.float32)


def _ask(directory: str, texts: list[tuple[str, ...]], prepared: Classifying) -> np.ndarray:
    table = read_table(directory)
    if table is None:
        raise DoxaError(f"--teacher {directory}: that is no model that finetune wrote")
    columns = _match(directory, table.heads, prepared.heads)
    tokenizer = load_tokenizer(directory)
    reading = Reading(tokenizer.frame, table.max_length)
    engine = load_torch_engine(directory, str(prepared.device), "fp32", tokenizer.max_length, None, usable_cores())
    found = []
    for start in range(0, len(texts), ASKED_AT_ONCE):
        part = texts[start : start + ASKED_AT_ONCE]
        ids = iter(tokenizer.encode([text for pair in part for text in pair]))
        read = [reading.read(*(next(ids) for _ in pair))[0] for pair in part]
        logits = pool_texts(engine.compute([window for windows in read for window in windows]), read)
        found.append(np.concatenate([
            logits[:, columns_of] if head.kind == "number" else probabilities(logits[:, columns_of] / head.temperature, head)
            for head, columns_of in columns], axis=1))
    return np.concatenate(found)


def _match(directory: str, has: list[Head], wanted: list[Head]) -> list[tuple[Head, list[int]]]:
    """For every wanted head the teacher's, and its columns in the order of the wanted labels."""
    parts = {head.name: (head, part) for head, part in zip(has, head_slices(has))}
    matched = []
    for head in wanted:
        if head.name not in parts or parts[head.name][0].kind != head.kind:
            raise DoxaError(f'--teacher {directory}: it has no head "{head.name}" of this kind')
        teacher, part = parts[head.name]
        if head.kind == "number":
            matched.append((teacher, [part.start]))
            continue
        if set(teacher.labels) != set(head.labels):
            odd = sorted(set(teacher.labels) ^ set(head.labels))[0]
            raise DoxaError(f'--teacher {directory}: head "{head.name}" has other labels than the training data ("{odd}" is on one side only)')
        matched.append((teacher, [part.start + teacher.labels.index(label) for label in head.labels]))
    return matched
