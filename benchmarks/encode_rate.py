"""Rate of ``tokenize`` on images, beside the bare encoder on the same batches, and the cost of workers and of Ray.

The bare encoder is ``model.encode`` of batches that lie in memory as tensors: nothing is read, converted or written.
Both are timed in turn, in this process, on the same number of threads. Beside the time of the clock the time of the
processor is compared: it tells the overhead where other programs take the cores too.

    python benchmarks/encode_rate.py --threads 1
    python benchmarks/encode_rate.py --threads 1 --workers      # two worker processes, and two actors of Ray
    python benchmarks/encode_rate.py --threads 1 --engine processes --engine ray      # these alone
    python benchmarks/encode_rate.py --threads 1 --small      # many small items, and the start: these alone
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

import vqkit
from figures import Figure, figure, parser, report
from vqkit.data import Source, evaluation_batches
from vqkit.data.batches import fitting_batch
from vqkit.threads import set_threads


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def pictures(folder: Path, count: int, side: int) -> None:
    """Smooth pictures with noise, as PNG: they take as long to decode as photographs of that size."""
    random = np.random.default_rng(0)
    for number in range(count):
        small = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = np.clip(image + random.integers(-8, 9, image.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:05d}.png")


def compare(name: str, model: vqkit.VQVAE, source: Source, batch_size: int, turns: int) -> list[Figure]:
    """The share of the bare encoder's rate that an encoding has."""
    batches = [batch for _, batch in evaluation_batches(source, fitting_batch(source, batch_size))]

    def bare() -> None:
        with torch.inference_mode():
            for batch in batches:
                model.encode(batch)

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            vqkit.tokenize(model, source, Path(folder) / "tokens", batch_size=batch_size)

    for once in (bare, whole):  # what is prepared once is nobody's time
        once()
    pairs = [(timed(bare), timed(whole)) for _ in range(turns)]
    clock = [first[0] / second[0] for first, second in pairs]
    cpu = [first[1] / second[1] for first, second in pairs]
    rate = [len(source) / second[0] for _, second in pairs]
    return [
        figure(f"encode_rate/{name}/images", rate, "images/s"),
        figure(f"encode_rate/{name}/of_the_bare_encoder", clock, "x"),
        figure(f"encode_rate/{name}/of_the_bare_encoder_in_cpu_time", cpu, "x"),
    ]


def small(turns: int, count: int) -> list[Figure]:
    """Items of 8x8 a second of a core by a model of hidden width 16, in batches as they come and of 64 as they were.

    The time is that of the processor, of this process alone on one thread, so that it holds on a busy machine too.
    """
    torch.manual_seed(0)
    model = vqkit.VQVAE(64, channels=1, hidden_channels=16, residual_channels=16, code_dim=8).eval()
    model.prepare([torch.rand(256, 1, 8, 8)])
    model.eval()
    source = vqkit.load_source(np.random.default_rng(0).integers(0, 256, (count, 8, 8), dtype=np.uint8))
    several = [batch for _, batch in evaluation_batches(source, 64)]

    def bare() -> None:
        with torch.inference_mode():
            for batch in several:
                model.encode(batch)

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            vqkit.tokenize(model, source, Path(folder) / "tokens")

    for once in (bare, whole):
        once()
    pairs = [(timed(bare)[1], timed(whole)[1]) for _ in range(turns)]
    in_64 = [count / first for first, _ in pairs]
    peers = {"the bare encoder in batches of 64": median(in_64)}
    return [
        figure("encode_rate/small/items_of_a_core", [count / second for _, second in pairs], "items/s", peers),
        figure("encode_rate/small/bare_in_batches_of_64", in_64, "items/s"),
    ]


def start(turns: int) -> list[Figure]:
    """Seconds of the processor of ``vqkit encode`` of 8 items, beside ``import torch``; modules that are imported."""
    folder = Path(tempfile.mkdtemp(prefix="encode_start_"))
    np.save(folder / "x.npy", np.zeros((8, 8, 8), np.uint8))
    vqkit.VQVAE(64, channels=1, hidden_channels=16).save_pretrained(folder / "model")
    counts = "import sys; print(len(sys.modules), sum(name.split('.')[0] == 'vqkit' for name in sys.modules))"
    words = ["vqkit", "encode", str(folder / "model"), str(folder / "x.npy"), "--threads", "1", "--out"]
    spent: dict[str, list[float]] = {"encode": [], "torch": []}
    modules: list[list[int]] = []
    for turn in range(turns + 1):
        command = f"import sys; from vqkit.cli.main import main; sys.argv = {[*words, str(folder / f't{turn}')]!r}\n"
        for name, code in (("torch", "import torch"), ("encode", f"{command}try: main()\nfinally: {counts}")):
            before = os.times()
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            after = os.times()
            if turn:  # the first one compiles what is not compiled yet
                spent[name].append(sum(after[2:4]) - sum(before[2:4]))
            if name == "encode":
                modules.append([int(word) for word in done.stdout.split()[-2:]])
    shutil.rmtree(folder)
    peers = {"import torch": median(spent["torch"])}
    return [
        figure("encode_rate/start/cpu", spent["encode"], "s", peers),
        figure("encode_rate/start/import_torch/cpu", spent["torch"], "s"),
        figure("encode_rate/start/modules", [each[0] for each in modules], "modules"),
        figure("encode_rate/start/own_modules", [each[1] for each in modules], "modules"),
    ]


def engines(model: vqkit.VQVAE, source: Source, batch_size: int, turns: int, names: list[str]) -> list[Figure]:
    """Two workers of each engine beside one process: seconds until the first items are done, and images/s from then on.

    Before the first items processes and actors start, import torch and load the model; what an actor of Ray has done is
    heard of when its first task is done.
    """
    starts: dict[str, list[float]] = {name: [] for name in ("one_process", *names)}
    rates: dict[str, list[float]] = {name: [] for name in starts}
    wholes: dict[str, list[float]] = {name: [] for name in starts}
    shard_items = max(1, len(source) // 16)
    for _ in range(turns):
        for name in starts:
            how: dict[str, Any] = {} if name == "one_process" else {"engine": name, "workers": 2}
            heard: list[tuple[float, int]] = []

            def note(done: int, _items: int, heard: list[tuple[float, int]] = heard) -> None:
                heard.append((time.perf_counter(), done))

            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                vqkit.tokenize(
                    model, source, Path(folder) / "tokens", batch_size=batch_size, shard_items=shard_items,
                    progress=note, **how,
                )  # fmt: skip
                wholes[name].append(time.perf_counter() - start)
            starts[name].append(heard[0][0] - start)
            last = next(when for when, done in heard if done == len(source))
            rates[name].append((len(source) - heard[0][1]) / max(last - heard[0][0], 1e-9))
    found = []
    for what, unit, each in (
        ("seconds", "s", wholes),
        ("until_the_first_items", "s", starts),
        ("after", "images/s", rates),
    ):
        peers = {"one process": median(each["one_process"])}
        found += [figure(f"encode_rate/engines/{name}/{what}", of, unit, peers) for name, of in each.items()]
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--images", type=int, default=512)
    options.add_argument("--side", type=int, default=64, help="of the pictures, in pixels")
    options.add_argument("--batch-size", type=int, default=64)
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--workers", action="store_true", help="also two workers of each engine")
    options.add_argument("--small", action="store_true", help="only many small items, and the start of the command")
    options.add_argument("--engine", action="append", help="only these engines, and nothing else (default: installed)")
    options.add_argument("--hidden-channels", type=int, default=128, help="of the model")
    arguments = options.parse_args()
    count, turns = (128, 2) if arguments.quick else (arguments.images, arguments.turns)
    set_threads(arguments.threads)
    if arguments.small:
        figures = small(turns, 20_000 if arguments.quick else 100_000) + start(turns)
        report(figures, arguments, benchmark="encode_rate")
        return
    folder = Path(tempfile.mkdtemp(prefix="encode_rate_"))
    pictures(folder, count, arguments.side)
    memory = vqkit.load_source(folder)
    files = vqkit.load_source(folder, memory_limit=0)
    torch.manual_seed(0)
    model = vqkit.VQVAE.for_source(memory, 512, downsampling=4, hidden_channels=arguments.hidden_channels).eval()
    model.prepare([batch for _, batch in evaluation_batches(memory.subset(range(64)), 64)])
    model.eval()
    figures = []
    if not arguments.engine:
        figures += compare("memory", model, memory, arguments.batch_size, turns)
        figures += compare("files", model, files, arguments.batch_size, turns)
    if arguments.workers or arguments.engine:
        installed = ["processes", *(["ray"] if find_spec("ray") is not None else [])]
        figures += engines(model, memory, arguments.batch_size, max(1, turns // 2), arguments.engine or installed)
    shutil.rmtree(folder)
    report(figures, arguments, benchmark="encode_rate", images=count, side=arguments.side)


if __name__ == "__main__":
    main()
