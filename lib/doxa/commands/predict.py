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
@_options.device_options
@_options.error_options
@_options.output_options
def predict(files, from_format, text_field, max_record_bytes, text_pair_field, model, head_name, scores, long_policy, no_verify,
            device, precision, batch_tokens, on_error, max_errors, require_input, output, to, quiet, verbose):
    """Label records with a fine-tuned model.

    Reads records from FILEs (or stdin), writes them in the same order with every field untouched, and adds
    `prediction` (one entry per head) and `n_tokens`.

    \b
      cat news.jsonl | predict --model out/ | report
    """
    tally = _options.Tally(on_error, max_errors, require_input)
    terminal = _options.terminal("predict", quiet, verbose)
    source = _options.source(files, from_format, max_record_bytes)
    _options.prepare_libraries(model)
    _options.bound_caches()

    from doxa.inference.loading import load_predictor, prediction_types
    from doxa.records.reader import read_records
    from doxa.records.writer import choose_format, open_writer

    choose_format(output, to)
    is_given = click.get_current_context().get_parameter_source("text_field").name == "COMMANDLINE"
    predictor, reasons, notes = load_predictor(
        model, device=device, precision=precision, batch_tokens=batch_tokens, long_policy=long_policy,
        text_field=text_field if is_given else None, text_pair_field=text_pair_field, head_name=head_name,
        with_scores=scores, verify=not no_verify)
    for reason in reasons:
        terminal.explain(reason)
    for note in notes:
        terminal.note(note)
    with open_writer(output, to, prediction_types(predictor)) as writer, terminal.progress("records") as progress:
        for outcomes in predictor.predict(read_records(source)):
            writer.write(tally.admit(outcomes))
            tally.check()
            progress.advance(len(outcomes))
    tally.finish()
