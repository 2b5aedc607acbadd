"""report: predictions in, a page out."""

from contextlib import nullcontext

import click

from doxa.commands import _options
from doxa.errors import DoxaError, RecordsFailed, UsageError


@_options.command("report")
@_options.input_options
@click.option("--by", multiple=True, metavar="NAME",
              help="Group by a head or a field (head:NAME, field:NAME), where it holds a list by each member; repeat it to group by combinations.  [default: head topic, if there]")
@click.option("--where", multiple=True, metavar="CONDITION",
              help="Count only records for which it holds: topic=credit, source!=bot, sentiment.score>=0.8, 'retweets>10', text~dividend (holds "
                   "it, in any case), field:lang=en. Repeatable; all must hold. Where the value is missing none holds, not even !=.")
@click.option("--watch", metavar="HEAD=LABEL", help="Label whose share is shown.  [default: sentiment=negative, if there]")
@click.option("--model", "-m", type=click.Path(exists=True, file_okay=False), metavar="DIR",
              help="Correct the shares of all labels for the mistakes that this model, which predicted, made on its dev set; of groups and buckets that of the watched one.")
@click.option("--gold-sample", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Correct those of the watched head for the mistakes in a random sample of these records that also holds the gold label, under the head's name.")
@click.option("--false-alarms", "promise", metavar="N/SPAN",
              help="Mark what alert would have told at this promise, such as 1/week, and say what moved; with its usual --baseline.")
@click.option("--every", metavar="LENGTH", help="Time buckets: 15m, 1h, 6h, 1d, 1w, 1mo.  [default: by the span]")
@click.option("--time-zone", default="UTC", show_default=True, metavar="ZONE", help="Whose calendar days and hours are.")
@click.option("--assume-time-zone", metavar="ZONE", help="For timestamps without a zone, which else are left out of the trend.")
@click.option("--since", metavar="TIME", help="Only records from this date or time on.")
@click.option("--until", metavar="TIME", help="Only records before this date or time.")
@click.option("--last", metavar="LENGTH", help="Only the last 12h, 30d, 4w or 3mo of the input, up to its latest time (not today). "
              "The records wait in TMPDIR until it is known.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Groups shown; the others are folded into one, or counted where a text is in several.")
@click.option("--examples", type=click.IntRange(min=0), default=3, show_default=True, help="Telling texts per group.")
@click.option("--time-field", metavar="NAME", help="Field of the time.  [default: timestamp, time, created_at, publish_time, date]")
@click.option("--id-field", default="id", show_default=True, metavar="NAME", help="Field of the id.")
@click.option("--title", default="Opinion report", show_default=True, help="Title of the page.")
@click.option("--to", type=click.Choice(("terminal", "markdown", "html", "json", "csv")), help="Format; else by the suffix of --output; else terminal.")
@click.option("--output", "-o", type=click.Path(), metavar="FILE", help="Write to FILE, whole or not at all, instead of stdout.")
@click.option("--require-input", is_flag=True, help="Fail (exit 1) when there is no record at all.")
def report(files, from_format, text_field, max_record_bytes, by, where, watch, model, gold_sample, promise, every, time_zone, assume_time_zone, since,
           until, last, top, examples, time_field, id_field, title, to, output, require_input, quiet, verbose):
    """Show what is said, how it feels and how that moves.

    Reads predictions and shows counts and shares per label and per group with 95 % Wilson intervals, a trend in time
    buckets of the local calendar, and the most telling texts, near-duplicates once. A share counted from predictions is bent by
    the model's mistakes: --model or --gold-sample shows beside it the share corrected for them, its interval holding both chances.

    \b
      cat news.jsonl | predict --model out/ | report
      report --by topic --every 1d --output week.html 'archive/*.parquet'
      report --by topic --by source --where 'sentiment.score>=0.8' --last 30d --to csv labelled.jsonl > month.csv
      report --watch sentiment=negative --model out/ labelled.jsonl
    """
    terminal = _options.terminal("report", quiet, verbose)
    source = _options.source(files, from_format, max_record_bytes)

    from doxa.monitoring.aggregate import Settings, aggregate
    from doxa.monitoring.buckets import load_zone, parse_every, parse_last
    from doxa.monitoring.correct import correct
    from doxa.monitoring.gold_sample import GoldSample
    from doxa.monitoring.mistakes import DevConfusions
    from doxa.monitoring.times import parse_bound
    from doxa.records.columns import keep_memory, read_columns
    from doxa.records.flat_schema import Wanted
    from doxa.records.conditions import parse_conditions
    from doxa.records.page_formats import choose_page
    from doxa.records.standard import page_look
    from doxa.records.writer import write_page
    from doxa.reporting.page import FORMATS, render

    if model and gold_sample:
        raise UsageError("--model and --gold-sample both say how to correct; give one of them")
    if last and (since or until):
        raise UsageError("--last counts back from the latest record, --since and --until bound the time themselves: give one or the other")
    kind = choose_page(output, to, FORMATS)
    zone = load_zone(time_zone)
    settings = Settings(
        watch=watch, every=parse_every(every) if every else None, zone=zone,
        assumed_zone=load_zone(assume_time_zone, "--assume-time-zone") if assume_time_zone else None,
        since=parse_bound(since, "--since", zone), until=parse_bound(until, "--until", zone),
        top=top, n_examples=examples, title=title, conditions=parse_conditions(where), last=parse_last(last) if last else None)
    if settings.since and settings.until and settings.since >= settings.until:
        raise UsageError(f"--since {since} is not before --until {until}: nothing lies between them")
    names = tuple(condition.name for condition in settings.conditions)
    if promise:
        from doxa.monitoring.alerts.intake import TOLD_FIELDS
        from doxa.monitoring.alerts.replay import open_replay, tell_what_moved

        names = tuple(dict.fromkeys([*names, *(f"field:{name}" for name in TOLD_FIELDS)]))
    wanted = Wanted(by, time_field, text_field if examples or promise else None, id_field, names, watch,
                    with_model=bool(promise or model), with_scores=bool(examples or promise), kinds=_options.kinds_by_mark, as_stored=True)
    known = DevConfusions(model) if model else GoldSample(gold_sample, wanted, max_record_bytes) if gold_sample else None
    keep_memory()
    with terminal.progress("records") as progress, open_replay(settings, promise) if promise else nullcontext() as replay:
        reader = read_columns(source, wanted, progress.advance)
        followers = [follower for follower in (replay and replay.add, known and known.see) if follower]
        figures = aggregate(reader, settings, followers)
        if replay:
            tell_what_moved(figures, replay, promise)
    if not figures.n_records and require_input:
        raise DoxaError("the input holds no record (--require-input)")
    if known:
        correct(figures, settings, known)
    write_page(render(figures, kind, *page_look(output)), output)
    if kind == "csv":  # rows have no place for them
        for note in figures.notes:
            terminal.note(note)
    terminal.explain(figures.signature)
    if reader.n_failed:
        failure = DoxaError if reader.n_failed == figures.n_records else RecordsFailed
        raise failure(reader.tell_failed(figures.n_records))
