"""A sound of an hour: how much memory do encode, compress, decompress and reconstruct take, and how long?

RUN is a tokenizer of mono sound, DATA a folder of sounds. These, one after another and again, make one FLAC file of
``--minutes``; each command runs in a process of its own, and its highest resident memory is what the system says of it
(``wait4``: of the command and no other). A file of a twelfth is measured too: what an hour takes beyond it grows.

    python benchmarks/hour.py runs/speech speech_16k/train
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import vqkit
from figures import Figure, figure, parser, report

MIB = 1 << 20


def write_long(source: Any, path: Path, rate: int, seconds: float) -> None:
    """The sounds of a source, one after another and again, as a file of so many seconds."""
    soundfile: Any = import_module("soundfile")

    left, number = round(seconds * rate), 0
    with soundfile.SoundFile(path, "w", samplerate=rate, channels=1, format="FLAC", subtype="PCM_16") as file:
        while left > 0:
            samples = np.asarray(source.read(number % len(source)))[0, :left]
            file.write(samples)
            left, number = left - len(samples), number + 1


def measured(words: list[str]) -> tuple[float, float]:
    """Peak memory in MiB and seconds of a command."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "vqkit", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"hour.py: vqkit {' '.join(words)} failed")
    return usage.ru_maxrss * 1024 / MIB, time.perf_counter() - start


def figures_of(run: str, place: Path, minutes: float, threads: int) -> list[Figure]:
    """Each command on a file of so many minutes."""
    found = []
    sound, file = place / "long.flac", place / "long.vqk"
    commands = {
        "encode": ["encode", run, str(sound), "--out", str(place / "tokens")],
        "compress": ["compress", str(sound), "--model", run, "--out", str(file)],
        "decompress": ["decompress", str(file), "--model", run, "--out", str(place / "back.wav")],
        "reconstruct": ["reconstruct", run, str(sound), "--out", str(place / "made.png")],
    }
    for name, words in commands.items():
        memory, seconds = measured([*words, "--threads", str(threads)])
        found.append(figure(f"{minutes:g} minutes, {name}: peak memory", [memory], "MiB"))
        found.append(figure(f"{minutes:g} minutes, {name}: times real time", [60 * minutes / seconds], "x"))
        print(found[-2].line(), found[-1].line(), sep="\n", file=sys.stderr, flush=True)
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("run", nargs="?", help="a run folder of a tokenizer of mono sound")
    options.add_argument("data", nargs="?", help="a folder of sounds")
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    if given.run is None or given.data is None:
        print("hour.py: name RUN, a tokenizer of sound, and DATA; nothing measured")
        return
    model: Any = vqkit.load_model(given.run)
    rate = int(model.kind.rate)
    source = vqkit.load_source(f"sound@{rate}:{given.data}", channels=1)
    found = []
    for minutes in (0.5,) if given.quick else (given.minutes / 12, given.minutes):
        with tempfile.TemporaryDirectory() as folder:
            write_long(source, Path(folder) / "long.flac", rate, 60 * minutes)
            found += figures_of(given.run, Path(folder), minutes, given.threads)
    report(found, given, data=Path(given.data).name)


if __name__ == "__main__":
    main()
