"""Reporting of a run: what a person asks to see, and what is said before the first step and on a stop."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from vqkit.data import Source
from vqkit.errors import TrainingInterrupted
from vqkit.spelling import option, resuming
from vqkit.threads import ThreadChoice
from vqkit.training.budget import WATCHING
from vqkit.training.callbacks import Callback, Callbacks, TensorBoard, is_utf8
from vqkit.training.distributed import Processes
from vqkit.training.position import Position
from vqkit.training.record.channels import Channels
from vqkit.training.record.log import RunLog, read_log
from vqkit.training.record.progress import Progress, duration
from vqkit.training.record.run import Run
from vqkit.training.stopping import EarlyStop

_SKIPPED_IN_LOG = 1000


@dataclass(frozen=True)
class Reporting:
    """What a person wants to see of a run.

    Attributes:
        quiet: show no progress.
        tensorboard: also write TensorBoard events.
        console: where progress goes; None takes standard error.
        callbacks: told of the events of the run.
    """

    quiet: bool = False
    tensorboard: bool = True
    console: Console | None = None
    callbacks: Sequence[Callback] = ()

    def open(
        self,
        path: Path,
        source: Source,
        processes: Processes,
        early: EarlyStop,
        step: int = 0,
        log_size: int = 0,
    ) -> Channels:
        """Open the channels of a run; in the first process also its log, TensorBoard and the callbacks.

        Args:
            path: the run's folder.
            source: the data, for the title.
            processes: this one's place.
            early: what callbacks ask to stop.
            step: where the run goes on.
            log_size: bytes of the log that stay; 0: a new run.
        """
        more = f", from step {step:,}" if log_size else ""
        show = processes.main and not self.quiet
        progress = Progress(f"{source.describe()} -> {path}{more}", show=show, console=self.console)
        if not processes.main:
            return Channels(progress)
        board = [TensorBoard(path, step)] if self.tensorboard and is_utf8(path) else []
        watchers = Callbacks([*board, *self.callbacks], path, early.ask)
        log = RunLog(path, log_size, watchers.tell)
        if self.tensorboard and not is_utf8(path):
            message = "no TensorBoard events: it cannot write to a path that is not UTF-8"
            log.write(0, "warning", {"message": message})
        return Channels(progress, log, watchers)


def report_data(channels: Channels, source: Source, *, new: bool, cut: str | None = None) -> None:
    """Say, and write into the log of a new run, what of the data was skipped, read otherwise than it was, or cut."""
    notes = [*source.notes, *([] if cut is None else [cut])]
    for note in notes:
        channels.say(f"  note: {note}")
    for line in source.skip_report():
        channels.say(f"  skipped {line}", style="yellow")
    if new and (source.skipped or notes):
        skipped = [f"{item.name}: {item.reason}" for item in source.skipped[:_SKIPPED_IN_LOG]]
        channels.write(0, "data", {"notes": notes, "skipped_items": len(source.skipped), "skipped": skipped})


def report_once(channels: Channels, path: Path, step: int, note: str | None) -> None:
    """Say a warning, and write it into the log unless an earlier session of the run has; None: nothing.

    Where the person sees no progress (``quiet``) it is a Python warning.
    """
    if note is None:
        return
    channels.say(note, style="yellow")
    if channels.log is not None and not channels.progress.show:
        warnings.warn(note, stacklevel=2)
    if channels.log is not None and all(line.get("message") != note for line in read_log(path)):
        channels.write(step, "warning", {"message": note})


@contextmanager
def reporting_warnings(channels: Channels, path: Path) -> Iterator[None]:
    """Say and log what the block warns of, as ``report_once`` does."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        yield
    for each in said:
        if issubclass(each.category, UserWarning):
            report_once(channels, path, 0, str(each.message))
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def report_end(channels: Channels, position: Position) -> None:
    """Say when a run of minutes will be over, and what is in them."""
    budget = position.budget
    if budget.seconds is not None and not position.over:
        until, ending = budget.seconds - position.seconds, budget.seconds - budget.training_seconds
        channels.say(
            f"{duration(until)} from now to the end: training, and {duration(ending)} to finish and evaluate; at "
            f"most {WATCHING:.0%} of the training for evaluations and checkpoints"
        )


def report_contention(channels: Channels, threads: ThreadChoice) -> None:
    """Say that other processes slow down a training whose number of threads is fixed."""
    count = threads.chosen
    if len(threads.counts) == 1 and threads.contended(count) and threads.contended(count):
        channels.say(
            f"other processes use this machine's cores, and the {count} threads of every operation wait for them: "
            f"{option('threads', 1)} may be many times as fast, {option('threads', 'auto')} goes with the load "
            "(results differ in their last bits)",
            style="yellow",
        )


def interrupt(channels: Channels, path: Path, step: int, processes: Processes) -> NoReturn:
    """Say how a run goes on that somebody asked to stop, and end what the training is a part of.

    Raises:
        TrainingInterrupted: always.
    """
    how = f"stopped at step {step:,}; go on" if step else "stopped; begin again"
    channels.say(f"{how} with: {resuming(path)}")
    processes.wait()
    run = Run(path, False, step)
    channels.tell("on_end", run)
    raise TrainingInterrupted(run)
