"""predict: records and a model directory in, records with predictions out."""

import click

from doxa.commands import _options


@_options.command("predict")
@_options.input_options
@_options.pair_option
@click.option("--model", "-m", required=True, type=click.Path(), metavar="DIR", help="Model directory that finetune wrote, or any sequence classifier.")
@click.option("--head", "head_name", metavar="NAME", help="Name for the head of a model that doxa did not write.  [default: label]")
@click.option("--scores", is_flag=True, help="Add the scores of all labels to every head.")
@click.option("--long", "long_policy", type=click.Choice(("windows", "head", "head-tail", "error")),
              help="A text longer than the model reads: overlapping windows pooled, cut, or an error record.  [default: windows]")
@click.option("--no-verify", is_flag=True, help="Do not compare the model's files with its manifest.")
@click.option("--engine", type=click.Choice(("auto", "openvino", "torch")), default="auto", show_default=True,
              help="What computes: openvino is the fastest on a CPU and starts without torch.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N",
              help="Processes to compute in, each on a share of the cores.  [default: 1, or one for each GPU]")
@_options.device_options
@_options.error_options
@_options.output_options
def predict(files, from_format, text_field, max_record_bytes, text_pair_field, model, head_name, scores, long_policy, no_verify,
            engine, workers, device, precision, batch_tokens, on_error, max_errors, require_input, output, to, quiet, verbose):
    """Label records with a fine-tuned model.

    Reads records from FILEs (or stdin), writes them in the same order with every field untouched, and adds
    `prediction` (one entry per head) and `n_tokens`.

    \b
      cat news.jsonl | predict --model out/ | report
    """
    tally = _options.Tally(on_error, max_errors, require_input)
    terminal = _options.terminal("predict", quiet, verbose)
    source = _options.source(files, from_format, max_record_bytes)

    from doxa.device.libraries import bound_caches, prepare_libraries

    prepare_libraries(model)
    bound_caches()

    from doxa.inference.loading import Request, count_workers, load_predictor, prediction_types
    from doxa.records.reader import read_records
    from doxa.records.writer import choose_format, open_writer

    choose_format(output, to)
    is_given = click.get_current_context().get_parameter_source("text_field").name == "COMMANDLINE"
    request = Request(
        model, device, engine, precision, batch_tokens, long_policy, text_field if is_given else None, text_pair_field,
        head_name, scores, not no_verify)
    predictor, known, reasons = load_predictor(request, count_workers(workers, device))
    for reason in reasons:
        terminal.explain(reason)
    for note in known.notes:
        terminal.note(note)
    with open_writer(output, to, prediction_types(known.heads, scores)) as writer, terminal.progress("records") as progress:
        for outcomes in predictor.predict(read_records(source)):
            writer.write(tally.admit(outcomes))
            tally.check()
            progress.advance(len(outcomes))
    terminal.explain(f"{predictor.n_remembered} of {predictor.n_windows} windows had been computed before")
    tally.finish()
