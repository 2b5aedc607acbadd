"""explain: records and a model directory in, records with what speaks for their labels out."""

import click

from doxa.commands import _options

METHODS = ("integrated-gradients", "gradient-x-input", "occlusion", "shapley", "attention-rollout", "raw-attention")


@_options.command("explain")
@_options.input_options
@_options.pair_option
@click.option("--model", "-m", required=True, type=click.Path(), metavar="DIR", help="Model directory that finetune wrote, or any sequence classifier.")
@click.option("--head", "heads", multiple=True, metavar="NAME", help="Head to explain; may be repeated.  [default: all]")
@click.option("--label", metavar="LABEL", help="Explain this label instead of the predicted one.")
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True,
              help="How: occlusion and shapley run on any engine; attention is weak evidence, it shows where the model looks and not what that is worth.")
@click.option("--unit", type=click.Choice(("token", "word", "sentence")), default="word", show_default=True,
              help="What is scored: the tokenizer's tokens, words (of Chinese: characters), or sentences.")
@click.option("--baseline", type=click.Choice(("pad", "mask")),
              help="The token that stands in the place of an absent one, for all methods but attention and gradient-x-input.  "
                   "[default: pad; mask for RoBERTa and its kin]")
@click.option("--steps", type=click.IntRange(1, 512), default=32, show_default=True, metavar="N",
              help="Steps of integrated-gradients; doubled, up to 512, for a text whose scores do not sum up to within 5 %.")
@click.option("--samples", type=click.IntRange(min=64), default=512, show_default=True, metavar="N",
              help="About how often shapley runs the model for a text.")
@click.option("--no-faithfulness", is_flag=True, help="Do not measure what the model makes of the text without its best words, and of them alone.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Seed of shapley's orders and of the random orders beside which faithfulness stands.")
@_options.long_option
@_options.engine_options
@_options.device_options
@_options.error_options
@_options.output_options
def explain(files, from_format, text_field, max_record_bytes, text_pair_field, model, heads, label, method, unit, baseline, steps, samples,
            no_faithfulness, seed, long_policy, no_verify, engine, device, precision, batch_tokens, on_error, max_errors, require_input, output, to,
            quiet, verbose):
    """Say which words speak for the label that a model gives.

    Reads records from FILEs (or stdin), writes them in the same order with every field untouched, and adds
    `explanation` (one entry per head): every word with its characters in the text and its score, in nats of
    evidence for the label, and how faithful that is to the model, beside random words.

    \b
      head -100 news.jsonl | explain --model out/ --head sentiment > why.jsonl
    """
    tally = _options.Tally(on_error, max_errors, require_input)
    terminal = _options.terminal("explain", quiet, verbose)
    source = _options.source(files, from_format, max_record_bytes)

    from doxa.device.libraries import bound_caches, calm_collector, prepare_libraries

    prepare_libraries(model)
    bound_caches()

    from doxa.explaining.entry import entry_types
    from doxa.explaining.explainer import Wanted
    from doxa.explaining.loading import load_explainer
    from doxa.inference.loading import Request
    from doxa.records.reader import read_records
    from doxa.records.writer import choose_format, open_writer

    choose_format(output, to)
    is_given = click.get_current_context().get_parameter_source("text_field").name == "COMMANDLINE"
    request = Request(model, device, engine, precision, batch_tokens, long_policy, text_field if is_given else None, text_pair_field, verify=not no_verify)
    stream, known, reasons = load_explainer(request, Wanted(heads, label, method, unit, not no_faithfulness), steps, samples, seed, baseline)
    for reason in reasons:
        terminal.explain(reason)
    for note in known.notes:
        terminal.note(note)
    calm_collector()
    types = entry_types([head for head, _ in stream.explainer.heads], method, stream.text_pair_field is not None, not no_faithfulness)
    with open_writer(output, to, types) as writer, terminal.progress("records") as progress:
        for outcomes in stream.explain(read_records(source)):
            writer.write(tally.admit(outcomes))
            tally.check()
            progress.advance(len(outcomes))
    tally.finish()
