"""Progress display of a run: a panel on a terminal or in a notebook, which changes in place; plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vqkit.errors import shown
from vqkit.notebooks import NotebookCell

_LINE_SECONDS = 10.0


class Progress:
    """Shows the latest numbers of a run.

    Args:
        title: first line, such as "digits -> runs/digits-001".
        show: False shows nothing (other processes, tests).
        console: where to; None takes standard error, so that standard output stays free for results.
    """

    def __init__(self, title: str, *, show: bool = True, console: Console | None = None) -> None:
        self.title = shown(title)
        self.show = show
        self.console = console or Console(stderr=True)
        self._live: Live | None = None
        self._cell: NotebookCell | None = None
        self._last_line = -math.inf

    def __enter__(self) -> Progress:
        if self.show and self.console.is_terminal and not self.console.is_jupyter:
            self._live = Live(
                self._panel({}, 0.0, math.inf), console=self.console, refresh_per_second=4, transient=False
            )
            self._live.__enter__()
        elif self.show and self.console.is_jupyter:
            self._cell = NotebookCell(self.title)
        elif self.show:
            self.console.print(self.title, highlight=False, soft_wrap=True, markup=False)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*error)
            self._live = None
        if self._cell is not None:
            (self._cell.draw if error[0] else self._cell.finish)()

    def update(self, values: dict[str, Any], fraction: float, seconds_left: float) -> None:
        """The latest line of the log, the part of the run that is done, and the seconds to go."""
        if not self.show:
            return
        if self._live is not None:
            self._live.update(self._panel(values, fraction, seconds_left))
        elif self._cell is not None:
            self._cell.update(fraction, f"{duration(seconds_left)} left", _numbers(values))
        elif time.monotonic() - self._last_line >= _LINE_SECONDS or fraction >= 1:
            self._last_line = time.monotonic()
            parts = "  ".join(f"{name} {text}" for name, text in _numbers(values))
            self.console.print(
                f"{fraction:4.0%}  {parts}  {duration(seconds_left)} left", highlight=False, soft_wrap=True
            )

    def say(self, sentence: str, style: str = "") -> None:
        """A line that stays."""
        if self.show and self._cell is not None:
            self._cell.say(shown(sentence))
        elif self.show:
            (self._live.console if self._live else self.console).print(
                shown(sentence), style=style, highlight=False, soft_wrap=True, markup=False
            )

    def _panel(self, values: dict[str, Any], fraction: float, seconds_left: float) -> Group:
        table = Table.grid(padding=(0, 2))
        numbers = _numbers(values)
        for start in range(0, len(numbers), 4):
            cells = []
            for name, text in numbers[start : start + 4]:
                cells += [Text(name, style="dim"), Text(text)]
            table.add_row(*cells)
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            ProgressBar(total=1.0, completed=fraction, width=40), f"{fraction:.0%}", f"{duration(seconds_left)} left"
        )
        return Group(Text(self.title, style="bold"), bar, table)


@contextmanager
def counting(what: str, *, show: bool = True, console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """Show how much of a work before the first step is done: in place on a terminal, else a line every ten seconds.

    Args:
        what: is done, such as ``"encoding"``.
        show: False shows nothing.
        console: where to; None takes standard error.

    Yields:
        A function to be called with (done, total).
    """
    console = console or Console(stderr=True)
    status = console.status(what) if show and console.is_terminal else None
    said = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said
        words = f"{what}: {done:,} of {total:,}"
        if status is not None:
            status.update(words)
        elif show and time.monotonic() - said >= _LINE_SECONDS:
            said = time.monotonic()
            console.print(words, highlight=False, soft_wrap=True, markup=False)

    with status or nullcontext():
        yield tell


def _numbers(values: dict[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None:
            continue
        if name == "usage":
            found.append((name, f"{value:.0%}"))
        elif name in ("step", "signals_per_second", "perplexity"):
            found.append((name.replace("signals_per_second", "signals/s"), f"{value:,.0f}"))
        elif name == "psnr_db":
            found.append(("PSNR", f"{value:.2f} dB"))
        elif name in ("loss", "gradient_norm") or name.endswith("_loss"):
            found.append((name.replace("_", " "), f"{value:.4f}"))
    return found


def duration(seconds: float) -> str:
    """Minutes and seconds, as 4:45; hours before them where there are some."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
