"""predict: records and a model directory in, records with predictions out."""

import itertools
from dataclasses import asdict

import click

from doxa import __version__
from doxa.commands import _options
from doxa.errors import UsageError


@_options.command("predict", sections={"beams": "Generation, by heads of text", "device": "Hardware", "on_error": "Records that fail",
                                       "output": "Output"})
@_options.input_options
@_options.pair_option
@click.option("--model", "-m", required=True, type=click.Path(), metavar="DIR", help="Model directory that finetune wrote, or any sequence classifier.")
@click.option("--head", "head_name", metavar="NAME", help="Name for the head of a model that doxa did not write.  [default: label]")
@click.option("--scores", is_flag=True, help="Add the scores of all labels to every head.")
@click.option("--stamp", is_flag=True, help="Add to every head which model said so: its fingerprint, precision and how long texts were read.")
@click.option("--rules", "rules_path", type=click.Path(), metavar="FILE", help="Where a firm rule of FILE fires its label stands, with `by` beside it.")
@_options.long_option
@_options.engine_options
@click.option("--workers", type=click.IntRange(min=1), metavar="N",
              help="Processes to compute in, each on a share of the cores and GPUs.  [default: 1, or one for each GPU]")
@click.option("--shard", metavar="I/N", help="Label only every N-th record, the I-th of them first: for job arrays and xargs.")
@click.option("--resume", is_flag=True, help="With --output FILE: keep what is written as FILE.partial, and go on after it if it is there.")
@click.option("--beams", type=click.IntRange(min=1), metavar="N", help="Write the likeliest of N texts that are followed side by side.  [default: 1, greedily]")
@click.option("--sample", is_flag=True, help="Draw each token; a text's draw depends on --seed and the text alone.")
@click.option("--temperature", type=click.FloatRange(0, min_open=True), metavar="X", help="With --sample: below 1 likelier, above 1 more varied.  [default: 1]")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), metavar="P",
              help="With --sample: draw among the likeliest tokens that together have this share.  [default: 1]")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="With --sample: fixes what is drawn.  [default: 42]")
@click.option("--max-new-tokens", type=click.IntRange(min=1), metavar="N", help="Most tokens to write.  [default: a quarter more than the longest in training]")
@click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; repeatable.")
@_options.device_options
@_options.error_options
@_options.output_options
def predict(files, from_format, text_field, max_record_bytes, text_pair_field, model, head_name, scores, stamp, rules_path,
            long_policy, no_verify, engine, workers, shard, resume, beams, sample, temperature, top_p, seed, max_new_tokens, stop, device, precision, batch_tokens, on_error, max_errors, require_input, output, to, quiet, verbose):
    """Label records with a fine-tuned model.

    Reads records from FILEs (or stdin), writes them in the same order with every field untouched, and adds
    `prediction` (one entry per head) and `n_tokens`.

    \b
      cat news.jsonl | predict --model out/ | report
    """
    settings = _settings(beams, sample, {"temperature": temperature, "top_p": top_p, "seed": seed}, max_new_tokens, stop)
    tally = _options.Tally(on_error, max_errors, require_input)
    terminal = _options.terminal("predict", quiet, verbose)
    source = _options.source(files, from_format, max_record_bytes)

    rules = None
    if rules_path:
        from doxa.rules.format import read_rules

        rules = read_rules(rules_path)

    from doxa.device.libraries import bound_caches, calm_collector, prepare_libraries

    prepare_libraries(model)
    bound_caches()

    from doxa.inference.loading import Request, count_workers, load_predictor, prediction_types
    from doxa.records.reader import read_records
    from doxa.records.writer import choose_format, open_writer

    kind, codec = choose_format(output, to)
    part, n_parts = _parse_shard(shard)
    if resume:
        _check_resumable(output, kind, codec, on_error)
    is_given = click.get_current_context().get_parameter_source("text_field").name == "COMMANDLINE"
    request = Request(
        model, device, engine, precision, batch_tokens, long_policy, text_field if is_given else None, text_pair_field,
        head_name, scores or rules is not None, stamp, not no_verify, settings=settings)
    predictor, known, reasons = load_predictor(request, count_workers(workers, device))
    for reason in reasons:
        terminal.explain(reason)
    overruling = None
    if rules:
        from doxa.inference.overruling import Overruling

        overruling = Overruling(rules, known.heads, predictor.fields.text, scores)
    for note in known.notes + (overruling.notes if overruling else []):
        terminal.note(note)
    calm_collector()
    records = itertools.islice(read_records(source), part - 1, None, n_parts)
    partial = None
    if resume:
        from doxa.records.resume import Partial

        partial = Partial(output, {"request": asdict(request), "shard": shard, "model": known.made_from, "reasons": reasons, "doxa": __version__,
                                   "scores": scores, "rules": rules and rules.fingerprint})
        records = partial.skip(records)
        tally.recall(partial.n_records, partial.failures)
        if partial.n_records:
            terminal.note(f"going on after {partial.n_records} records of an earlier run")
    types = prediction_types(known.heads, scores, overruling.ruled_heads if overruling else frozenset(), stamp)
    with open_writer(output, to, types, partial) as writer, terminal.progress("records") as progress:
        for outcomes in predictor.predict(records):
            if overruling:
                overruling.apply(outcomes)
            writer.write(tally.admit(outcomes))
            tally.check()
            progress.advance(len(outcomes))
    terminal.explain(f"{predictor.n_remembered} of {predictor.n_windows} windows had been computed before")
    if overruling and overruling.n_contradicted:
        terminal.note(f"on {overruling.n_contradicted} records firm rules contradict each other; there the model's label stays")
    tally.finish()


def _settings(beams: int | None, sample: bool, drawing: dict, max_new_tokens: int | None, stop: tuple[str, ...]) -> dict:
    """The flags of generation that were given, by the names that settings of heads have."""
    drawing = {name: value for name, value in drawing.items() if value is not None}
    if drawing and not sample:
        raise UsageError(f"--{next(iter(drawing)).replace('_', '-')} goes with --sample")
    if sample and (beams or 1) > 1:
        raise UsageError("--sample and --beams do not go together; take one of them")
    if "" in stop:
        raise UsageError("--stop: give a text that is not empty")
    given = {"beams": beams, "sample": sample or None, "max_new_tokens": max_new_tokens, "stop": list(stop) or None} | drawing
    return {name: value for name, value in given.items() if value is not None}


def _parse_shard(text: str | None) -> tuple[int, int]:
    try:
        part, n_parts = map(int, (text or "1/1").split("/"))
    except ValueError:
        part = n_parts = 0
    if not 1 <= part <= n_parts:
        raise UsageError(f"--shard {text}: give I/N, as 2/8 for the second of eight")
    return part, n_parts


def _check_resumable(output: str | None, kind: str, codec: str | None, on_error: str) -> None:
    if output in (None, "-") or output.startswith("/dev/"):
        raise UsageError("--resume goes with --output FILE")
    if kind != "jsonl" or codec:
        raise UsageError("--resume writes plain JSON Lines; name a file with the suffix .jsonl")
    if on_error == "drop":
        raise UsageError("--resume counts the lines that are there; --on-error drop would leave some out")
