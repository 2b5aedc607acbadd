"""Everything on stderr: notes, warnings, progress; and the gate that makes foreign text harmless."""

import os
import re
import sys
import time

# Control characters that a terminal obeys (C0 but tab and newline, DEL, C1) and the marks that
# reorder text (Unicode bidirectional controls): shown, never sent. Lone surrogates cannot be encoded.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_BREAKS = {"\t": "\\t", "\n": "\\n", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def visible(text: str, *, one_line: bool = False) -> str:
    """Return `text` with terminal controls and reordering marks as visible escapes (`\\x1b`, `\\u202e`).

    Tabs and newlines stay unless `one_line`.
    """
    text = _UNSAFE.sub(_escape, text)
    if one_line:
        text = re.sub("[\t\n\u2028\u2029]", lambda match: _LINE_BREAKS[match[0]], text)
    return text


def _escape(match: re.Match) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class Terminal:
    """What one command says on stderr. `verbosity`: -1 quiet, 0 normal, 1 verbose."""

    def __init__(self, command: str, verbosity: int = 0):
        self.command = command
        self.verbosity = verbosity

    @property
    def is_interactive(self) -> bool:
        return sys.stderr is not None and sys.stderr.isatty()

    def say(self, message: str) -> None:
        """Write one line, whatever the verbosity. A closed stderr loses it, nothing more."""
        self._write(f"{self.command}: {visible(message, one_line=True)}\n")

    def note(self, message: str) -> None:
        if self.verbosity >= 0:
            self.say(message)

    def warn(self, message: str) -> None:
        if self.verbosity >= 0:
            self.say(f"warning: {message}")

    def explain(self, message: str) -> None:
        """Say why something was chosen; only under --verbose."""
        if self.verbosity >= 1:
            self.say(message)

    def progress(self, unit: str) -> "Progress":
        return Progress(self, unit)

    def _write(self, text: str) -> None:
        if sys.stderr is None:
            return
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            pass


class Progress:
    """One line that redraws itself, only where stderr is a terminal."""

    INTERVAL_S = 0.2

    def __init__(self, terminal: Terminal, unit: str):
        self.terminal, self.unit, self.n_left = terminal, unit, 0
        self.is_shown = terminal.is_interactive and terminal.verbosity >= 0
        self.done, self.detail = 0, ""
        self.started_s = time.monotonic()
        self.drawn_s = 0.0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exc) -> None:
        if self.is_shown and self.drawn_s:
            self.terminal._write("\r\x1b[K")

    def advance(self, n: int, detail: str | None = None, n_left: int = 0) -> None:
        """Count `n` more; `n_left` are still to come, 0 where nobody knows."""
        self.done, self.n_left = self.done + n, n_left
        if detail is not None:
            self.detail = detail
        now_s = time.monotonic()
        if self.is_shown and now_s - self.drawn_s >= self.INTERVAL_S:
            self.drawn_s = now_s
            self._draw(now_s - self.started_s)

    def _draw(self, elapsed_s: float) -> None:
        rate = self.done / max(elapsed_s, 1e-9)
        parts = [f"{self.done:,} {self.unit}", f"{rate:,.0f}/s"]
        if self.n_left:
            filled = int(20 * self.done / (self.done + self.n_left))
            left_s = self.n_left / max(rate, 1e-9)
            parts.insert(0, "█" * filled + "░" * (20 - filled))
            parts.append(f"{int(left_s) // 60}:{int(left_s) % 60:02d} left")
        if self.detail:
            parts.append(visible(self.detail, one_line=True))
        try:
            width = os.get_terminal_size(2).columns
        except OSError:
            width = 80
        self.terminal._write("\r" + "  ".join(parts)[: width - 1] + "\x1b[K")
