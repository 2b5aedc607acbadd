"""What alert tells, as a sentence for people or as JSON for machines; and the state's figures for Prometheus."""

import datetime as dt
import math
import re
from typing import Any

from rich.cells import cell_len

from doxa.records.quantity import are, quantity
from doxa.reporting import wording
from doxa.reporting.json import dump
from doxa.terminal import visible

TEXT_CHARACTERS = 80
MOST_PARTS = 6  # of an event, named in a sentence
MOST_ALERTS = 30  # on a page for people
_SPANS = ((365.25 * 86_400, "year"), (30.4375 * 86_400, "month"), (7 * 86_400, "week"), (86_400, "day"), (3600, "hour"))
FORMATS = ("terminal", "jsonl")
_SPACES = str.maketrans({"\n": "\\n", "\t": "\\t", "\r": "\\r"})  # names that differ by these alone look different


def render_told(told: dict[str, Any], kind: str) -> str:
    """One line, its end included. `told` is what `monitoring.alerts.told.Told` holds; as JSON it has the sentence as `text` too."""
    sentence = visible(wording.one_line(_SENTENCES[told["kind"]](told)), one_line=True)
    return dump(told | {"text": sentence}) if kind == "jsonl" else sentence + "\n"


def _finding(told: dict[str, Any]) -> str:
    return ". ".join([f"{told['kind'].upper()} {describe_series(told)}: {describe_finding(told)}", *describe_more(told)])


def describe_finding(told: dict[str, Any]) -> str:
    """What was seen, what is usual, when, and how rare that is."""
    if told["kind"] == "new_model":
        return f"another model from {instant(told['since'])} on ({told['reason']}): what is usual is learnt anew"
    if told["kind"] == "new_series":
        return f"new, {quantity(told['n'], 'text')} since {instant(told['since'])}"
    if told["kind"] == "silent":
        return (f"no text from {instant(told['since'], told['until'])} to {instant(told['until'])}, where about {_few(told['expected'])} are usual; "
                f"its longest silence before lacked {_few(told['longest'])}")
    if told["measure"] == "share":
        seen = (f"{told['hits']:,} of {quantity(told['n'], 'text')} {are(told['hits'])} {told['watch']}, {told['observed']:.1%} where {told['low']:.1%} to {told['high']:.1%} is "
                f"usual (about {told['expected']:.1%})")
    else:
        times = f", {told['observed'] / told['expected']:.1f} times as many" if told["expected"] > 0 else ""
        seen = f"{told['observed']:,.0f} texts where {math.ceil(told['low']):,} to {max(1, math.floor(told['high'])):,} are usual (about {_few(told['expected'])}{times})"
    return (f"{seen} from {instant(told['since'], told['until'])} to {instant(told['until'])}: a {told['detector']}; "
            f"all series together bring the like by chance once in {duration(told['recurrence_s'])}")


def describe_more(told: dict[str, Any]) -> list[str]:
    """What moved, a sentence each, which records to see, and where it is known what became of it."""
    words = ["at once: " + _parts(told, told["covers"])] if told.get("covers") else []
    causes = told.get("causes", ())
    groups = [cause for cause in causes if cause["kind"] == "group"]
    words += [_groups(groups)] if groups else []
    words += [_cause(cause) for cause in causes if cause["kind"] != "group"]
    if told.get("examples"):
        words.append("see " + ", ".join(wording.shorten(example, TEXT_CHARACTERS) for example in told["examples"]))
    if "end" in told:
        words.append(describe_end(told["end"]) if told["end"] else "it goes on")
    return [one[0].upper() + one[1:] for one in words]  # none begins with a name


def _parts(told: dict[str, Any], parts: list[dict[str, Any]]) -> str:
    """Series and measures of an event."""
    words = [f"{describe_series({'series': part['series'], 'by': told.get('by')})} ({'share' if part['measure'] == 'share' else 'number of texts'}{_own_end(told, part)})"
             for part in parts[:MOST_PARTS]]
    return ", ".join(words) + (f" and {len(parts) - MOST_PARTS} more" if len(parts) > MOST_PARTS else "")


def _own_end(told: dict[str, Any], part: dict[str, Any]) -> str:
    """When a part of an event ended, where that is not when what was told of it did."""
    if part.get("reason"):
        return {"new level": ", stays", "undecided": ", may go on", "withdrawn": ", withdrawn"}[part["reason"]]
    return f", until {instant(part['until'])}" if part.get("until", told["until"]) != told["until"] else ""


def _groups(causes: list[dict[str, Any]]) -> str:
    """Which series hold what is too much of all texts."""
    named = ", ".join(f"{wording.value_name(cause['name'])} {_few(cause['excess'])}" for cause in causes)
    of = causes[0]["of"]
    rest = of - sum(cause["excess"] for cause in causes)
    others = f"; the other series together {_few(-rest)} fewer" if rest <= -0.5 else f"; of {_few(of)} in all"
    return f"more than usual: {named}{others}"


def _cause(cause: dict[str, Any]) -> str:
    kind = cause["kind"]
    if kind == "more_texts":
        return f"more texts as well: {cause['n']:,}, about {_few(cause['expected'])} are usual"
    if kind == "larger_share":
        return f"the watched share is larger as well: {cause['hits']:,} of {cause['n']:,}, about {cause['expected']:.1%} is usual"
    part = f"{cause['hits']} of {cause['n']} sampled texts ({cause['low']:.0%} to {cause['high']:.0%})"
    if kind == "near_duplicates":
        return f"nearly the same text: {part}: {wording.shorten(cause['text'], TEXT_CHARACTERS)}"
    if kind == "one_author":
        return f"one author, {wording.shorten(cause['name'], TEXT_CHARACTERS)}: {part}"
    if kind == "few_authors":
        return f"{len(cause['names'])} authors, {', '.join(wording.shorten(name, TEXT_CHARACTERS) for name in cause['names'])}: {part}"
    return f"source {cause['name']}: {part}, {cause['before']:.0%} before"


def _end(told: dict[str, Any]) -> str:
    """What is over, and what was or still is part of it."""
    kind = told["reason"] if told["kind"] == "resolved" and told.get("reason") else told["kind"]  # what stays is not resolved
    words = f"{kind.upper()} {describe_series(told)}: {describe_end(told)}"
    words += f"; with it: {_parts(told, told['covers'])}" if told.get("covers") else ""
    return words + (f". It goes on: {_parts(told, told['goes_on'])}" if told.get("goes_on") else "")


def describe_end(told: dict[str, Any]) -> str:
    """Since when it is over, and what came in all that time."""
    what = f"share of {told['watch']}" if told["measure"] == "share" else "number of texts"
    if told.get("reason") == "withdrawn":
        return f"late records make the {what} of {instant(told['since'])} a usual one"
    if told.get("reason") == "new level":
        words = f"{what} stays where it is since {instant(told['since'])}, and is taken for usual from here on"
    elif told.get("reason") == "heard again":
        words = f"texts come again from {instant(told['until'], told['since'])} on; none came from {instant(told['since'])}"
        return words + (f", where about {_few(told['expected'])} are usual" if told.get("expected") is not None else "")
    elif told.get("reason"):
        words = f"{what} since {instant(told['since'])} is taken for usual from here on, as it may stay: it is neither surely usual again nor surely not"
    else:
        over = "no longer so high" if told.get("still") else "usual again"
        words = f"{what} {over} from {instant(told['until'], told['since'])} on; it began {instant(told['since'])}"
    if told.get("observed") is not None:
        words += f"; {_counted(told, told['measure'])} in that time, {_usual(told, told['measure'])}"
    return words + (f"; since then still more than usual: {_counted(told['still'], told['measure'])}, {_usual(told['still'], told['measure'])}" if told.get("still") else "")


def _counted(told: dict[str, Any], measure: str) -> str:
    """What came."""
    if measure == "share":
        return f"{told['hits']:,} of {quantity(told['n'], 'text')}"
    return quantity(round(told["observed"]), "text")


def _usual(told: dict[str, Any], measure: str) -> str:
    """What it is beside what is usual."""
    if measure == "share":
        return f"{told['observed']:.1%}, about {told['expected']:.1%} is usual"
    return f"about {_few(told['expected'])} are usual"


def _new_series(told: dict[str, Any]) -> str:
    return f"NEW SERIES {describe_series(told)}: {quantity(told['n'], 'text')} since {instant(told['since'])}; it is watched once it has told what is usual"


def _new_model(told: dict[str, Any]) -> str:
    return f"NEW MODEL from {instant(told['since'])} on: what is usual is learnt anew ({told['reason']})"


_SENTENCES = {"alert": _finding, "worse": _finding, "silent": _finding, "eased": _end, "resolved": _end, "withdrawn": _end, "new_series": _new_series, "new_model": _new_model}


def describe_series(told: dict[str, Any]) -> str:
    """Which series: `topic=credit`, or all texts."""
    if told.get("series") is None:
        return "all texts"
    name = wording.shorten(wording.value_name(told["series"]), TEXT_CHARACTERS)
    return name if ", " in told["by"] else f"{told['by']}={name}"


def moment(text: str) -> str:
    """A local time without seconds."""
    return f"{dt.datetime.fromisoformat(text):%Y-%m-%d %H:%M}"


def instant(text: str, other: str | None = None) -> str:
    """A local time and what its clock is ahead of UTC by; without that where the clock of `other`, which is told with it, says the same."""
    zone = dt.datetime.fromisoformat(text).tzname() or ""
    return moment(text) if other and zone == dt.datetime.fromisoformat(other).tzname() else f"{moment(text)} {zone}".rstrip()


def duration(seconds: float) -> str:
    """`3.2 years`, `8 days`; `1,000 years or more` at the most, minutes at the least."""
    for length, name in _SPANS:
        if seconds >= length:
            n = seconds / length
            if name == "year" and n >= 1000:
                return "1,000 years or more"
            n = round(n, 1) if n < 10 else round(n)
            return quantity(int(n) if n == int(n) else n, name)
    return quantity(round(seconds / 60), "minute")


def render_prometheus(figures: dict[str, Any]) -> str:
    """The text format of the node exporter's textfile collector. `figures` is what `monitoring.alerts.overview` gives."""
    lines = []
    for name, kind, says, values in (
        ("doxa_watermark_seconds", "gauge", "Latest time of a record.", [({}, figures["watermark_s"])]),
        ("doxa_alerts_total", "counter", "Alerts told since the state began.", [({}, figures["n_alerts"])]),
        ("doxa_texts", "gauge", "Texts in the last bucket that is over.", [(_labels(row), row["n"]) for row in figures["series"]]),
        ("doxa_texts_expected", "gauge", "Texts expected there.", [(_labels(row), row["expected_n"]) for row in figures["series"]]),
        ("doxa_watched_share", "gauge", "Share of the watched label there.", [(_labels(row), row["share"]) for row in figures["series"]]),
        ("doxa_watched_share_expected", "gauge", "Share expected there.", [(_labels(row), row["expected_share"]) for row in figures["series"]]),
        ("doxa_alert_open", "gauge", "1 while an episode is under way.",
         [(_labels(row) | {"measure": measure}, int(measure in row["open"])) for row in figures["series"] for measure in ("volume", "share", "silence")]),
    ):
        known = [(labels, value) for labels, value in values if value is not None]
        if known:
            lines += [f"# HELP {name} {says}", f"# TYPE {name} {kind}", *(f"{name}{_braces(labels)} {value:.10g}" for labels, value in known)]
    return "\n".join(lines) + "\n"


def _labels(row: dict[str, Any]) -> dict[str, str]:
    return {"series": "" if row["name"] is None else wording.value_name(row["name"])}


def _braces(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    escaped = (f'{name}="{_escape(value)}"' for name, value in labels.items())
    return "{" + ",".join(escaped) + "}"


def _escape(value: str) -> str:
    return re.sub(r'[\\"\n]', lambda match: {"\\": r"\\", '"': r"\"", "\n": r"\n"}[match[0]], visible(value))


def render_overview(figures: dict[str, Any], kind: str, wait: str) -> str:
    """What is watched, the promise, every series with what is usual and what is under way; as JSON a line for the state and one for each series. `wait` says why
    nothing is judged yet, where that is so."""
    if kind == "jsonl":
        state = {name: value for name, value in figures.items() if name != "series"}
        return "".join(map(dump, ({"kind": "state"} | state, *({"kind": "series"} | row for row in figures["series"]))))
    if not figures["first"]:
        return f"no record was counted yet; the first ones settle what is watched, by what, per {figures['every']} ({figures['time_zone']})\n"
    head = [f"watched: {figures['watch'] or 'volume alone'}, by {', '.join(figures['by'] or ()) or 'nothing'}, per {figures['every']} ({figures['time_zone']})",
            f"promise: at most {figures['promise']} false alarms on average, all series together; {quantity(figures['n_alerts'], 'alert')} told so far",
            f"the figures are of the bucket that began {moment(figures['bucket'])}, the last that is over" if figures["bucket"] else "no bucket is over yet",
            *([] if figures["is_judging"] else [f"nothing is judged yet: {wait}"]),
            f"records up to {moment(figures['watermark']) if figures['watermark'] else 'none'}; state since {moment(figures['first']) if figures['first'] else 'none'}, schema {figures['schema']}"]
    rows = [("series", "texts", "usual", "share", "usual", "under way")]
    for row in figures["series"]:
        rows.append((wording.value_name(row["name"]) if row["name"] is not None else "(all)", _number(row["n"]), _number(row["expected_n"]), _percent(row["share"]),
                     _percent(row["expected_share"]), ", ".join(f"{measure} since {moment(since)}" for measure, since in row["open"].items())))
    cells = [[*(visible(wording.shorten(cell.translate(_SPACES), 40), one_line=True) for cell in row[:-1]), visible(row[-1])] for row in rows]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(6)]
    lines = ["  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths)).rstrip() for row in cells]
    return "\n".join([*map(visible, head), "", *lines]) + "\n"


def _few(n: float) -> str:
    """An expected number of texts; of a few, where a tenth tells, with one decimal."""
    return f"{n:,.0f}" if n >= 10 else f"{n:.1f}".removesuffix(".0")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}".removesuffix(".0")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


_UNTOLD = {"quiet": "not told", "unknown": "there is no such series", "new": "told as a new series, whose usual is not known yet",
           "later": "the archive ends before it", "earlier": "nothing could be judged yet then"}


def render_backtest(figures: dict[str, Any]) -> str:
    """The sum of a backtest for people."""
    if figures["judged_from"] is None:
        return f"backtest: {quantity(figures['records'], 'record')} of {figures['series']} series are too few to judge by\n"
    lines = [f"backtest: {quantity(figures['alerts'], 'alert')} in {duration(figures['judged_s'])} of {figures['series']} series, judged from {moment(figures['judged_from'])} on: "
             f"{figures['alerts_per_span'] or 0:.2f} per {figures['span']}; at most {figures['promise']} of them by chance"]
    for spike in figures["spikes"]:
        told = f"told after {duration(spike['delay_s'])}" if spike["told"] else _UNTOLD[spike["because"]]
        lines.append(f"spike {spike['series'] or 'of any series'} at {moment(spike['spike'])}: {told}")
    return visible("\n".join(lines)) + "\n"
