"""alert: predictions and what was seen before in, one line per alert out, silence otherwise."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import click

from doxa.commands import _options
from doxa.errors import DoxaError, GateRefused, RecordsFailed, UsageError

SECTIONS = {"state": "State", "by": "What is watched", "promise": "How strictly", "to": "Where it goes", "backtest": "Looking back"}
LEAST_BASELINE_S = 3 * 86_400
LARGE_PART = 0.1  # of the records; fewer that come again with another time have been edited


@_options.command("alert", SECTIONS)
@_options.input_options
@click.option("--require-input", is_flag=True, help="Fail (exit 1) when there is no record at all: an empty feed is an incident.")
@click.option("--time-field", metavar="NAME", help="Field of the time.  [default: timestamp, time, created_at, publish_time, date]")
@click.option("--id-field", default="id", show_default=True, metavar="NAME",
              help="Field of the id, by which a record is known again; else its time and text.")
@click.option("--assume-time-zone", metavar="ZONE", help="For timestamps without a zone, which else are left out.")
@click.option("--state", type=click.Path(), metavar="FILE",
              help="What was seen before: one SQLite file, made where there is none. A new one only learns.")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="SECONDS",
              help="How long to wait for another run that holds the state.")
@click.option("--show", is_flag=True, help="Show what the state knows, and read nothing.")
@click.option("--model", type=click.Path(), metavar="DIR",
              help="The model that predicted: when its weights change, what is usual is learnt anew. Records of predict --stamp tell it themselves.")
@click.option("--by", multiple=True, metavar="NAME",
              help="A series for each value of a head or a field, of a list for each member, beside that of all texts (head:NAME, field:NAME); repeat it for combinations.  [default: head topic, if there]")
@click.option("--where", multiple=True, metavar="CONDITION",
              help="Watch only records for which it holds, as in report: topic=credit, 'retweets>10'. Repeatable.")
@click.option("--watch", metavar="HEAD=LABEL", help="Label whose share is watched.  [default: sentiment=negative, if there]")
@click.option("--every", metavar="LENGTH", help="Time buckets: 15m, 1h, 6h, 1d, 1w, 1mo.  [default: 1h]")
@click.option("--time-zone", metavar="ZONE", help="Whose calendar days and hours are.  [default: UTC]")
@click.option("--false-alarms", "promise", metavar="N/SPAN",
              help="The promise: on average at most so many, all series together (per hour, day, week, month, year).  [default: 1/week]")
@click.option("--baseline", metavar="LENGTH", help="How far back the usual is learnt from.  [default: 8w]")
@click.option("--cooldown", type=click.IntRange(min=1), metavar="N", help="Usual buckets in a row that end an episode.  [default: 3]")
@click.option("--silent", metavar="LENGTH",
              help="Also tell a series of which nothing came for LENGTH, where that is far beyond its longest silence before; 0: none.  [default: 0]")
@click.option("--lateness", metavar="LENGTH",
              help="How long after its end a bucket may still grow before it is judged for good.  [default: 0]")
@click.option("--remember", metavar="LENGTH", help="How long a record is known again; older ones are not counted.  [default: 7d]")
@click.option("--to", type=click.Choice(("terminal", "jsonl", "prometheus")), default="terminal", show_default=True,
              help="A sentence a line, or JSON; with --show also figures as the node exporter's textfile collector reads them.")
@click.option("--exec", "command", metavar="COMMAND",
              help="Run COMMAND by sh for each line, which it gets as JSON on stdin; one that fails, or takes a minute, is tried again with the next run.")
@click.option("--prometheus", type=click.Path(), metavar="FILE", help="Also write what --show --to prometheus prints to FILE, whole or not at all.")
@click.option("--fail", is_flag=True, help="Exit 4 when there is an alert.")
@click.option("--backtest", is_flag=True,
              help="Replay an archive without a state: tell every alert it would have brought, and sum up.")
@click.option("--spike", "spikes", multiple=True, metavar="[NAME@]TIME",
              help="With --backtest: how soon after TIME was series NAME (else any) alerted?  Repeatable.")
def alert(files, from_format, text_field, max_record_bytes, require_input, time_field, id_field, assume_time_zone, state, wait_s, show, model, by, where, watch,
          every, time_zone, promise, baseline, cooldown, silent, lateness, remember, to, command, prometheus, fail, backtest, spikes, quiet, verbose):
    """Tell when it is time to look, and be silent otherwise.

    Reads predictions, keeps counts per series and time bucket in --state, and prints a line for each episode: when more
    texts than usual come, or a larger share of them holds the watched label, in one bucket or creeping up; then when it is
    over. All series and looks together bring at most --false-alarms by chance.

    \b
      */10 * * * *  fetch-posts | predict --model out/ | tee -a archive.jsonl | alert --state monitor.db --false-alarms 1/week
    """
    terminal = _options.terminal("alert", quiet, verbose)
    if state == "":
        raise UsageError("--state is empty; name a file")
    if state is not None and backtest:
        raise UsageError("--backtest replays an archive without a state: leave --state out")
    if state is None and not backtest:
        raise UsageError("give --state FILE, or --backtest to replay an archive without one")
    for flag, value in (("--show", show), ("--prometheus", prometheus)):
        if value and backtest:
            raise UsageError(f"{flag} tells of a --state, which --backtest has not: leave one of them out")
    if spikes and not backtest:
        raise UsageError("--spike goes with --backtest")
    if to == "prometheus" and not show:
        raise UsageError("--to prometheus goes with --show; with records, --prometheus FILE writes the same beside what is told")

    from doxa.monitoring.alerts.store import open_store
    from doxa.monitoring.alerts.watching import Asked, count_alerts
    from doxa.records.quantity import quantity
    from doxa.records.writer import write_page
    from doxa.monitoring.buckets import load_zone, parse_length
    from doxa.records.flat_schema import Wanted

    if show:
        _show(state, to)
        return
    lengths = {name: parse_length(text, flag) if text is not None else None for name, text, flag in
               (("baseline_s", baseline, "--baseline"), ("silent_s", silent, "--silent"), ("lateness_s", lateness, "--lateness"), ("remember_s", remember, "--remember"))}
    if lengths["baseline_s"] is not None and lengths["baseline_s"] < LEAST_BASELINE_S:
        raise UsageError(f"--baseline {baseline}: at least 3d are needed to know the day's cycle")
    asked = Asked(list(by) or None, list(where) or None, watch, every, time_zone, promise, cooldown=cooldown, **lengths,
                  assumed_zone=load_zone(assume_time_zone, "--assume-time-zone") if assume_time_zone else None,
                  model=_fingerprint(model) if model else None)
    source = _options.source(files, from_format, max_record_bytes)
    wanted = Wanted((), time_field, text_field, id_field, with_model=True, kinds=_options.kinds_by_mark)
    hand, say = _handler(terminal, command) if command else None, _sayer(to)
    if backtest:
        with open_store(None) as store:
            reader, n_read, n_alerts, n_kept = _look_back(store, source, wanted, asked, spikes, time_zone, require_input, terminal, hand, say, to)
    else:
        with open_store(state, wait_s) as store:
            before = store.last_line()
            reader, n_read, page = _watch(store, source, wanted, asked, require_input, terminal, bool(prometheus))
            n_alerts, has_lines = count_alerts(store, before), store.next_line(0) is not None
        try:
            told, n_kept = _hand_over(state, hand, say, terminal) if has_lines else (None, 0)
        finally:  # figures that cannot be written hold no line back
            if prometheus:
                write_page(page, prometheus)
        n_alerts = n_alerts if told is None else told
    if n_kept:
        raise DoxaError(f"{quantity(n_kept, 'line')} could not be handed to --exec")
    if reader.n_failed and reader.n_failed == n_read:
        raise DoxaError(reader.tell_failed(n_read))
    if fail and n_alerts:
        raise GateRefused(quantity(n_alerts, "alert"))
    if reader.n_failed:
        raise RecordsFailed(reader.tell_failed(n_read))


def _hand_over(state: str, hand, say, terminal) -> tuple[int | None, int]:
    """Tell what is to be told, beside runs that count on. Returns how many alerts were, None where another run tells, and how many lines stay."""
    from doxa.monitoring.alerts.store import open_outbox, open_store
    from doxa.monitoring.alerts.watching import deliver

    n_alerts = n_kept = number = 0
    while True:
        with open_outbox(state) as store:
            if store is None:
                terminal.explain("another run hands lines over, and those of this one with them")
                return (n_alerts if number else None), n_kept
            more, kept, number = deliver(store, hand, say, number)
            n_alerts, n_kept = n_alerts + more, n_kept + kept
        with open_store(state, for_reading=True) as store:  # a run that left its lines to this one may have come just too late
            if store.next_line(number) is None:
                return n_alerts, n_kept


def _show(state: str, to: str) -> None:
    from doxa.monitoring.alerts.calendar import Calendar
    from doxa.monitoring.alerts.overview import describe_state
    from doxa.monitoring.alerts.settings import tell_wait
    from doxa.monitoring.alerts.store import open_store
    from doxa.monitoring.alerts.watching import Asked, settle
    from doxa.records.standard import write_text
    from doxa.reporting.alerts import render_overview, render_prometheus

    with open_store(state, for_reading=True) as store:
        settings, _ = settle(store, Asked())
        figures = describe_state(store, Calendar(settings.every, settings.zone))
    write_text(render_prometheus(figures) if to == "prometheus" else render_overview(figures, to, tell_wait(settings.every)))


def _watch(store, source, wanted, asked, require_input, terminal, has_page) -> tuple:
    """Feed the state and keep it, before anything is told. Returns the reader, how many records it read, and the figures for Prometheus where they are asked for."""
    from doxa.monitoring.alerts.overview import describe_state
    from doxa.reporting.alerts import render_prometheus

    reader, summary = _feed(store, source, wanted, asked, False, require_input, terminal)
    store.commit()
    return reader, summary.taken.n_records, render_prometheus(describe_state(store, summary.calendar)) if has_page else None


def _look_back(store, source, wanted, asked, spikes, time_zone, require_input, terminal, hand, say, to) -> tuple:
    """Tell all that the archive would have brought, then the sum of it."""
    from doxa.monitoring.alerts.backtest import parse_spikes, sum_up
    from doxa.monitoring.alerts.replay import WHOLE_ARCHIVE
    from doxa.monitoring.alerts.watching import Asked, deliver
    from doxa.monitoring.buckets import load_zone
    from doxa.records.standard import write_text
    from doxa.reporting.alerts import render_backtest
    from doxa.reporting.json import dump

    known = parse_spikes(spikes, load_zone(time_zone or "UTC"))
    reader, summary = _feed(store, source, wanted, Asked(**(vars(asked) | WHOLE_ARCHIVE)), True, require_input, terminal)
    figures = sum_up(store, summary, known)
    n_alerts, n_kept, _ = deliver(store, hand, say)
    write_text(dump(figures) if to == "jsonl" else render_backtest(figures))
    return reader, summary.taken.n_records, figures["alerts"] or n_alerts, n_kept


def _feed(store, source, wanted, asked, tells_at_once, require_input, terminal) -> tuple:
    """Bring all records into the state and judge. Returns the reader and what was done."""
    from doxa.monitoring.alerts.intake import TOLD_FIELDS
    from doxa.monitoring.alerts.watching import Feed
    from doxa.records.columns import read_columns

    feed = Feed(store, asked, tells_at_once, dt.datetime.now(dt.UTC))
    named = [condition.name for condition in feed.intake.conditions] + [f"field:{name}" for name in TOLD_FIELDS]
    by = feed.values["by"] if feed.subject is None else feed.subject["by"]
    wanted = replace(wanted, by=tuple(by or ()), where=tuple(dict.fromkeys(named)), watch=feed.values["watch"], is_known=feed.subject is not None)
    with terminal.progress("records") as progress:
        reader = read_columns(source, wanted, progress.advance)
        for table in reader:
            feed.add(table, reader)
    with terminal.progress("time buckets judged") as progress:
        summary = feed.finish(lambda n_left: progress.advance(1, n_left=n_left))
    if not summary.taken.n_records and require_input:
        raise DoxaError("the input holds no record (--require-input)")
    _note(terminal, summary)
    return reader, summary


def _handler(terminal, command: str) -> Callable[[dict], bool]:
    """Hands a line to --exec; says whether it was taken."""
    from doxa.records.child import TIMED_OUT, feed_command
    from doxa.reporting.alerts import render_told

    hung = []

    def hand(told: dict) -> bool:
        if hung:  # what waits for one line would wait for all
            return False
        code = feed_command(command, render_told(told, "jsonl").encode())
        if code == TIMED_OUT:
            hung.append(told)
        if code:
            terminal.say(f"--exec ended with {code}; the line stays in the state for the next run: {render_told(told, 'terminal').strip()}")
        return code == 0

    return hand


def _sayer(to: str) -> Callable[[dict], None]:
    from doxa.records.standard import write_text
    from doxa.reporting.alerts import render_told

    return lambda told: write_text(render_told(told, to))


def _fingerprint(model: str) -> str:
    from doxa.model.directory import weights_fingerprint

    return weights_fingerprint(model)


def _note(terminal, summary) -> None:
    """What a person should know of the records, on stderr."""
    from doxa.monitoring.alerts.intake import MOST_SERIES
    from doxa.monitoring.alerts.settings import tell_wait
    from doxa.records.quantity import quantity

    taken = summary.taken
    if summary.is_learning and taken.n_counted:
        terminal.note(f"the state is new: {quantity(taken.n_counted, 'record')} of {summary.n_series} series are what is usual; "
                      + ("alerts begin with the next run" if summary.judged_from is not None else f"alerts begin later: {tell_wait(summary.settings.every)}"))
    if summary.is_first and summary.watch and taken.n_counted >= 100 and not summary.n_watched:
        terminal.note(f"none of the records holds what is watched, {summary.watch}; see --watch")
    for n, words in (
            (taken.n_ahead, "stamped later than the clock here, kept until then; is the zone right?"),
            (taken.n_nameless, f"of series beyond the {MOST_SERIES - 1:,} that a state watches, counted for all texts alone; take a --by with fewer values"),
            (taken.n_other if taken.n_other >= LARGE_PART * taken.n_records else 0,
             "not counted, for their ids came before with another time; if they are not the same again, give another --id-field (one that no record has: "
             "then time and text tell records apart)"),
            (taken.n_late, "that came after the time bucket had been judged; see --lateness"),
            (taken.n_old, "older than --remember and not counted"),
            (taken.problems.get("no_time"), "without a time and not counted"),
            (taken.problems.get("naive_time"), "with a time without a zone (--assume-time-zone) and not counted"),
            (taken.problems.get("bad_time"), "with a time that cannot be read and not counted"),
            (taken.problems.get("future_time"), "more than a day in the future, or far from the others, and not counted")):
        if n:
            terminal.note(f"{quantity(n, 'record')} {words}")
    terminal.explain(f"{taken.n_records:,} records read, {taken.n_counted:,} counted, {taken.n_known:,} known from before")
