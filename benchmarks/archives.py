"""Archives that grow: what adding, finding and decoding cost in an archive of 10,000 crops, beside one of 100.

    python benchmarks/archives.py                          # crops of made-up pictures
    python benchmarks/archives.py PHOTOS --model photo     # of photographs in a folder, with the model of the package

100 crops are added to an archive of 100 and to one of 10,000 in turn (on the disk: every addition ends with fsync), one
crop is extracted from each, the names are listed, and the bytes beyond the coded indices are counted. A command "after
start" is timed in a process that has imported everything and opens model and archive anew. Beside the time of the clock
the time of the processor is told, for machines that other programs use too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

import vqkit
from encode_rate import pictures
from figures import Figure, figure, parser, report
from vqkit.codec.inspect import Item, inspect_file
from vqkit.threads import set_threads

Times = dict[str, list[tuple[float, float]]]
"""Of each archive seconds of the clock and of the processor."""


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor, those of processes that it started included."""
    start, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    return time.perf_counter() - start, sum(after[:4]) - sum(before[:4])


def crops(folder: Path, side: int) -> Iterator[np.ndarray]:
    """Crops ``[3, side, side]`` of the pictures of a folder, at places by seed, without end."""
    random = np.random.default_rng(0)
    images = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())[:60]]
    images = [image for image in images if min(image.shape[:2]) >= side]
    while True:
        for image in images:
            top, left = (int(random.integers(0, length - side + 1)) for length in image.shape[:2])
            yield np.ascontiguousarray(image[top : top + side, left : left + side].transpose(2, 0, 1))


def command(*words: object) -> None:
    """Run a command in this process, which has imported everything."""
    from vqkit.cli.main import main

    before = sys.argv
    sys.argv = ["vqkit", *map(str, words)]
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"vqkit {words} ended with {end.code}") from end
    finally:
        sys.argv = before


def fresh(path: Path, copy: Path) -> Path:
    """A copy of an archive that the disk has, so that no addition waits for the copy."""
    shutil.copy(path, copy)
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    return copy


def main() -> None:
    options = parser(__doc__)
    options.add_argument("data", nargs="?", type=Path, metavar="PHOTOS", help="(default: made-up pictures)")
    options.add_argument("--model", help="that writes the archive (default: a small one, untrained)")
    options.add_argument("--items", type=int, default=10_000)
    options.add_argument("--side", type=int, default=64, help="of the crops, in pixels")
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    arguments = options.parse_args()
    items, turns = (1_000, 2) if arguments.quick else (arguments.items, arguments.turns)
    set_threads(arguments.threads)
    folder = Path(tempfile.mkdtemp(prefix="archives_", dir=Path.cwd()))
    data = arguments.data
    if data is None:
        data = folder / "pictures"
        data.mkdir()
        pictures(data, 20, 192)
    model = arguments.model
    if model is None:
        torch.manual_seed(0)
        own = vqkit.VQVAE(512, downsampling=4, hidden_channels=32, residual_channels=16).eval()
        own.prepare([torch.rand(64, 3, 32, 32)])
        own.save_pretrained(folder / "model")
        model = str(folder / "model")
    given = crops(data, arguments.side)
    sizes, archives = {"100": 100, f"{items:,}": items}, {}
    small, large = sizes
    figures: list[Figure] = []
    for name, count in sizes.items():
        archives[name] = folder / f"{count}.vqk"
        archive = vqkit.open_archive(archives[name], model)
        start = time.perf_counter()
        for first in range(0, count, 1000):
            numbers = range(first, min(first + 1000, count))
            archive.add([next(given) for _ in numbers], [f"crop{number:06d}.png" for number in numbers])
        figures.append(figure(f"archives/{name}/begun", [count / (time.perf_counter() - start)], "items/s"))
    adding: Times = {name: [] for name in sizes}
    finding: Times = {name: [] for name in sizes}
    extracting: Times = {name: [] for name in sizes}
    whole: Times = {name: [] for name in sizes}
    listing: list[tuple[float, float]] = []
    random = np.random.default_rng(1)
    command("extract", archives[small], "0", "--model", model, "--out", folder / "once")  # imports are the start
    command("inspect", archives[small], "--list")
    for turn in range(turns):
        more = [next(given) for _ in range(100)]
        names = [f"more{turn}-{number:03d}.png" for number in range(100)]
        for name, path in archives.items():
            copy = fresh(path, folder / "copy.vqk")
            archive = vqkit.open_archive(copy, model)
            adding[name].append(timed(lambda: archive.add(more, names)))  # noqa: B023
            archive.close()
            wanted = f"crop{random.integers(sizes[name]):06d}.png"
            archive = vqkit.open_archive(path, model)
            archive[0]
            finding[name].append(timed(lambda: archive[wanted]))  # noqa: B023
            archive.close()
            words = ["extract", path, wanted, "--model", model, "--threads", arguments.threads, "--out"]
            extracting[name].append(timed(lambda: command(*words, folder / f"e-{name}-{turn}")))  # noqa: B023
            process = [sys.executable, "-m", "vqkit", *map(str, words), str(folder / f"p-{name}-{turn}")]
            whole[name].append(timed(lambda: subprocess.run(process, check=True, capture_output=True)))  # noqa: B023
        listing.append(timed(lambda: command("inspect", archives[large], "--list")))
    for what, each in (
        ("add_100", adding),
        ("decode_one", finding),
        ("extract_one_after_start", extracting),
        ("extract_one_whole_process", whole),
        ("inspect_list_after_start", {large: listing}),
    ):
        for which, clock in enumerate(("", "/cpu")):
            times = {name: [pair[which] for pair in pairs] for name, pairs in each.items()}
            peers = (
                {f"in an archive of {small}": median(times[small])} if small in times and median(times[small]) else {}
            )
            figures += [figure(f"archives/{name}/{what}{clock}", of, "s", peers) for name, of in times.items()]
    listed: list[Item] = []
    with archives[large].open("rb") as file:
        about = inspect_file(file, items=listed)
    beyond = (about.file_bytes - about.index_bytes) / about.signals
    figures.append(figure(f"archives/{large}/bytes_of_an_item", [about.file_bytes / about.signals], "bytes"))
    figures.append(figure(f"archives/{large}/bytes_beyond_its_indices", [beyond], "bytes"))
    shutil.rmtree(folder)
    report(figures, arguments, benchmark="archives", items=items, side=arguments.side, model=arguments.model or "small")


if __name__ == "__main__":
    main()
