"""compare: two or more files of predictions in, what got better or worse beyond chance out."""

import click

from doxa.commands import _options
from doxa.errors import DoxaError, GateRefused, RecordsFailed, UsageError


@_options.command("compare")
@_options.input_options
@click.option("--head", "heads", multiple=True, metavar="NAME", help="Compare this head only; repeatable.  [default: all with gold labels]")
@click.option("--gold", multiple=True, metavar="HEAD=FIELD", help="Where the gold label of a head is.  [default: the field of the head's name]")
@click.option("--metric", "metrics", multiple=True, metavar="FIGURE", help="Figure that decides, by a name of evaluate --to json; repeatable.  "
              "[default, and of heads without it: macro_f1; mae of numbers; f1, accuracy and the like of other kinds]")
@click.option("--margin", type=click.FloatRange(min=0), default=0.0, show_default=True, metavar="X", help="How much worse the new may be.")
@click.option("--alpha", type=click.FloatRange(min=0, max=0.5, min_open=True), default=0.05, show_default=True, metavar="A",
              help="Chance of any verdict that is wrong; shared by Holm's method among all that decide.")
@click.option("--by", multiple=True, metavar="NAME", help="Compare each value that a head or field has in the old file, of a list each member, on its own; repeat it for combinations.")
@click.option("--by-length", is_flag=True, help="Compare texts of like length on their own.")
@click.option("--where", multiple=True, metavar="CONDITION", help="Compare only records for which it holds, as in report; repeatable.")
@click.option("--flips", "n_flips", type=click.IntRange(min=0), default=5, show_default=True, metavar="N", help="List N records that became wrong.")
@click.option("--resamples", "n_resamples", type=click.IntRange(100, 20_000), metavar="N", help="How often the records are drawn anew.  "
              "[default: 1000; more, up to 10000, where --alpha or how much decides asks for it]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the resampling.")
@click.option("--id-field", default="id", show_default=True, metavar="NAME", help="Field of the id, by which records are paired; else by order.")
@click.option("--title", default="Comparison", show_default=True, help="Title of the page.")
@_options.page_options_of("terminal", "markdown", "html", "json")
def compare(files, from_format, text_field, max_record_bytes, heads, gold, metrics, margin, alpha, by, by_length, where, n_flips, n_resamples, seed, id_field, title,
            to, output, require_input, quiet, verbose):
    """Tell whether new predictions are better or worse than old ones.

    Pairs the records of two files of predictions that also hold the gold label, and shows the difference of every figure
    with its interval (paired bootstrap, McNemar), per label and per slice, and the records that became wrong. Further files are
    compared with the first too. Ends with 4 where a deciding figure is worse beyond chance and --margin.

    \b
      compare old.jsonl new.jsonl
      compare --metric accuracy --margin 0.01 fp32.jsonl int8.jsonl
      compare --by source --output comparison.html old.jsonl new.jsonl
    """
    terminal = _options.terminal("compare", quiet, verbose)
    if len(files) < 2:
        raise UsageError("name two files or more: the old predictions first")

    from doxa.evaluation.compare import Settings, compare_all
    from doxa.evaluation.intake import read_evidence, want_evidence
    from doxa.evaluation.measures import check_metrics
    from doxa.records.columns import read_columns
    from doxa.records.conditions import parse_conditions
    from doxa.records.page_formats import choose_page
    from doxa.records.standard import page_look
    from doxa.records.writer import write_page
    from doxa.reporting.comparison import FORMATS, render_comparison

    kind = choose_page(output, to, FORMATS)
    conditions = parse_conditions(where)
    settings = Settings(metrics, margin, alpha, n_flips, seed, n_resamples, title, ", ".join(by) or None, tuple(map(str, conditions)))
    wanted = want_evidence(by, by_length, conditions, gold, text_field, id_field)
    sides, failures = [], []
    for file in files:
        with terminal.progress("records") as progress:
            reader = read_columns(_options.source((file,), from_format, max_record_bytes), wanted, progress.advance)
            sides.append(read_evidence(reader, heads, conditions, by_length, keep_texts=True))
        if not sides[-1].n_good:
            raise DoxaError(f"{file} holds no record to compare")
        if reader.n_failed:
            failures.append(reader.tell_failed(sides[-1].n_records, file))
    check_metrics(metrics, [rows for side in sides for rows in side.heads.values()])
    comparisons = compare_all(sides, list(files), settings)
    write_page(render_comparison(comparisons, kind, *page_look(output)), output)
    terminal.explain(comparisons.signature)
    failures += comparisons.one_sided
    worse = [f"{pair.new} is worse than {pair.old}: {head.head} {figure.name} {figure.old:.4f} -> {figure.new:.4f}" for pair, head, figure in comparisons.worse]
    if worse:
        raise GateRefused("; ".join([*worse, *failures]))
    if failures:
        raise RecordsFailed("; ".join(failures))
