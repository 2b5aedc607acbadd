"""evaluate: predictions that also hold the gold label in, figures with intervals out."""

import click

from doxa.commands import _options
from doxa.errors import DoxaError, GateRefused, RecordsFailed, UsageError


@_options.command("evaluate")
@_options.input_options
@click.option("--head", "heads", multiple=True, metavar="NAME", help="Judge this head only; repeatable.  [default: all with gold labels]")
@click.option("--gold", multiple=True, metavar="HEAD=FIELD", help="Where the gold label of a head is.  [default: the field of the head's name]")
@click.option("--by", multiple=True, metavar="NAME", help="Judge each value of a head or field, of a list each member, on its own, the worst first; repeat it for combinations.")
@click.option("--by-length", is_flag=True, help="Judge texts of like length on their own: by n_tokens, or characters where that is missing.")
@click.option("--group", metavar="FIELD", help="Records of one value of FIELD are candidates of one question: judge how scores rank them (nDCG, MRR).")
@click.option("--positive", metavar="LABEL", help="Label that should be ranked first.  [default: the first there of 1, true, yes, relevant, entailment, same, match, "
              "duplicate]")
@click.option("--where", multiple=True, metavar="CONDITION", help="Judge only records for which it holds, as in report; repeatable.")
@click.option("--errors", "n_mistakes", type=click.IntRange(min=0), default=5, show_default=True, metavar="N", help="List the N gravest mistakes of every head.")
@click.option("--at-least", multiple=True, metavar="[HEAD:]FIGURE[[LABEL]]=NUMBER", help="Exit 4 where it is below, as macro_f1=0.80, or of one label, as "
              "'f1[negative]=0.70'; with --where that of one slice; repeatable.")
@click.option("--at-most", multiple=True, metavar="[HEAD:]FIGURE=NUMBER", help="Exit 4 where it is above, for figures of which less is better, as log_loss=0.5; repeatable.")
@click.option("--slice-at-least", multiple=True, metavar="[HEAD:]FIGURE=NUMBER", help="The same of every slice of --by and --by-length that has 30 records, as accuracy=0.7; repeatable.")
@click.option("--slice-at-most", multiple=True, metavar="[HEAD:]FIGURE=NUMBER", help="The same for figures of which less is better, as mae=0.5; repeatable.")
@click.option("--sure", is_flag=True, help="A gate asks for the whole interval, not the figure alone, to be on the right side.")
@click.option("--resamples", "n_resamples", type=click.IntRange(100, 20_000), default=1000, show_default=True, metavar="N", help="How often the records are drawn anew.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the resampling.")
@click.option("--id-field", default="id", show_default=True, metavar="NAME", help="Field of the id.")
@click.option("--title", default="Evaluation", show_default=True, help="Title of the page.")
@_options.page_options_of("terminal", "markdown", "html", "json")
def evaluate(files, from_format, text_field, max_record_bytes, heads, gold, by, by_length, group, positive, where, n_mistakes, at_least, at_most,
             slice_at_least, slice_at_most, sure, n_resamples, seed, id_field, title, to, output, require_input, quiet, verbose):
    """Judge predictions against gold labels.

    Reads predictions that also hold the gold label, in the field of the head's name, and shows precision, recall and F1 of
    every label, their averages, accuracy, Matthews correlation, confusions and calibration; with the scores of all labels
    (predict --scores) log loss, Brier, ROC AUC and average precision. Heads of other kinds have the figures of their kind. Every
    figure has a 95 % interval.

    \b
      predict --model out/ --scores < test.jsonl | evaluate
      evaluate --group question --at-least ndcg=0.7 candidates.jsonl
      evaluate --by source --by-length --output evaluation.html predicted.jsonl
      evaluate --at-least sentiment:macro_f1=0.80 predicted.jsonl && ship out/
      evaluate --by source --slice-at-least accuracy=0.6 --sure predicted.jsonl
      evaluate --where source=forum --at-least 'sentiment:f1[negative]=0.70' predicted.jsonl
    """
    terminal = _options.terminal("evaluate", quiet, verbose)
    if positive is not None and group is None:
        raise UsageError("--positive says what --group should rank first; give --group FIELD, too")
    source = _options.source(files, from_format, max_record_bytes)

    from doxa.evaluation.evaluate import Settings, judge_heads
    from doxa.evaluation.gate import check_gates, parse_gate
    from doxa.evaluation.intake import read_evidence, want_evidence
    from doxa.evaluation.ranking import Grouping
    from doxa.metrics.bootstrap import Resampling
    from doxa.records.columns import read_columns
    from doxa.records.conditions import parse_conditions
    from doxa.records.page_formats import choose_page
    from doxa.records.standard import page_look
    from doxa.records.writer import write_page
    from doxa.reporting.evaluation import FORMATS, render_evaluation

    kind = choose_page(output, to, FORMATS)
    asked = ((at_least, False, False), (at_most, True, False), (slice_at_least, False, True), (slice_at_most, True, True))
    gates = [parse_gate(text, is_most, is_of_slices, sure) for texts, is_most, is_of_slices in asked for text in texts]
    if any(gate.is_of_slices for gate in gates) and not (by or by_length):
        raise UsageError("--slice-at-least and --slice-at-most judge slices; give --by NAME or --by-length, too")
    if sure and not gates:
        raise UsageError("--sure says how gates are judged; give --at-least or --at-most, too")
    conditions = parse_conditions(where)
    with terminal.progress("records") as progress:
        reader = read_columns(source, want_evidence(by, by_length, conditions, gold, text_field, id_field, group), progress.advance)
        seen = read_evidence(reader, heads, conditions, by_length, n_mistakes, group=group)
    if not seen.n_records and require_input:
        raise DoxaError("the input holds no record (--require-input)")
    evaluation = judge_heads(seen, Settings(title, ", ".join(by) or None, tuple(map(str, conditions)), Resampling(seed, n_resamples),
                                            Grouping(group, positive) if group else None))
    missed = check_gates(evaluation, gates)
    write_page(render_evaluation(evaluation, kind, *page_look(output)), output)
    failure = "; ".join(filter(None, (reader.tell_failed(seen.n_records), *seen.tell_unpredicted())))
    if failure and reader.n_failed == seen.n_records:
        raise DoxaError(failure)
    if missed:
        raise GateRefused("; ".join([*missed, *([failure] if failure else [])]))
    if failure:
        raise RecordsFailed(failure)
    if gates:
        terminal.explain("every gate is passed")
