"""Flags that mean the same in every command, and what becomes of them."""

from collections.abc import Iterable

import click

from doxa.commands._command import print_help, print_version
from doxa.errors import DoxaError, RecordsFailed, UsageError

FORMATS = ("jsonl", "arrow", "parquet", "csv")


class SectionedCommand(click.Command):
    """A command whose flags stand under headings. `sections`: name of the first flag's parameter -> heading."""

    sections: dict[str, str] = {}

    def grouped(self, ctx: click.Context) -> list[tuple[str, list[tuple[str, str]]]]:
        """Headings, and the flags with their help under each."""
        groups: list[tuple[str, list[tuple[str, str]]]] = [("Options", [])]
        for parameter in self.get_params(ctx):
            if parameter.name in self.sections:
                groups.append((self.sections[parameter.name], []))
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                groups[-1][1].append(record)
        return [group for group in groups if group[1]]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, records in self.grouped(ctx):
            with formatter.section(heading):
                formatter.write_dl(records)


def command(name: str, sections: dict[str, str] | None = None):
    """A click command with the flags of all: help, version, quiet, verbose."""

    def decorate(function):
        for option in reversed((
            click.option("--quiet", "-q", is_flag=True, help="Say only errors."),
            click.option("--verbose", "-v", is_flag=True, help="Say why a device or precision was chosen; show tracebacks."),
            click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version,
                         help="Show the version and exit."),
            click.option("--help", "-h", is_flag=True, is_eager=True, expose_value=False, callback=print_help,
                         help="Show this text and exit."),
        )):
            function = option(function)
        made = click.command(name, SectionedCommand, add_help_option=False, context_settings={"max_content_width": 100})(function)
        made.sections = sections or {}
        return made

    return decorate


def _check_files(context: click.Context, parameter: click.Parameter, files: tuple[str, ...]) -> tuple[str, ...]:
    refuse_stdin_twice(files)
    return files


def refuse_stdin_twice(files: Iterable[str]) -> None:
    """Raise UsageError where `-` is among the inputs of a command more than once."""
    if list(files).count("-") > 1:
        raise UsageError("- is given twice, and standard input can be read once")


def input_options(function):
    for option in reversed((
        click.argument("files", nargs=-1, type=click.Path(), metavar="[FILE]...", callback=_check_files),
        click.option("--from", "from_format", type=click.Choice(FORMATS),
                     help="Format of the input; recognised by its first bytes unless given (CSV: by suffix)."),
        click.option("--text-field", default="text", show_default=True, metavar="NAME", help="Field that holds the text."),
        click.option("--max-record-bytes", type=click.IntRange(min=1), default=64 << 20, show_default=True, metavar="N",
                     help="A longer line becomes an error record."),
    )):
        function = option(function)
    return function


def pair_option(function):
    return click.option("--text-pair-field", metavar="NAME", help="Field of a second text, read together with the first.")(function)


def long_option(function):
    return click.option(
        "--long", "long_policy", type=click.Choice(("windows", "head", "head-tail", "error")),
        help="A text longer than the model reads: overlapping windows pooled, cut, or an error record.  [default: windows]")(function)


def engine_options(function):
    for option in reversed((
        click.option("--no-verify", is_flag=True, help="Do not compare the model's files with its manifest."),
        click.option("--engine", type=click.Choice(("auto", "openvino", "torch")), default="auto", show_default=True,
                     help="What computes: openvino is the fastest on a CPU and starts without torch."),
    )):
        function = option(function)
    return function


def error_options(function):
    for option in reversed((
        click.option("--on-error", type=click.Choice(("keep", "stop", "drop")), default="keep", show_default=True,
                     help="A record that fails: keep it in its place with an error, stop at it, or drop it."),
        click.option("--max-errors", metavar="N|P%", help="Fail (exit 1) when more records fail."),
        click.option("--require-input", is_flag=True, help="Fail (exit 1) when there is no record at all."),
    )):
        function = option(function)
    return function


def output_options(function):
    for option in reversed((
        click.option("--output", "-o", type=click.Path(), metavar="FILE", help="Write to FILE, whole or not at all, instead of stdout."),
        click.option("--to", type=click.Choice(FORMATS), help="Output format; else by the suffix of --output; else jsonl."),
    )):
        function = option(function)
    return function


def page_options_of(*formats: str):
    def add_options(function):
        for option in reversed((
            click.option("--to", type=click.Choice(formats), help="Format; else by the suffix of --output; else terminal."),
            click.option("--output", "-o", type=click.Path(), metavar="FILE", help="Write to FILE, whole or not at all, instead of stdout."),
            click.option("--require-input", is_flag=True, help="Fail (exit 1) when there is no record at all."),
        )):
            function = option(function)
        return function

    return add_options


def device_options(function):
    for option in reversed((
        click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda[:N]|mps", help="Where to compute."),
        click.option("--precision", type=click.Choice(("auto", "fp32", "bf16", "fp16", "int8")), default="auto", show_default=True,
                     help="Number format; auto takes the fastest that the hardware computes in and that keeps the labels."),
        click.option("--batch-tokens", type=click.IntRange(min=1), metavar="N", help="Most tokens in a batch, padding included."),
    )):
        function = option(function)
    return function


def source(files: tuple[str, ...], from_format: str | None, max_record_bytes: int):
    """The input that the flags name."""
    from doxa.records import standard
    from doxa.records.reader import Source

    if not files and standard.stdin_is_terminal():
        raise UsageError("no input; name a file or pipe records in")
    return Source(tuple(files), from_format, max_record_bytes)


def kinds_by_mark() -> dict[str, str]:
    """As `model.kinds.marks` has it, loaded when it is asked for: most entries are of one label."""
    from doxa.model.kinds.marks import kinds_by_mark

    return kinds_by_mark()


def terminal(name: str, quiet: bool, verbose: bool):
    from doxa.terminal import Terminal

    return Terminal(click.get_current_context().info_name or name, -1 if quiet else 1 if verbose else 0)


class Tally:
    """Counts the records that fail and decides what the command does about them."""

    def __init__(self, on_error: str = "keep", max_errors: str | None = None, require_input: bool = False):
        from doxa.records.failures import Failures

        self.on_error, self.require_input = on_error, require_input
        self.most, self.most_share = _parse_max_errors(max_errors)
        self.n_records = 0
        self.failures = Failures()

    def recall(self, n_records: int, failures) -> None:
        """Begin with what an earlier run wrote."""
        self.n_records, self.failures = n_records, failures

    def admit(self, outcomes: list) -> list:
        """Count outcomes; return those to write. Raises DoxaError when it is time to stop."""
        self.n_records += len(outcomes)
        kept = []
        for outcome in outcomes:
            error = outcome.error or outcome.record.error
            if error is None:
                kept.append(outcome)
                continue
            self.failures.add(outcome.record.place, error.code, error.message)
            if self.on_error == "stop":
                break
            if self.on_error == "keep":
                kept.append(outcome)
        return kept

    def check(self) -> None:
        """Raise DoxaError when the failures so far end the command. Called when what is admitted has been written."""
        if self.failures.n and self.on_error == "stop":
            raise DoxaError(self.failures.first)
        if self.most is not None and self.failures.n > self.most:
            raise DoxaError(f"more than {self.most} records failed (--max-errors); first: {self.failures.first}")

    def verdict(self) -> DoxaError | None:
        """What the end of the input calls for: nothing, RecordsFailed or another DoxaError."""
        if not self.n_records and self.require_input:
            return DoxaError("the input holds no record (--require-input)")
        if not self.failures.n:
            return None
        summary = self.failures.describe(self.n_records)
        if self.failures.n == self.n_records:
            return DoxaError(summary)
        if self.most_share is not None and self.failures.n > self.most_share * self.n_records:
            return DoxaError(f"{summary} (more than --max-errors)")
        return RecordsFailed(summary)

    def finish(self) -> None:
        """Raise the verdict, if there is one."""
        if verdict := self.verdict():
            raise verdict


def _parse_max_errors(text: str | None) -> tuple[int | None, float | None]:
    if text is None:
        return None, None
    try:
        if text.endswith("%"):
            share = float(text[:-1]) / 100
            if 0 <= share <= 1:
                return None, share
        elif int(text) >= 0:
            return int(text), None
    except ValueError:
        pass
    raise UsageError(f"--max-errors {text}: give a number, or a share such as 1%")
