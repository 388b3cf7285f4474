"""Groups coded in several processes, each with a copy of the models: the bytes are those of one process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

import numpy as np
import torch

from vqkit.codec.archive.recording import Coded, Recorder
from vqkit.codec.compressor import Compressor
from vqkit.codec.entropy.models import EntropyModel, entropy_model
from vqkit.codec.lossless import PixelCoder
from vqkit.codec.protocols import Output
from vqkit.codec.rate_control import RateController
from vqkit.codec.report import RateReport
from vqkit.codec.resuming.work import Memory
from vqkit.codec.signals import Signal
from vqkit.coding import FileHeader
from vqkit.crew import Crew
from vqkit.data.long_items import LongItem
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.models.copies import device_of, load_copy, saved_copy, threads_of_each, useful_workers
from vqkit.pixels import PixelPrior
from vqkit.priors import load_prior
from vqkit.spelling import option
from vqkit.threads import ThreadChoice

Group = list[list[Signal]]
_KEPT = "what was done is kept: call it again"


@dataclass(frozen=True)
class _Plan:
    """What a worker makes its compressor of."""

    model: str
    digest: str
    device: torch.device
    priors: tuple[str | None, ...]
    pixels: str | None
    settings: dict[str, Any]
    rate: float | None
    rivals: tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class _Task:
    """Groups of a file as ``grouped`` gave them, and how they are to be written."""

    group: Group
    files: int
    alone: bool


@contextmanager
def several(compressor: Compressor, workers: int) -> Iterator[None]:
    """Let a compressor code its groups in so many processes within the block, as many as there are processors at most.

    Raises:
        ConfigError: a search for a rate that is not ``RateController``, which no other process can have.
        WorkerError: while it writes: a process has ended by itself.
    """
    workers = useful_workers(compressor.model, workers)
    if workers == 1:
        yield
        return
    search = compressor.search
    if search is not None and not isinstance(search, RateController):
        raise ConfigError(f"a search of one's own for a rate runs in one process: give {option('workers', 1)}")
    entropies = [compressor.entropy, *compressor.beside]
    with ExitStack() as stack:
        model, digest = stack.enter_context(saved_copy(compressor.model))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vqkit-")))
        priors = tuple(_saved(each, folder / f"prior-{number}") for number, each in enumerate(entropies))
        pixels = None
        if isinstance(compressor.pixel_model, PixelCoder):
            pixels = str(folder / "pixels")
            compressor.pixel_model.prior.save_pretrained(pixels)
        elif compressor.pixel_model is not None:
            raise ConfigError(f"a pixel model of one's own codes in one process: give {option('workers', 1)}")
        threads = threads_of_each(workers)
        settings = {
            name: getattr(compressor, name)
            for name in ("codebooks", "rate_weight", "optimize", "progressive", "max_error")
        }
        rate, rivals = (None, ()) if search is None else (search.wanted, search.rivals)
        given = []
        for number in range(workers):
            device = device_of(compressor.model, number)
            given.append((_Plan(model, digest, device, priors, pixels, settings, rate, rivals, threads),))
        crew = stack.enter_context(Crew(_coder, given, threads=threads, kept=_KEPT))
        compressor.crew = _Several(crew, compressor)
        try:
            yield
        finally:
            compressor.crew = None


def _saved(entropy: EntropyModel, folder: Path) -> str | None:
    if entropy.prior is None:
        return None
    entropy.prior.save_pretrained(folder)
    return str(folder)


@final
class _Several:
    """The processes of a compressor (a ``GroupCoder``)."""

    def __init__(self, crew: Crew, compressor: Compressor) -> None:
        self._crew, self._compressor = crew, compressor

    def run(self, groups: Iterable[Group], files: int) -> Iterator[list[Coded]]:
        """Yield each group coded under the models of the files, in order."""
        ready: dict[int, list[Coded]] = {}
        keys: list[tuple[int, bytes]] = []
        memory = None if self._compressor.memory is None else self._compressor.memory[0]
        headers = [self._compressor.header_under(each) for each in self._compressor.entropies[:files]]

        def tasks() -> Iterator[_Task]:
            for number, group in enumerate(groups):
                key = b"" if memory is None else self._key(memory, group, files)
                kept = None if memory is None else memory.get(key)
                if kept is not None:
                    ready[number] = _unpacked(kept, headers)
                    continue
                keys.append((number, key))
                yield _Task(group, files, self._compressor.alone)

        turn = 0
        for task, result in self._crew.run(tasks()):
            number, key = keys[task]
            if memory is not None:
                memory.put(key, *result)
            ready[number] = _unpacked(result, headers)
            while turn in ready:
                yield ready.pop(turn)
                turn += 1
        while turn in ready:
            yield ready.pop(turn)
            turn += 1

    def _key(self, memory: Memory, group: Group, files: int) -> bytes:
        """What a group's coded bytes depend on: everything that the workers are given."""
        own = self._compressor
        assert own.memory is not None
        entropies = [[each.kind, each.digest.hex()] for each in own.entropies]
        pixels = "" if own.pixel_model is None else own.pixel_model.digest.hex()
        rate = None if own.search is None else own.search.wanted
        about = [own.memory[1], entropies, pixels, rate, own.codebooks, own.rate_weight, own.optimize, own.progressive]
        about += [] if own.max_error is None else [own.max_error.sizes, own.max_error.relative]
        names = [[signal.name for signal in run] for run in group]
        arrays = (array for run in group for signal in run for array in _arrays(signal))
        return memory.key("group", [about, own.alone, files, names], arrays)


def _arrays(signal: Signal) -> Iterator[np.ndarray[Any, Any]]:
    if isinstance(signal.values, LongItem):
        yield from signal.values.pieces()
    else:
        yield np.asarray(signal.values)


def _unpacked(result: tuple[Any, bytes], headers: list[FileHeader]) -> list[Coded]:
    said, data = result
    found, start = [], 0
    for (about, length), header in zip(said, headers, strict=True):
        found.append(Coded.unpacked(about, data[start : start + length], header))
        start += length
    return found


def _coder(plan: _Plan) -> Callable[[_Task], Iterator[tuple[Any, bytes]]]:
    """What a worker codes with."""
    model = cast("IndexModel", load_copy(plan.model, plan.digest, plan.device))
    entropies = []
    for place in plan.priors:
        prior = None if place is None else load_prior(place).to(plan.device)
        entropies.append(entropy_model(prior, model.codebook_size))
    pixels = None if plan.pixels is None else PixelCoder(PixelPrior.from_pretrained(plan.pixels).to(plan.device))
    search = None
    if plan.rate is not None:
        rivals = [each for each in entropies if each.kind in plan.rivals]
        search = RateController(model, entropies[0], plan.rate, rivals=rivals, optimize=plan.settings["optimize"])
    compressor = Compressor(
        model, entropies[0], pixel_model=pixels, search=search, beside=entropies[1:], **plan.settings
    )
    threads = ThreadChoice([plan.threads])

    def do(task: _Task) -> Iterator[tuple[Any, bytes]]:
        compressor.alone = task.alone
        outputs = []
        for each in compressor.entropies[: task.files]:
            recorder = Recorder(compressor.header_under(each))
            outputs.append(Output(each, recorder.counting, recorder, RateReport(each.kind)))
        compressor.write_group(outputs, task.group, threads)
        said, data = [], b""
        for output in outputs:
            about, own = Coded(cast("Recorder", output.writer).groups, output.report).packed(output.writer.header)
            said.append([about, len(own)])
            data += own
        yield said, data

    return do
