"""finetune: labelled records in, a model directory out."""

import click

from doxa.commands import _options
from doxa.errors import DoxaError


@_options.command("finetune")
@_options.input_options
@_options.pair_option
@click.option("--head", "heads", multiple=True, required=True, metavar="FIELD[:KIND]",
              help="Field that becomes a head; several train over one encoder. KIND is label, multi or number, else guessed.")
@click.option("--base", default="minilm", show_default=True, metavar="BASE",
              help="Where to start: a directory, a hub id, minilm (embedded, English), or scratch (a small encoder "
                   "and a vocabulary learnt from your texts, any language).")
@click.option("--output", "-o", required=True, type=click.Path(), metavar="DIR", help="Model directory to write; it appears when it is whole.")
@click.option("--force", is_flag=True, help="Replace a model that is there.")
@click.option("--dev", "dev_files", multiple=True, type=click.Path(), metavar="FILE", help="Labelled records to choose the best epoch by.")
@click.option("--dev-share", type=click.FloatRange(0, 0.5, min_open=True), default=0.1, show_default=True,
              help="Without --dev: share split off the training records, stratified by label.")
@click.option("--num-train-epochs", type=click.IntRange(min=1), help="Times to read all records.  [default: 3; scratch: 8]")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True),
              help="Highest learning rate.  [default: 8e-5; 2e-5 from 768 wide on; scratch: 3e-4]")
@click.option("--per-device-train-batch-size", type=click.IntRange(min=1), default=16, show_default=True, help="Texts a step.")
@click.option("--weight-decay", type=click.FloatRange(0), default=0.01, show_default=True, help="Of AdamW, on matrices.")
@click.option("--warmup-steps", type=click.FloatRange(0), default=0.1, show_default=True,
              help="Steps of rising learning rate; below 1, a share of all steps.")
@click.option("--max-grad-norm", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True, help="Gradients are clipped to it.")
@click.option("--lr-scheduler-type", type=click.Choice(("linear", "cosine", "constant_with_warmup", "constant")),
              default="linear", show_default=True, help="Learning rate over the steps.")
@click.option("--max-steps", type=int, default=-1, help="End after so many steps.")
@click.option("--max-length", type=click.IntRange(min=8), metavar="N", help="Most tokens of a window.  [default: what the base reads]")
@click.option("--seed", type=click.IntRange(min=0), default=42, show_default=True, help="Fixes the result on one machine.")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]|mps", help="Where to compute.")
@click.option("--precision", type=click.Choice(("auto", "fp32", "bf16")), default="auto", show_default=True,
              help="bf16 mixed precision, auto where the hardware computes in it.")
@click.option("--int8/--no-int8", default=True, show_default=True,
              help="Add an int8 form for CPUs, where dev shows that it keeps the labels (needs: pip install 'doxa[cpu]').")
@_options.error_options
def finetune(files, from_format, text_field, max_record_bytes, text_pair_field, heads, base, output, force, dev_files, dev_share,
             num_train_epochs, learning_rate, max_length, device, precision, int8, on_error, max_errors, require_input, quiet, verbose,
             **loop):
    """Fine-tune a pretrained encoder on labelled records.

    Trains one head for every --head over one encoder and writes a Hugging Face model directory, with a table of the
    figures on the dev set beside the majority class and TF-IDF with logistic regression.

    \b
      finetune --base minilm --head topic --head sentiment --dev dev.jsonl --output out/ train.jsonl
    """
    tally = _options.Tally(on_error, max_errors, require_input)
    terminal = _options.terminal("finetune", quiet, verbose)
    source = _options.source(files, from_format, max_record_bytes)

    from doxa.device.libraries import prepare_libraries

    prepare_libraries(base)

    from doxa.model.directory import check_free
    from doxa.records.reader import Source, read_records
    from doxa.records.standard import write_text
    from doxa.reporting.training import render_training
    from doxa.training.examples import count_shared_texts, read_examples, split_dev
    from doxa.training.labels import decide_heads, parse_heads, unseen_labels

    output = output.rstrip("/") or output
    check_free(output, force)
    requests = parse_heads(heads)
    text_fields = (text_field, text_pair_field) if text_pair_field else (text_field,)

    def admit(outcomes):
        tally.admit(outcomes)
        tally.check()

    train = read_examples(read_records(source), requests, text_fields, admit)
    if not tally.n_records:
        raise DoxaError(f"{' '.join(files) or '<stdin>'}: the input holds no record; there is nothing to learn from")
    if dev_files:
        dev = read_examples(read_records(Source(tuple(dev_files), None, max_record_bytes)), requests, text_fields, admit)
    for found, name in ((train, "training"), *(((dev, "dev"),) if dev_files else ())):
        if found.n_unlabelled:
            terminal.note(f"{found.n_unlabelled} {name} records hold none of the labels and were left out")
    if not train.examples or (dev_files and not dev.examples):
        tally.finish()
        raise DoxaError(f"no {'dev' if train.examples else 'training'} record has a text and a label; check --head and --text-field")
    decided, warnings = decide_heads(requests, [train.column(i) for i in range(len(requests))])
    if not dev_files:
        train, dev = split_dev(train, dev_share, loop["seed"])
        terminal.note(f"split {len(dev.examples)} of {len(dev.examples) + len(train.examples)} records off as dev set")
    elif shared := count_shared_texts(train, dev):
        warnings.append(f"{shared} dev texts are in the training set too; the dev figures flatter")
    for i, head in enumerate(decided):
        if unseen := unseen_labels(head, dev.column(i)):
            shown = ", ".join(f"{label} ({n})" for label, n in unseen.most_common(5))
            warnings.append(f'head "{head.name}": dev holds labels that training lacks, counted as errors: {shown}')
    for warning in warnings:
        terminal.warn(warning)
    terminal.note(f"{len(train.examples)} training and {len(dev.examples)} dev records, heads: "
                  + ", ".join(f"{h.name} ({h.kind}{f', {len(h.labels)}' if h.labels else ''})" for h in decided))

    from doxa.training.finetune import Listener, Plan, finetune as train_and_publish

    epochs = num_train_epochs or (8 if base == "scratch" else 3)
    plan = Plan(base, output, text_fields, learning_rate, max_length, device, precision, int8, {"num_train_epochs": epochs, **loop})
    with terminal.progress("examples", epochs * len(train.examples)) as progress:
        listener = Listener(
            terminal.note, terminal.warn,
            lambda p: progress.advance(p.n_examples, f"epoch {p.epoch}  loss {p.loss:.3f}"))
        result = train_and_publish(plan, decided, train, dev, listener)
    write_text(render_training(result))
    tally.finish()
