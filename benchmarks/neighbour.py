"""Beside another process that keeps a core busy: training, encoding and files with 1, 2 and chosen CPU threads.

torch's threads wait for one another by spinning, so that on a shared machine more of them can be slower. Every job runs
in a process of its own for each number of threads; they take turns, with no neighbor and with ``--busy N`` neighbors (1
by default). The ratio of ``auto`` is to the better of the fixed numbers. ``--before SRC`` adds the vqkit of another
commit as it comes. For the search see ``nearest.py --busy``.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from contest import Process, busy_processes, in_turns, serve
from figures import Figure, figure, parser, report

AUTO = 0
_SCALE = 4
"""Of the work of a job; 1 with --quick."""


def _set(threads: int) -> None:
    import torch

    try:
        from vqkit.threads import set_threads
    except ImportError:  # another commit
        if threads != AUTO:
            torch.set_num_threads(threads)
        return
    set_threads("auto" if threads == AUTO else threads)


def _photos(count: int) -> Any:
    import numpy as np

    import vqkit

    photos = vqkit.load_source("builtin:photos")
    large = [np.tile(photos.read(number)[:, :64, :64], (1, 4, 4)) for number in range(len(photos))]
    return np.stack(list(islice(cycle(large), count)))


def training(threads: int, scale: int) -> Callable[[], object]:
    import vqkit

    _set(threads)
    digits = vqkit.load_source("builtin:digits")

    def call() -> None:
        model = vqkit.VQVAE.for_source(digits, seed=0)
        with tempfile.TemporaryDirectory() as folder:
            vqkit.train(model, digits, out=f"{folder}/run", steps=25 * scale, evaluations=0, quiet=True)

    return call


def encoding(threads: int, scale: int) -> Callable[[], object]:
    import vqkit

    _set(threads)
    photos = _photos(10 * scale)
    model = vqkit.VQVAE(512, hidden_channels=64)

    def call() -> None:
        with tempfile.TemporaryDirectory() as folder:
            vqkit.tokenize(model, photos, f"{folder}/tokens", batch_size=2)

    return call


def _files(threads: int, scale: int) -> tuple[Any, Any, Any]:
    import vqkit
    from vqkit.codec import Signal

    _set(threads)
    model = vqkit.VQVAE(512, hidden_channels=64).eval()
    return vqkit.codec, model, [Signal(photo) for photo in _photos(4 * scale)]


def compressing(threads: int, scale: int) -> Callable[[], object]:
    codec, model, signals = _files(threads, scale)
    return lambda: codec.Compressor(model).write(io.BytesIO(), iter(signals))


def decompressing(threads: int, scale: int) -> Callable[[], object]:
    codec, model, signals = _files(threads, scale)
    file = io.BytesIO()
    codec.Compressor(model).write(file, iter(signals))
    return lambda: list(codec.Decompressor(model).read(io.BytesIO(file.getvalue())))


JOBS = {"train": training, "encode": encoding, "compress": compressing, "decompress": decompressing}


def _measure(job: str, busy: int, rounds: int, scale: int, before: Path | None) -> list[Figure]:
    cores = os.cpu_count() or 1
    contenders = {"auto": AUTO, "1": 1, str(cores): cores}
    processes = []
    for name, threads in contenders.items():
        process = Process(__file__, job, threads, scale)
        process.name = name
        processes.append(process)
    if before is not None:
        process = Process(__file__, job, AUTO, scale, source=before)
        process.name = "before"
        processes.append(process)
    with busy_processes(busy):
        samples = in_turns(processes, rounds)
    title = f"{job} busy={busy} threads="
    found = [figure(f"{title}{name}", samples[name], "s") for name in samples if name != "auto"]
    fixed = min(each.value for each in found if not each.name.endswith("before"))
    peers = {"better of fixed": fixed} | {name: each.value for each in found if (name := each.name[-6:]) == "before"}
    return [figure(f"{title}auto", samples["auto"], "s", peers), *found]


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(JOBS, *sys.argv[2:])
        return
    options = parser(__doc__)
    options.add_argument("--busy", type=int, default=1, metavar="N", help="processes that keep a core busy meanwhile")
    options.add_argument("--before", type=Path, metavar="SRC", help="the src folder of another commit, measured beside")
    options.add_argument("--jobs", nargs="*", default=list(JOBS), choices=list(JOBS))
    arguments = options.parse_args()
    rounds, scale = (3, 1) if arguments.quick else (5, _SCALE)
    found: list[Figure] = []
    for busy in (0, arguments.busy):
        for job in arguments.jobs:
            print(f"{job}, {busy} busy ...", file=sys.stderr, flush=True)
            found += _measure(job, busy, rounds, scale, arguments.before)
    report(found, arguments, busy=arguments.busy)


if __name__ == "__main__":
    main()
