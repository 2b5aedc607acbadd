"""finetune: labelled records in, a model directory out."""

import os

import click

from doxa.commands import _options
from doxa.errors import DoxaError, RecordsFailed, UsageError

# As in doxa.training.schedule, which loads torch; a test holds them equal.
_SCHEDULES = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt")


@_options.command("finetune", sections={
    "from_format": "Records", "heads": "What is trained, and where it goes", "dev_files": "Dev set", "num_train_epochs": "Training",
    "label_smoothing_factor": "Loss and decisions", "peft": "Large bases", "unlabelled_files": "Texts without labels",
    "n_trials": "Search", "save_steps": "Checkpoints and logs", "device": "Hardware", "on_error": "Records that fail"})
@_options.input_options
@_options.pair_option
@click.option("--head", "heads", multiple=True, required=True, metavar="FIELD[:KIND]",
              help="Field that becomes a head; several of label, labels and number train over one encoder. KIND is label, labels, number, tags, span, "
                   "choice, text, mask or vector, as the README's table says; the first three are guessed.")
@click.option("--base", default="minilm", show_default=True, metavar="BASE",
              help="Where to start: a directory, a hub id, minilm (embedded, English), or scratch (a small encoder "
                   "and a vocabulary learnt from your texts, any language).")
@click.option("--prompt", metavar="TEMPLATE", help="For heads of text: how the base is asked, with {text} for the record's text.  [default: the base's chat "
              "template; of decoders without one the text and a line break]")
@click.option("--output", "-o", required=True, type=click.Path(), metavar="DIR", help="Model directory to write; it appears when it is whole.")
@click.option("--force", is_flag=True, help="Replace a model, or a stopped run, that is there.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped, from its newest whole checkpoint, to the very same weights.")
@click.option("--dry-run", is_flag=True, help="Check all data, print the plan (labels, lengths, steps, memory, disk), and stop.")
@click.option("--dev", "dev_files", multiple=True, type=click.Path(), metavar="FILE", help="Labelled records to choose the best epoch by.")
@click.option("--dev-share", type=click.FloatRange(0, 0.5, min_open=True), default=0.1, show_default=True,
              help="Without --dev: share split off the training records, stratified by label.")
@click.option("--drop-leaks", is_flag=True, help="Leave out training records whose text is in the dev set.")
@click.option("--num-train-epochs", type=click.IntRange(min=1), help="Times to read all records.  [default: 3; scratch: 8; more for few records or many "
                   "labels: enough for 300 steps and for 12 a label (scratch: 80), at most 20]")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True),
              help="Highest learning rate.  [default: 8e-5; 2e-5 from 768 wide on; scratch: 3e-4]")
@click.option("--per-device-train-batch-size", type=click.IntRange(min=1), default=16, show_default=True, help="Texts a step.")
@click.option("--gradient-accumulation-steps", type=click.IntRange(min=1), default=1, show_default=True,
              help="Batches whose gradients are summed up to one step: the effect of a larger batch in the same memory.")
@click.option("--weight-decay", type=click.FloatRange(0), default=0.01, show_default=True, help="Of AdamW, on matrices.")
@click.option("--warmup-steps", type=click.FloatRange(0), default=0.1, show_default=True,
              help="Steps of rising learning rate; below 1, a share of all steps.")
@click.option("--max-grad-norm", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True, help="Gradients are clipped to it.")
@click.option("--lr-scheduler-type", type=click.Choice(_SCHEDULES), default="linear", show_default=True, metavar="NAME",
              help=f"Learning rate over the steps: {', '.join(_SCHEDULES)}.")
@click.option("--layerwise-lr-decay", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="Multiplies the rate once per layer away from the heads. 0.9 may pay with few labels and large bases; costs nothing.")
@click.option("--head-lr-factor", type=click.FloatRange(0, min_open=True), metavar="X",
              help="Multiplies the rate of the heads. Pays where all starts from nothing; costs nothing.  [default: 10 with --base scratch, and for "
                   "tags, span and choice; else, and with --peft, 1]")
@click.option("--head-init", type=click.Choice(("linear", "prior", "random")),
              help="Where outputs start: linear, a logistic regression on what the base makes of the texts, for heads of label, labels, number and "
                   "tags; prior, at how frequent labels are; random.  [default: linear for heads of label and labels with ten or more, prior for tags, else random]")
@click.option("--early-stopping-patience", type=click.IntRange(min=0), default=0, show_default=True,
              help="End after so many epochs without a better dev score; 0: never. Pays with many epochs: it saves their time.")
@click.option("--max-steps", type=int, default=-1, help="End after so many steps.")
@click.option("--max-length", type=click.IntRange(min=8), metavar="N", help="Most tokens of a window.  [default: what the base reads]")
@click.option("--seed", type=click.IntRange(min=0), default=42, show_default=True, help="Fixes the result on one machine.")
@click.option("--label-smoothing-factor", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True,
              help="Share of every target spread over all labels. 0.1 may pay with noisy labels; scores get less extreme.")
@click.option("--class-weights", type=click.Choice(("none", "balanced")), default="none", show_default=True,
              help="balanced lets every label count alike. Pays for rare labels, costs accuracy on common ones.")
@click.option("--focal-gamma", type=click.FloatRange(0), default=0.0, show_default=True,
              help="Focal loss: takes weight off examples that are answered well. 2 may pay for rare labels; scores get less extreme.")
@click.option("--adversarial", type=click.Choice(("none", "fgm", "pgd", "freelb")), default="none", show_default=True,
              help="Train on disturbed embeddings, against small changes of wording; fgm and freelb gained 1 to 2 points of macro-F1 on three of six small sets. "
                   "A step costs 2 (fgm), 4 (pgd) or 3 (freelb) times as much.")
@click.option("--adversarial-epsilon", type=click.FloatRange(0, min_open=True), default=0.1, show_default=True,
              help="Largest L2 norm of the disturbance of a text's embeddings, as a multiple of the norm of one token's.")
@click.option("--target-precision", type=click.FloatRange(0, 1, min_open=True),
              help="Heads of many labels: set thresholds so that dev precision is at least this.  [default: best F1]")
@click.option("--peft", type=click.Choice(("none", "lora", "adalora", "adapter")), default="none", show_default=True,
              help="Train few added weights and the heads: pays where memory is short and bases are large. lora, adalora (ranks move to "
                   "where they matter) are merged into a plain model; adapter (Houlsby et al. 2019) runs in doxa only.")
@click.option("--peft-rank", type=click.IntRange(min=1), metavar="N",
              help="Rank of lora, mean final rank of adalora, width of adapter.  [default: 16, 8, 48]")
@click.option("--keep-adapter", is_flag=True, help="Also write the added weights and heads alone, to DIR/adapter.")
@click.option("--fsdp", is_flag=True, help="Under torchrun: cut weights, gradients and moments up over the processes; a base that fits on no single device trains.")
@click.option("--gradient-checkpointing", is_flag=True, help="Compute activations twice instead of keeping them: large bases fit, a third slower.")
@click.option("--unlabelled", "unlabelled_files", multiple=True, type=click.Path(), metavar="FILE",
              help="Texts without labels, to learn from by --self-training-rounds, --head-start or --teacher.")
@click.option("--self-training-rounds", type=click.IntRange(min=0), metavar="N",
              help="Label --unlabelled where the scores are high, train on that too, N times over; the round best on dev is kept.  "
                   "[default: 2 with --unlabelled alone, else 0]")
@click.option("--head-start", type=click.Choice(("none", "mlm")), default="none", show_default=True,
              help="mlm: first learn to guess hidden words of all texts, for --base scratch. Wants many texts: with 2,000 it gained nothing, and cost MiniLM "
                   "points. After 80,000 texts, of all epochs together, other defaults are those of a base. The encoder is kept as DIR/encoder, a --base.")
@click.option("--head-start-epochs", type=click.IntRange(min=1), default=4, show_default=True, help="Times to read all texts before.")
@click.option("--head-start-learning-rate", type=click.FloatRange(0, min_open=True), help="Its highest rate.  [default: 1e-4; scratch: 5e-4]")
@click.option("--teacher", "teachers", multiple=True, type=click.Path(exists=True, file_okay=False), metavar="DIR",
              help="Learn from what a model that finetune wrote says of all texts; several teachers are averaged.")
@click.option("--search", "n_trials", type=click.IntRange(min=1), metavar="N",
              help="Try N choices of settings, the first as the flags say; hopeless ones are given up, the model with the best dev score is kept.")
@click.option("--space", multiple=True, metavar="NAME=VALUES",
              help="What --search tries, by names of flags: learning-rate=1e-5..1e-3, class-weights=none,balanced.  "
                   "[default: learning rate, epochs, batch size, layerwise decay about what is taken else]")
@click.option("--save-steps", type=click.IntRange(min=0), default=0, show_default=True,
              help="Write a checkpoint every so many steps; 0: by --save-minutes.")
@click.option("--save-minutes", type=click.FloatRange(0), default=10.0, show_default=True, help="Write a checkpoint every so many minutes.")
@click.option("--save-total-limit", type=click.IntRange(min=1), default=2, show_default=True, help="Checkpoints to keep.")
@click.option("--logging-steps", type=click.IntRange(min=1), default=10, show_default=True, help="Steps in a row of training.jsonl.")
@click.option("--report-to", "trackers", multiple=True, type=click.Choice(("none", "tensorboard", "wandb", "mlflow")), metavar="NAME",
              help="Send the log to tensorboard, wandb or mlflow as well; repeatable. Files in DIR/runs, nothing leaves the machine unless "
                   "WANDB_MODE or MLFLOW_TRACKING_URI say so.  [default: none]")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]|mps", help="Where to compute.")
@click.option("--precision", type=click.Choice(("auto", "fp32", "bf16", "fp16")), default="auto", show_default=True,
              help="Mixed precision: auto is bf16 where the hardware computes in it, fp16 on other CUDA devices.")
@click.option("--int8/--no-int8", default=True, show_default=True,
              help="Add an int8 form for CPUs, where dev shows that it keeps the labels (needs: pip install 'doxa[cpu]').")
@click.option("--openvino/--no-openvino", default=True, show_default=True,
              help="Convert the model for CPUs, into DIR/openvino, which doubles its size. Without, the first predict on a CPU does; no int8 form then.")
@_options.error_options
def finetune(files, from_format, text_field, max_record_bytes, text_pair_field, heads, base, prompt, output, force, resume, dry_run, dev_files,
             dev_share, drop_leaks, learning_rate, head_init, max_length, device, precision, int8, openvino, label_smoothing_factor, class_weights,
             focal_gamma, adversarial, adversarial_epsilon, gradient_checkpointing, target_precision, save_steps, save_minutes,
             save_total_limit, logging_steps, peft, peft_rank, keep_adapter, unlabelled_files, self_training_rounds, head_start, head_start_epochs,
             head_start_learning_rate, teachers, n_trials, space, trackers, fsdp, on_error, max_errors, require_input, quiet, verbose, **loop):
    """Fine-tune a pretrained encoder on labelled records.

    Trains one head for every --head over one encoder and writes a Hugging Face model directory, with a table of the
    figures on the dev set beside the majority class and TF-IDF with logistic regression.

    \b
      finetune --base minilm --head topic --head sentiment --dev dev.jsonl --output out/ train.jsonl
    """
    if prompt is not None and prompt.count("{text}") != 1:
        raise UsageError(f"--prompt {prompt!r} holds {{text}} {prompt.count('{text}')} times; it stands once for the record's text")
    if keep_adapter and peft == "none":
        raise UsageError("--keep-adapter needs --peft")
    if self_training_rounds and not unlabelled_files:
        raise UsageError("--self-training-rounds needs --unlabelled")
    if keep_adapter and base == "scratch":
        raise UsageError("--keep-adapter needs a --base that others have; scratch is none")
    if teachers and self_training_rounds:
        raise UsageError("--teacher labels the texts already; leave out --self-training-rounds")
    if space and not n_trials:
        raise UsageError("--space needs --search")
    if n_trials and self_training_rounds:
        raise UsageError("--search and --self-training-rounds do not go together; search first, then train on with what it found")
    if n_trials and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("--search runs in one process; leave out torchrun")
    if fsdp:
        _check_fsdp(peft != "none" or head_start != "none" or adversarial != "none" or precision == "fp16")
    _options.refuse_stdin_twice([*(files or ["-"]), *dev_files, *unlabelled_files])
    tally = _options.Tally(on_error, max_errors, require_input)
    is_first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts
    terminal = _options.terminal("finetune", quiet or not is_first, verbose)
    source = _options.source(files, from_format, max_record_bytes)

    from doxa.device.libraries import bound_caches, prepare_libraries

    prepare_libraries(base)
    bound_caches(128)  # a step has three times the kernels of a prediction

    from doxa.records.reader import Source, read_records
    from doxa.records.standard import write_text
    from doxa.records.text_fields import TextFields
    from doxa.training.examples import LabelledSet, leave_out, read_examples, read_unlabelled, show_examples, split_dev
    from doxa.training.findings import drop_leaks as leave_leaks_out, find_problems
    from doxa.training.labels import asked_kind, decide_heads, parse_heads
    from doxa.training.run_folder import check_output, is_whole
    from doxa.training.space import parse_space

    output = output.rstrip("/") or output
    space = parse_space(space)
    if "peft-rank" in space and peft == "none":
        raise UsageError("--space peft-rank needs --peft")
    if "RANK" in os.environ and "-" in (files or ("-",)):
        raise UsageError("torchrun: several processes cannot share standard input; name the files")
    if resume and is_whole(output):  # in all processes: one that went on would wait for the others
        terminal.note(f"{output} is whole already; there is nothing to resume")
        return
    if is_first:
        check_output(output, resume, force)
    requests = parse_heads(heads)
    if prompt is not None and not asked_kind(requests).writes:
        raise UsageError("--prompt is for heads of text: --head FIELD:text")
    is_given = text_pair_field is not None or click.get_current_context().get_parameter_source("text_field").name == "COMMANDLINE"
    fields = TextFields(text_field, text_pair_field, is_given)

    def admit(outcomes):
        tally.admit(outcomes)
        tally.check()

    train = read_examples(read_records(source), requests, fields, admit)
    if not tally.n_records:
        raise DoxaError(f"{' '.join(files) or '<stdin>'}: the input holds no record; there is nothing to learn from")
    if dev_files:
        dev = read_examples(read_records(Source(tuple(dev_files), None, max_record_bytes)), requests, fields, admit)
    unlabelled = LabelledSet()
    if unlabelled_files:
        unlabelled = read_unlabelled(read_records(Source(tuple(unlabelled_files), None, max_record_bytes)), requests, fields, admit)
    if verdict := tally.verdict():
        if not isinstance(verdict, RecordsFailed):
            raise verdict
        terminal.warn(str(verdict))
    for found, name in ((train, "training"), *(((dev, "dev"),) if dev_files else ())):
        if found.n_unlabelled:
            terminal.note(f"{found.n_unlabelled} {name} records hold none of the labels and were left out")
    if not train.examples or (dev_files and not dev.examples):
        names = " or ".join(f'"{request.field}"' for request in requests)
        raise DoxaError(f"no {'dev' if train.examples else 'training'} record has {asked_kind(requests).learns_from} in field {names}; "
                        "check --head and --text-field")
    if dev_files and drop_leaks:
        train, dropped = leave_leaks_out(train, dev)
        terminal.note(f"{len(dropped)} training records were left out: their texts are in the dev set" + (f"; {show_examples(dropped)}" if dropped else ""))
    for index, request in enumerate(requests):
        if request.field != train.fields.text and all(value is None for value in train.column(index)):  # of a kind that needs no gold
            terminal.warn(f'no training record has a value in field "{request.field}": the head learns from the texts alone')
    try:
        decided = decide_heads(requests, [train.column(i) for i in range(len(requests))])
    except DoxaError as error:
        raise DoxaError(f"{error}; the training set begins with {show_examples(train.examples)}") from None
    if not dev_files:
        train, dev = split_dev(train, dev_share, loop["seed"])
        terminal.note(f"split {len(dev.examples)} of {len(dev.examples) + len(train.examples)} records off as dev set")
    n_read = len(unlabelled.examples)
    unlabelled = leave_out(leave_out(unlabelled, dev), train)
    if unlabelled_files:
        terminal.note(f"{len(unlabelled.examples)} unlabelled texts; {n_read - len(unlabelled.examples)} others are in the training or dev set")
        if not unlabelled.examples:
            raise DoxaError(f"--unlabelled {' '.join(unlabelled_files)} holds no text beyond the training and dev sets")
    for warning in find_problems(decided, train, dev):
        terminal.warn(warning)
    terminal.note(f"{len(train.examples)} training and {len(dev.examples)} dev records, heads: "
                  + ", ".join(f"{h.name} ({h.kind}{f', {len(h.labels)}' if h.labels else ''})" for h in decided))

    from doxa.reporting.training import render_plan, render_training
    from doxa.reporting.training_chart import render_training_chart
    from doxa.training.adversary import Adversary
    from doxa.training.finetune import finetune as train_and_publish
    from doxa.training.plan import Listener, Plan
    from doxa.training.prepare import draft
    from doxa.training.watch import Keeping

    learns_alone = unlabelled_files and head_start == "none" and not teachers and not n_trials
    rounds = self_training_rounds if self_training_rounds is not None else 2 if learns_alone else 0
    plan = Plan(
        base, output, learning_rate, max_length, device, precision, int8, loop,
        label_smoothing_factor, focal_gamma, class_weights,
        Adversary(adversarial, adversarial_epsilon) if adversarial != "none" else None, gradient_checkpointing, target_precision,
        Keeping(save_steps, save_minutes, save_total_limit, logging_steps), resume, None if peft == "none" else peft, peft_rank, keep_adapter,
        None if head_start == "none" else head_start, head_start_epochs, head_start_learning_rate, rounds, teachers,
        tuple(dict.fromkeys(name for name in trackers if name != "none")), fsdp, n_trials or 0, space, prompt, head_init, openvino)
    with terminal.progress("examples") as progress:
        def follow(p):
            progress.advance(p.n_examples, f"epoch {p.epoch}  loss {p.loss:.3f}", p.n_examples * (p.n_steps - p.step))

        listener = Listener(terminal.note, terminal.warn, follow, render_training_chart)
        if dry_run:
            write_text(render_plan(draft(plan, decided, train, dev, unlabelled, listener)))
        else:
            result = train_and_publish(plan, decided, train, dev, unlabelled, listener)
            if result is not None:
                write_text(render_training(result))
    tally.finish()


def _check_fsdp(has_more: bool) -> None:
    if has_more:
        raise UsageError("--fsdp goes with none of --peft, --head-start, --adversarial and --precision fp16")
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        raise UsageError("--fsdp needs several processes: torchrun --nproc-per-node N $(which finetune) ...")
