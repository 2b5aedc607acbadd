"""explain: records and a model directory in, records with what speaks for their labels out."""

import click

from doxa.commands import _options
from doxa.errors import DoxaError, UsageError

RECORDS, PAGES = ("jsonl", "arrow", "parquet", "csv"), ("html", "terminal", "markdown", "json")
METHODS = ("integrated-gradients", "gradient-x-input", "occlusion", "shapley", "attention-rollout", "raw-attention")


@_options.command("explain")
@_options.input_options
@_options.pair_option
@click.option("--model", "-m", type=click.Path(), metavar="DIR", help="Model directory that finetune wrote, or any sequence classifier. "
              "Pages can do without, of records that were explained before.")
@click.option("--head", "heads", multiple=True, metavar="NAME", help="Head to explain; may be repeated.  [default: all]")
@click.option("--label", metavar="LABEL", help="Explain this label instead of the predicted one.")
@click.option("--method", type=click.Choice(METHODS),
              help="How: occlusion and shapley run on any engine and explain heads of any kind; attention is weak evidence, it shows where the model "
                   "looks and not what that is worth.  [default: integrated-gradients; occlusion for heads of tags, span, choice, text and vector]")
@click.option("--unit", type=click.Choice(("token", "word", "chinese-word", "sentence")), default="word", show_default=True,
              help="What is scored: the tokenizer's tokens, words (of Chinese: characters; by chinese-word those that jieba cuts, pip install 'doxa[chinese]'), or sentences.")
@click.option("--baseline", type=click.Choice(("pad", "mask")),
              help="The token that stands in the place of an absent one, for all methods but attention and gradient-x-input.  "
                   "[default: pad; mask for RoBERTa and its kin]")
@click.option("--steps", type=click.IntRange(1, 512), default=16, show_default=True, metavar="N",
              help="Steps of integrated-gradients, evenly spread; more of them, up to 512, where along the way scores do not sum up, to within 2 % of their absolute sum or 0.02 nats.")
@click.option("--samples", type=click.IntRange(min=64), default=512, show_default=True, metavar="N",
              help="About how often shapley runs the model for a text. Of more units than a 16th of it, neighbours share their group's score.")
@click.option("--no-faithfulness", is_flag=True, help="Do not measure what the model makes of the text without its best words, and of them alone.")
@click.option("--rules", "rules_path", type=click.Path(), metavar="FILE", help="Tell beside each explanation which rules of FILE fire, and whether the model agrees.")
@click.option("--summary", is_flag=True, help="Instead of records, show which words speak for and against each label over all texts; of Chinese, pairs of "
              "characters that overlap, but for --unit chinese-word.")
@click.option("--contrast", is_flag=True, help="Show which words moved a label between two FILEs, the earlier first (with --head and --label).")
@click.option("--learn-rules", is_flag=True, help="Write a short list of rules that says what the model said in `prediction` (with --head), as a file for --rules, "
              "with how often it agrees on held-out texts.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="Words, or texts of a label, that a page shows.")
@click.option("--title", help="Title of the page.")
@click.option("--id-field", default="id", show_default=True, metavar="NAME", help="Field of the id, by which pages name a record.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Seed of shapley's orders and of the random orders beside which faithfulness stands.")
@_options.long_option
@_options.engine_options
@_options.device_options
@_options.error_options
@click.option("--output", "-o", type=click.Path(), metavar="FILE", help="Write to FILE, whole or not at all, instead of stdout.")
@click.option("--to", type=click.Choice(RECORDS + PAGES), help="Format: of records jsonl, arrow, parquet or csv; html for a page of coloured texts; of --summary and "
              "--contrast terminal, markdown or json. Else by the suffix of --output; else jsonl, and terminal for words.")
def explain(files, from_format, text_field, max_record_bytes, text_pair_field, model, heads, label, method, unit, baseline, steps, samples,
            no_faithfulness, rules_path, summary, contrast, learn_rules, top, title, id_field, seed, long_policy, no_verify, engine, device, precision, batch_tokens, on_error, max_errors, require_input, output, to,
            quiet, verbose):
    """Say which words speak for the label that a model gives.

    Reads records from FILEs (or stdin), writes them in the same order with every field untouched, and adds
    `explanation` (one entry per head): every word with its characters in the text and its score, in nats of
    evidence for the label, and how faithful that is to the model, beside random words.

    \b
      head -100 news.jsonl | explain --model out/ --head sentiment > why.jsonl
      explain --to html --output why.html why.jsonl
      explain --summary why.jsonl
      explain --model out/ --head topic --label credit --contrast last-week.jsonl this-week.jsonl
      explain --learn-rules --head topic predicted.jsonl > rules.toml
    """
    from doxa.explaining.output import ExplainedBefore, check_contrast, choose_output, records_of
    from doxa.records.reader import read_records

    tally = _options.Tally(on_error, max_errors, require_input)
    terminal = _options.terminal("explain", quiet, verbose)
    kind = choose_output(output, to, summary, contrast, learn_rules)
    if learn_rules and (len(heads) != 1 or model is not None):
        raise UsageError("--learn-rules reads what predict said: give --head NAME, and no --model")
    if model is None:
        _refuse_flags_of_models(contrast, learn_rules)
    if contrast:
        check_contrast(files, heads)
    elif model is None and kind in RECORDS:
        raise UsageError("give the model that is to be explained: --model DIR; only pages (--to html, --summary, --contrast) are made of what was explained before")
    if rules_path and model is None:
        raise UsageError("--rules is told beside what a model says: give --model DIR as well")
    sources = [_options.source((file,) if contrast else files, from_format, max_record_bytes) for file in (files if contrast else ("",))]

    if model is None:
        stream, types = ExplainedBefore(text_field, text_pair_field, summary or contrast), {}
    else:
        is_given = click.get_current_context().get_parameter_source("text_field").name == "COMMANDLINE"
        request = (model, device, engine, precision, batch_tokens, long_policy, text_field if is_given else None, text_pair_field)
        wanted = (heads, label, method, unit, not no_faithfulness, rules_path is not None)
        stream, types = _load(request, not no_verify, wanted, (steps, samples, seed, baseline), rules_path, terminal)

    def outcomes_of(source, progress):
        for outcomes in stream.explain(read_records(source)):
            yield tally.admit(outcomes)
            tally.check()
            progress.advance(len(outcomes))

    with terminal.progress("records") as progress:
        if learn_rules:
            _learn(records_of(outcomes_of(sources[0], progress)), heads[0], text_field, seed, output, terminal)
        elif kind in RECORDS:
            from doxa.records.writer import open_writer

            with open_writer(output, to, types) as writer:
                for outcomes in outcomes_of(sources[0], progress):
                    writer.write(outcomes)
        else:
            from doxa.records.standard import page_look
            from doxa.records.writer import write_page
            from doxa.reporting.explanations.pages import PageWanted, render_explained

            about = "contrast" if contrast else "summary" if summary else "texts"
            wanted = PageWanted(about, kind, title, stream.signature, stream.text_field, stream.text_pair_field, id_field, top, heads[0] if heads else None,
                                label, files, *page_look(output))
            page = render_explained([records_of(outcomes_of(source, progress)) for source in sources], wanted)
            if not tally.n_records and require_input:
                raise DoxaError("the input holds no record (--require-input)")
            write_page(page, output)
    tally.finish()


def _refuse_flags_of_models(contrast, learn_rules):
    """What says how a model explains, where none does. Raises UsageError."""
    names = ["method", "unit", "baseline", "steps", "samples", "no_faithfulness", "long_policy", "no_verify", "engine", "device", "precision", "batch_tokens"]
    names += [] if contrast else ["label"]
    names += [] if contrast or learn_rules else ["heads"]
    context = click.get_current_context()
    for option in context.command.params:
        if option.name in names and context.get_parameter_source(option.name).name == "COMMANDLINE":
            raise UsageError(f"{option.opts[0]} says how a model explains; without --model DIR what is in the records is taken as it is")


def _learn(records, head, text_field, seed, output, terminal):
    from doxa.explaining.surrogate import learn_rules
    from doxa.records.writer import write_page

    found = learn_rules(records, head, text_field, seed)
    write_page(found.to_toml(), output)
    terminal.note(f"{len(found.rules)} rules say what the model says in {found.fidelity} of {found.fidelity.n:,} held-out texts; "
                  f'always "{found.commonest}" would in {found.majority}')


def _load(request, verify, wanted, how, rules_path, terminal):
    """The stream of explanations, and the Arrow types of what it adds."""
    from doxa.device.libraries import bound_caches, calm_collector, prepare_libraries

    prepare_libraries(request[0])
    bound_caches()

    from doxa.explaining.explainer import Wanted
    from doxa.explaining.loading import load_explainer
    from doxa.explaining.ruling import Ruling
    from doxa.inference.loading import Request
    from doxa.rules.format import read_rules

    wanted = Wanted(*wanted)
    stream, known, reasons = load_explainer(Request(*request, verify=verify), wanted, *how)
    for reason in reasons:
        terminal.explain(reason)
    heads = [head for head, _ in stream.explainer.heads]
    stream.ruling = Ruling(read_rules(rules_path), heads, stream.text_field) if rules_path else None
    for note in known.notes + (stream.ruling.notes if stream.ruling else []):
        terminal.note(note)
    calm_collector()
    return stream, stream.explainer.arrow_type()
