"""A model directory made ready to predict, by the engine that suits the device."""

import importlib.util
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from doxa.device.choose import choose_device, choose_precision
from doxa.device.cpu import computes_bf16, computes_int8, usable_cores
from doxa.errors import DoxaError, UsageError
from doxa.inference.engine import Engine
from doxa.inference.labeller import Labeller
from doxa.inference.memory import Memory
from doxa.inference.predictor import GPU_WINDOW_RECORDS, WINDOW_RECORDS, Predictor
from doxa.inference.workers import WorkerPool
from doxa.model.bases import find_model
from doxa.model.directory import ModelTable, read_table, verify_files
from doxa.model.form import INT8, PLAIN, Form, digests, find_form, name_model
from doxa.model.heads import Head, read_output_names
from doxa.model.kinds.kind import Kind, Stock
from doxa.model.kinds.table import KINDS, foreign_head, kind_of, stock_of
from doxa.model.safety import find_weights, read_config
from doxa.records.text_fields import TextFields
from doxa.text.frame import Reading
from doxa.text.padding import read_pad_id
from doxa.text.tokenizer import TextTokenizer, load_tokenizer

ENGINES = ("auto", "openvino", "torch")


@dataclass(frozen=True)
class Request:
    """What to load, and how. `n_cores` None takes all that this process may use."""

    model: str
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    batch_tokens: int | None = None
    long_policy: str | None = None
    text_field: str | None = None
    text_pair_field: str | None = None
    head_name: str | None = None
    with_scores: bool = False
    with_stamp: bool = False
    verify: bool = True
    n_cores: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)  # of the head, in place of its own


@dataclass
class Known:
    """What is known of a model without its weights. `notes` are for the user."""

    directory: str
    table: ModelTable
    tokenizer: TextTokenizer
    config: dict
    made_from: dict[str, str]
    is_ours: bool
    verified: Future
    notes: list[str] = field(default_factory=list)

    @property
    def heads(self) -> list[Head]:
        return self.table.heads

    @property
    def kind(self) -> Kind:
        """What lays out and answers for all heads."""
        return kind_of(self.table.heads)

    @property
    def stock(self) -> Stock:
        """The network that computes them."""
        return stock_of(self.table.heads, self.config)

    def fingerprint(self) -> str:
        """Names the weights and how they are read: 12 hexadecimal digits."""
        return name_model(self.heads, self.made_from or digests(self.directory, None, find_weights(self.directory)))

    def fields(self, request: Request) -> TextFields:
        """The fields of a record that hold its texts: those of the training data unless the user names others."""
        return TextFields(request.text_field or self.table.text_field, request.text_pair_field or self.table.text_pair_field,
                          request.text_field is not None)

    def reading(self, long_policy: str | None) -> Reading:
        reading = Reading(self.tokenizer.frame, min(self.table.max_length, self.tokenizer.max_length), long_policy or self.table.long_policy)
        return self.kind.fit_reading(reading, self.heads, self.config)


def load_predictor(request: Request, n_workers: int = 1) -> tuple[Predictor, Known, list[str]]:
    """Load a model directory or hub id, in this process or in `n_workers` of their own. Returns the predictor, what is
    known of the model, and why device, engine and precision were chosen.

    Raises DoxaError for a directory that is missing, incomplete, altered or unsafe.
    """
    known = read_model(request)
    device, why_device = choose_device(request.device)
    if n_workers == 1:
        labeller, reasons = load_labeller(request, known)
        lanes = ThreadPoolExecutor(2, "labeller")  # one window is read and tokenised while the one before is computed
        submit, most_waiting = lambda questions: lanes.submit(labeller.label, questions), 1
    else:
        converts = known.is_ours and device == "cpu" and request.engine != "torch" and not known.kind.writes and find_form(known.directory, known.made_from) is None
        pool = WorkerPool([replace(request, **share) for share in _shares(device, n_workers)], first_alone=converts)
        reasons = [f"{n_workers} workers, each on its share of {device}: {why_device}", *pool.reasons]
        submit, most_waiting = pool.submit, 2 * n_workers
    window_records = WINDOW_RECORDS if device == "cpu" else GPU_WINDOW_RECORDS // -(-n_workers // _count_gpus(device))
    if known.kind.writes:  # a text takes as long as a thousand windows of a classifier
        window_records //= 16
    predictor = Predictor(submit, known.kind, [head.name for head in known.heads], known.tokenizer, known.fields(request), most_waiting, window_records)
    return predictor, known, reasons


def _shares(device: str, n_workers: int) -> list[dict]:
    """What every worker computes on: the GPUs in turn where `cuda` names them all, and a share of the cores."""
    n_cores, n_gpus = max(1, usable_cores() // n_workers), _count_gpus(device)
    return [{"device": f"cuda:{i % n_gpus}" if device == "cuda" else device, "n_cores": n_cores} for i in range(n_workers)]


def count_workers(asked: int | None, device: str) -> int:
    """How many processes to compute in: as many as asked for, else one for each GPU that `cuda` names. Raises UsageError."""
    return asked or _count_gpus(choose_device(device)[0])


def _count_gpus(device: str) -> int:
    """The GPUs that a device's name stands for; 1 for every device but `cuda`."""
    if device != "cuda":
        return 1
    from doxa.device import gpu

    return gpu.count_cuda()


def read_model(request: Request, foreign_name: str = "label") -> Known:
    """Read everything but the weights. Hashing, which lets go of the interpreter, goes on behind `verified`. The head of a model that doxa
    did not write is called `foreign_name` unless the request names it."""
    directory = find_model(request.model)
    config = read_config(directory)
    table = read_table(directory)
    if table is not None and request.head_name is not None:
        raise UsageError("--head names the head of a model that doxa did not write; this one names its own")
    verified = ThreadPoolExecutor(1, "verify").submit(verify_files, directory, table.files if table and request.verify else {})
    try:
        tokenizer = load_tokenizer(directory)
    except DoxaError:
        verified.result()  # what is wrong with a file comes before what follows from it
        raise
    notes = []
    is_ours = table is not None
    try:
        n_outputs = len(read_output_names(config))
        if table is None:
            head = foreign_head(config, request.head_name or foreign_name)
            table = ModelTable([KINDS[head.kind].adopt(head, directory)], tokenizer.max_length)
    except (ValueError, TypeError) as error:
        raise DoxaError(f"{directory}/config.json is damaged: {error}") from None
    if is_ours and kind_of(table.heads).shares and sum(head.n_outputs for head in table.heads) != n_outputs:
        raise DoxaError(f"{directory}: doxa.json describes {sum(head.n_outputs for head in table.heads)} outputs, the model has {n_outputs}")
    if not is_ours:
        notes.append(f'{request.model} was not written by doxa: one head, "{table.heads[0].name}"; nothing is known of its calibration')
    if not is_ours and kind_of(table.heads).writes:
        from doxa.model.writing import find_prompt

        table.heads = [replace(table.heads[0], settings={"prompt": find_prompt(directory, bool(config.get("is_encoder_decoder")))})]
    table.heads = _with_settings(table.heads, request)
    config["pad_token_id"] = read_pad_id(directory, config)
    made_from = digests(directory, table.files if request.verify else {}, find_weights(directory)) if is_ours else {}
    return Known(directory, table, tokenizer, config, made_from, is_ours, verified, notes)


def _with_settings(heads: list[Head], request: Request) -> list[Head]:
    """The heads with the settings that flags give. Raises UsageError for one that their kind does not have."""
    kind = kind_of(heads)
    for name in request.settings:
        if name not in kind.settings:
            others = ", ".join(other.name for other in KINDS.values() if name in other.settings)
            raise UsageError(f"--{name.replace('_', '-')} is for heads of {others}; {request.model} has one of {heads[0].kind}")
    return [replace(head, settings=head.settings | request.settings) for head in heads] if request.settings else heads


def load_labeller(request: Request, known: Known | None = None) -> tuple[Labeller, list[str]]:
    """Load the weights. Returns the labeller and why device, engine and precision were chosen."""
    known = known or read_model(request)
    try:
        engine, precision, reasons = _load_engine(request, known)
    finally:
        known.verified.result()
    reading = known.reading(request.long_policy)
    stamp = f"{known.fingerprint()}/{precision}/{reading.policy}" if request.with_stamp else None
    return Labeller(Memory(engine), known.heads, known.tokenizer, reading, request.with_scores, stamp), reasons


def _load_engine(request: Request, known: Known) -> tuple[Engine, str, list[str]]:
    """Return the engine, its precision, and why device, engine and precision were chosen."""
    device, why_device = choose_device(request.device)
    precision, why_precision = choose_precision(request.precision, device)
    reasons = [f"device {device}: {why_device}"]
    n_cores = request.n_cores or usable_cores()
    if known.kind.writes:
        return _load_generator(request, known, device, precision, n_cores), precision, [
            *reasons, "engine torch: it writes token by token, which OpenVINO is not made for here", f"precision {precision}: {why_precision}"]
    name, why_engine = choose_engine(request.engine, device)
    if name == "openvino":
        engine, chosen, why = _load_openvino(request, known, precision, why_precision, n_cores)
        if engine is not None:
            return engine, chosen, [*reasons, f"engine openvino: {why_engine}", f"precision {chosen}: {why}"]
        why_engine = why
    if precision == "int8":
        raise UsageError(f"--precision int8 needs the OpenVINO engine ({why_engine})")
    from doxa.inference.torch_engine import load_torch_engine

    engine = load_torch_engine(known.directory, device, precision, known.tokenizer.max_length, request.batch_tokens, n_cores,
                               known.stock)
    return engine, precision, [*reasons, f"engine torch: {why_engine}", f"precision {precision}: {why_precision}"]


def _load_generator(request: Request, known: Known, device: str, precision: str, n_cores: int) -> Engine:
    """Raises UsageError where it is to be what it cannot be."""
    if request.engine == "openvino" or precision == "int8":
        flag = "--engine openvino" if request.engine == "openvino" else "--precision int8"
        raise UsageError(f"{flag}: a head of {known.heads[0].kind} is run by torch, in fp32, bf16 or fp16")
    from doxa.inference.generator import load_generator

    return load_generator(known.directory, device, precision, known.tokenizer.max_length, request.batch_tokens, n_cores,
                          known.stock, known.heads[0].settings, known.tokenizer.decode)


def choose_engine(name: str, device: str) -> tuple[str, str]:
    """Return `openvino` or `torch`, and the reason. Raises UsageError when the one asked for cannot be had."""
    is_there = importlib.util.find_spec("openvino") is not None
    if name == "openvino":
        if device != "cpu":
            raise UsageError(f"--engine openvino computes on a CPU, not on {device}; add --device cpu")
        if not is_there:
            raise UsageError("--engine openvino: it is not installed; run: pip install 'doxa[cpu]'")
        return name, "--engine says so"
    if name == "torch":
        return name, "--engine says so"
    if device != "cpu":
        return "torch", f"it computes on {device}"
    return ("openvino", "the fastest on a CPU") if is_there else ("torch", "openvino, which is faster, comes with: pip install 'doxa[cpu]'")


def _load_openvino(request: Request, known: Known, precision: str, why: str, n_cores: int) -> tuple[Engine | None, str, str]:
    """Return the engine, its precision and the reason for it, or None and why OpenVINO cannot run this model."""
    from doxa.inference.openvino_engine import OpenVinoEngine

    form = find_form(known.directory, known.made_from) if known.is_ours else None
    if form is not None:
        part, precision, why = _choose_part(request.precision, precision, why, form)
        is_whole = ThreadPoolExecutor(1, "verify").submit(lambda: not request.verify or form.is_whole(part))
        arguments = (precision if precision != "int8" else "bf16" if computes_bf16() else "fp32",
                     known.config.get("pad_token_id") or 0, known.tokenizer.max_length, request.batch_tokens, n_cores)
        try:
            engine = OpenVinoEngine(form.path(part), *arguments, form.fingerprint(part))
        except RuntimeError:
            engine = None
        if engine is not None and is_whole.result():
            known.verified.result()
            engine.keep_compiled()
            return engine, precision, why
        if part == INT8:
            raise DoxaError(f"the int8 form in {form.folder} is damaged; train the model again, or remove that folder")
    elif precision == "int8":
        raise DoxaError(_NO_INT8)
    from doxa.inference.conversion import CannotConvert, make_form

    known.verified.result()
    try:
        model = make_form(known.directory, known.made_from if known.is_ours else None, known.stock)
    except CannotConvert as error:
        if request.engine == "openvino":
            raise
        return None, precision, str(error)
    engine = OpenVinoEngine(model, precision, known.config.get("pad_token_id") or 0, known.tokenizer.max_length, request.batch_tokens, n_cores)
    return engine, precision, why


_NO_INT8 = "--precision int8: this model has no int8 form; finetune makes one where openvino and nncf are: pip install 'doxa[cpu]'"


def _choose_part(asked: str, precision: str, why: str, form: Form) -> tuple[str, str, str]:
    """Return which part of the form to run, precision and reason: int8 where its guard let it pass or the user insists."""
    if asked == "int8":
        if not form.int8:
            raise DoxaError(_NO_INT8)
        return INT8, "int8", why
    if asked == "auto" and form.int8.get("is_good") and computes_int8():
        return INT8, "int8", f"{form.int8['agreement']:.1%} of its labels agreed with fp32 on held-out records"
    return PLAIN, precision, why


def prediction_types(heads: list[Head], with_scores: bool, ruled_heads: frozenset[str] = frozenset(), with_stamp: bool = False):
    """The Arrow types of the keys that predict adds; `by` in heads that firm rules are for."""
    def entry(head):
        more = [("by", pa.list_(pa.string()) if head.kind == "labels" else pa.string())] if head.name in ruled_heads else []
        return pa.struct(KINDS[head.kind].arrow_type(head, with_scores) + more + ([("model", pa.string())] if with_stamp else []))

    return {"prediction": pa.struct([(head.name, entry(head)) for head in heads]), "n_tokens": pa.int64(), "truncated": pa.bool_()}
