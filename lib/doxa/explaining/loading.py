"""A model directory made ready to explain: the engine that predicts with it, and what the method needs beside it."""

from dataclasses import replace

from doxa.device.choose import choose_device, choose_precision
from doxa.errors import UsageError
from doxa.explaining.chinese_words import CHINESE_WORD, load_segmenter
from doxa.explaining.claims import ClaimExplainer
from doxa.explaining.explainer import Explainer, Wanted
from doxa.explaining.methods import METHODS
from doxa.explaining.stream import GPU_WINDOW_RECORDS, WINDOW_RECORDS, ExplainedStream
from doxa.explaining.task import Tools
from doxa.inference.loading import Known, Request, load_labeller, read_model
from doxa.model.kinds.table import KINDS
from doxa.text.tokenizer import POSITIONS_FROM_PADDING

BY_DEFAULT, BLACK_BOX = "integrated-gradients", "occlusion"  # methods for labels and numbers, and for what is known by its outputs alone


def load_explainer(request: Request, wanted: Wanted, steps: int, samples: int, seed: int, baseline: str | None) -> tuple[ExplainedStream, Known, list[str]]:
    """Load a model directory or hub id. Empty `wanted.heads` means all of them; a single one names the head of a model that doxa did not write.

    Returns the stream of explanations, what is known of the model, and why device, engine and precision were chosen.
    Raises DoxaError for a directory that is missing, incomplete, altered or unsafe, UsageError for heads or labels that are not there."""
    known = read_model(request, *(wanted.heads if len(wanted.heads) == 1 else ()))
    wanted = _check(wanted, known, request)
    labeller, reasons = load_labeller(request, known)
    device, _ = choose_device(request.device)
    tool = _load_tool(device, request, wanted, known, reasons)
    tools = Tools(labeller.memory, labeller.reading, *_hiding_ids(baseline, known), steps, samples, seed, **tool)
    second_field = request.text_pair_field or known.table.text_pair_field
    text_field = request.text_field or known.table.text_field
    if known.kind.shares:
        explainer = Explainer(wanted, tools, known.heads, known.tokenizer, second_field, text_field)
    else:
        explainer = ClaimExplainer(wanted, tools, known.heads[0], known.tokenizer, known.fields(request))
    window_records = WINDOW_RECORDS if device == "cpu" else GPU_WINDOW_RECORDS
    return ExplainedStream(explainer, text_field, second_field, window_records, known.fingerprint), known, reasons


def _check(wanted: Wanted, known: Known, request: Request) -> Wanted:
    wanted = replace(wanted, method=wanted.method or (BY_DEFAULT if known.kind.shares else BLACK_BOX))
    if not known.kind.shares:
        _check_kind(wanted, known, request)
    if wanted.unit == CHINESE_WORD:
        load_segmenter()
    names = [head.name for head in known.heads]
    for name in wanted.heads:
        if name not in names:
            raise UsageError(f'--head {name}: the model has no such head; its heads: {", ".join(names)}')
    chosen = [head for head in known.heads if not wanted.heads or head.name in wanted.heads]
    for head in chosen if wanted.label is not None and known.kind.shares else ():
        if wanted.label not in head.labels:
            hint = "; choose the head by --head" if len(chosen) > 1 else ""
            raise UsageError(f'--label {wanted.label}: the head "{head.name}" has no such label; its labels: {", ".join(head.labels) or "none, it is a number"}{hint}')
    return replace(wanted, heads=tuple(head.name for head in chosen))


def _check_kind(wanted: Wanted, known: Known, request: Request) -> None:
    """What heads of other kinds than labels and numbers cannot be asked. Raises UsageError."""
    name, others = known.kind.name, [kind.name for kind in KINDS.values() if kind.is_explained]
    if not known.kind.is_explained:
        raise UsageError(f"explain is for heads of label, labels, number, {', '.join(others)}; the head of {request.model} is one of {name}")
    if wanted.with_rules:
        raise UsageError(f"--rules are for heads of label and labels; the head of {request.model} is one of {name}")
    if METHODS[wanted.method].needs:
        raise UsageError(f"--method {wanted.method} is for heads of label, labels and number; a head of {name} takes --method occlusion or shapley")
    labels = {tag for head in known.heads for tag in known.kind.labels_of(head)}
    if wanted.label is not None and wanted.label not in labels:
        told = f"its labels: {', '.join(sorted(labels))}" if labels else "it has none"
        raise UsageError(f'--label {wanted.label}: a head of {name} has no such label; {told}')


def _hiding_ids(baseline: str | None, known: Known) -> tuple[int, int]:
    """The token that stands for an absent one, and the one by which claims are judged. Padding, whose embedding training leaves at rest, gave the
    more faithful explanations; but models that count positions from the padding id would count those behind it anew."""
    mask_id, pad_id = known.tokenizer.mask_id(), known.config.get("pad_token_id") or 0
    if baseline == "mask" and mask_id is None:
        raise UsageError("--baseline mask: the model's tokenizer has no mask token; take --baseline pad")
    counts_padding = known.config.get("model_type") in POSITIONS_FROM_PADDING
    if mask_id is None:
        return pad_id, pad_id
    if baseline == "mask" or (baseline is None and counts_padding):
        return mask_id, mask_id if counts_padding else pad_id
    return pad_id, mask_id


def _load_tool(device: str, request: Request, wanted: Wanted, known: Known, reasons: list[str]) -> dict:
    """The gradients or attention maps that the method needs, by the name that Tools has for them."""
    needs = METHODS[wanted.method].needs
    if needs == "gradients":
        import torch

        from doxa.explaining.gradients import load_gradients

        precision, why = choose_precision(request.precision, device)
        is_mixed = precision in ("bf16", "int8")
        reasons.append(f"gradients in {'bf16' if is_mixed else 'fp32'}: {why}")
        return {needs: load_gradients(known.directory, device, request.batch_tokens, torch.bfloat16 if is_mixed else None, request.n_cores)}
    if needs == "attention":
        from doxa.explaining.attention_maps import load_attention_maps

        return {needs: load_attention_maps(known.directory, device, request.batch_tokens, request.n_cores)}
    return {}
