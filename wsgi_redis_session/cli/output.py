"""What the commands print: tables for people, or JSON for programs."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime
import json
import sys
import typing as t

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import MofNCompleteColumn
from rich.progress import Progress
from rich.progress import TaskProgressColumn
from rich.progress import TextColumn
from rich.progress import TimeRemainingColumn
from rich.table import Table
from rich.text import Text

#: For what is written to a file or to another program.
_WIDTH = 200

Row = cabc.Mapping[str, t.Any]


class Output:
    """Where a command prints to, and how."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        width = None if sys.stdout.isatty() else _WIDTH
        # Nothing in a text is an instruction: it may be a visitor's.
        self._console = Console(
            width=width, markup=False, highlight=False, emoji=False, soft_wrap=True
        )

    def json(self, value: object) -> None:
        """One document on standard output."""
        print(json.dumps(value, indent=2, ensure_ascii=True, default=repr))

    def say(self, text: str, style: str = "") -> None:
        """A line for people."""
        if not self.as_json:
            self._console.print(Text(shown(text), style=style))

    def facts(self, facts: Row) -> None:
        """Names and what they stand for."""
        table = Table.grid(padding=(0, 3))
        for name, value in facts.items():
            table.add_row(Text(shown(name), style="dim"), shown(str(value)))
        self._console.print(table)

    def rows(self, rows: cabc.Iterable[Row], *, right: cabc.Collection[str]) -> None:
        """A table, with some columns aligned at the right."""
        table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="bold")
        for row in rows:
            if not table.columns:
                for name in row:
                    side: t.Any = "right" if name in right else "left"
                    table.add_column(name, justify=side, no_wrap=True)
            table.add_row(*(shown(str(value)) for value in row.values()))
        self._console.print(table)

    @contextlib.contextmanager
    def progress(
        self, what: str, total: int
    ) -> cabc.Iterator[cabc.Callable[..., None]]:
        """Show how far something has come, on a terminal; yields what is called with
        how much was done."""
        console = Console(stderr=True)
        columns = (
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        is_off = self.as_json or not console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=is_off) as bar:
            task = bar.add_task(what, total=total)

            def advance(count: int) -> None:
                bar.advance(task, count)

            yield advance


def shown(text: str) -> str:
    """A text that does nothing to a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def moment(milliseconds: int | None) -> str | None:
    """A point in time, for a program to read."""
    if milliseconds is None:
        return None
    found = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return found.isoformat(timespec="seconds")


def size(count: float) -> str:
    """A number of bytes, for people."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
