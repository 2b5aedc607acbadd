"""report: predictions in, a page out."""

import click

from doxa.commands import _options
from doxa.errors import DoxaError, RecordsFailed


@_options.command("report")
@_options.input_options
@click.option("--by", metavar="NAME", help="Group by a head or a field (head:NAME, field:NAME).  [default: head topic, if there]")
@click.option("--watch", metavar="HEAD=LABEL", help="Label whose share is shown.  [default: sentiment=negative, if there]")
@click.option("--every", metavar="LENGTH", help="Time buckets: 15m, 1h, 6h, 1d, 1w, 1mo.  [default: by the span]")
@click.option("--time-zone", default="UTC", show_default=True, metavar="ZONE", help="Whose calendar days and hours are.")
@click.option("--assume-time-zone", metavar="ZONE", help="For timestamps without a zone, which else are left out of the trend.")
@click.option("--since", metavar="TIME", help="Only records from this date or time on.")
@click.option("--until", metavar="TIME", help="Only records before this date or time.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Groups shown; the others are folded into one.")
@click.option("--examples", type=click.IntRange(min=0), default=3, show_default=True, help="Telling texts per group.")
@click.option("--time-field", metavar="NAME", help="Field of the time.  [default: timestamp, time, created_at, publish_time, date]")
@click.option("--id-field", default="id", show_default=True, metavar="NAME", help="Field of the id.")
@click.option("--title", default="Opinion report", show_default=True, help="Title of the page.")
@click.option("--to", type=click.Choice(("terminal", "markdown", "html", "json")), help="Format; else by the suffix of --output; else terminal.")
@click.option("--output", "-o", type=click.Path(), metavar="FILE", help="Write to FILE, whole or not at all, instead of stdout.")
@click.option("--require-input", is_flag=True, help="Fail (exit 1) when there is no record at all.")
def report(files, from_format, text_field, max_record_bytes, by, watch, every, time_zone, assume_time_zone, since, until, top,
           examples, time_field, id_field, title, to, output, require_input, quiet, verbose):
    """Show what is said, how it feels and how that moves.

    Reads predictions and shows counts and shares per label and per group with 95 % Wilson intervals, a trend in time
    buckets of the local calendar, and the most telling texts, near-duplicates once.

    \b
      cat news.jsonl | predict --model out/ | report
      report --by topic --every 1d --output week.html 'archive/*.parquet'
    """
    terminal = _options.terminal("report", quiet, verbose)
    source = _options.source(files, from_format, max_record_bytes)

    from doxa.monitoring.aggregate import Settings, aggregate
    from doxa.monitoring.buckets import load_zone, parse_every
    from doxa.monitoring.times import parse_bound
    from doxa.records.columns import Wanted, read_columns
    from doxa.records.standard import page_width, stdout_takes_colour
    from doxa.records.writer import write_page
    from doxa.reporting.page import choose_page, render

    kind = choose_page(output, to)
    zone = load_zone(time_zone)
    settings = Settings(
        watch=watch, every=parse_every(every) if every else None, zone=zone,
        assumed_zone=load_zone(assume_time_zone, "--assume-time-zone") if assume_time_zone else None,
        since=parse_bound(since, "--since", zone), until=parse_bound(until, "--until", zone),
        top=top, n_examples=examples, title=title)
    reader = read_columns(source, Wanted(by, time_field, text_field if examples else None, id_field))
    figures = aggregate(reader, settings)
    if not figures.n_records and require_input:
        raise DoxaError("the input holds no record (--require-input)")
    to_stdout = output is None
    write_page(render(figures, kind, page_width() if to_stdout else 100, to_stdout and stdout_takes_colour()), output)
    if verbose:
        terminal.explain(figures.signature)
    n_failed = reader.n_unreadable + reader.n_unpredicted
    if n_failed:
        failure = DoxaError if n_failed == figures.n_records else RecordsFailed
        raise failure(f"{n_failed} of {figures.n_records} records could not be read or hold no prediction")
