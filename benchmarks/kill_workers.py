"""Kill an encoding by several workers with SIGKILL at random moments, a worker and the driver in turn, and go on.

Half of the kills hit one of two worker processes (or actors of Ray), half the driver, which its workers then have to
follow. The same command is started again each time. In the end the bytes are those of one process that nobody killed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

import vqkit
from figures import Figure, parser, report
from kill_encode import contents, stamps

ENGINES = {"processes": "spawn_main", "ray": "ray::_Actor"}
"""What a worker is called among the processes of the system."""


def command(folder: Path, out: Path, shard_items: int, engine: str | None) -> list[str]:
    words = ["encode", str(folder / "model"), str(folder / "x.npy"), "--out", str(out), "--threads", "1"]
    words += [] if engine is None else ["--workers", "2", "--engine", engine]
    return [sys.executable, "-m", "vqkit", *words, "--shard-items", str(shard_items), "--batch-size", "500"]


def below(pid: int) -> dict[int, str]:
    """The processes that a process has started, and those that they have, with their words."""
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        threads = Path(f"/proc/{waiting.pop()}/task")
        try:  # as ps says, without starting a program: what is to be killed goes on meanwhile
            children = [word for thread in threads.iterdir() for word in (thread / "children").read_text().split()]
            for child in map(int, children):
                found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                waiting.append(child)
        except OSError:  # it has ended
            continue
    return found


def killed(folder: Path, out: Path, engine: str, whom: str, moment: float, shard_items: int) -> tuple[bool, list[str]]:
    """Begin or go on, kill at a moment after the first new shard, wait for the end of all.

    Returns:
        Whether it was killed before it had ended, and what it said.
    """
    before = len(stamps(out))
    process = subprocess.Popen(
        command(folder, out, shard_items, engine), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "RAY_DEDUP_LOGS": "0"},
    )  # fmt: skip
    while process.poll() is None and len(stamps(out)) <= before:
        time.sleep(0.01)
    time.sleep(moment)
    workers = [pid for pid, words in below(process.pid).items() if ENGINES[engine] in words]
    hit = process.poll() is None and (whom == "driver" or bool(workers))
    if hit:
        os.kill(process.pid if whom == "driver" else random.choice(workers), signal.SIGKILL)
    _, said = process.communicate()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    return hit, [line for line in said.splitlines() if line.startswith("vqkit:")]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=10, help="how often, with each engine (default 10)")
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    options.add_argument("--engine", choices=list(ENGINES), action="append", help="(default: those installed)")
    arguments = options.parse_args()
    kills, items = (2, 20_000) if arguments.quick else (arguments.kills, arguments.items)
    engines = arguments.engine or [name for name in ENGINES if name != "ray" or find_spec("ray") is not None]
    shard_items = items // 100
    folder = Path(tempfile.mkdtemp(prefix="kill_workers_"))
    torch.manual_seed(0)
    model = vqkit.VQVAE(64, channels=1, hidden_channels=32, code_dim=8, residual_channels=16)
    pixels = np.random.default_rng(0).integers(0, 256, (items, 8, 8), dtype=np.uint8)
    model.prepare([torch.from_numpy(pixels[:512, None]).float() / 255])
    model.save_pretrained(folder / "model")
    np.save(folder / "x.npy", pixels)
    whole = folder / "whole"
    start = time.monotonic()
    subprocess.run(
        command(folder, whole, shard_items, None), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    seconds = time.monotonic() - start
    chance, figures = random.Random(arguments.seed), []
    random.seed(arguments.seed)
    for engine in engines:
        out, done, again, lines = folder / engine, 0, 0, []
        before = dict[str, int]()
        while done < kills:
            whom = "worker" if done % 2 else "driver"
            hit, said = killed(folder, out, engine, whom, chance.uniform(0, seconds / (3 * kills)), shard_items)
            after = stamps(out)
            again += sum(after.get(name) != stamp for name, stamp in before.items())
            before = after
            if not hit:
                raise SystemExit(f"it ended before it was killed {kills} times: {said}; give more --items")
            done += 1
            lines += said
            print(f"{engine}: {whom} killed at {len(before)} of 100 shards; {said}", flush=True)
        subprocess.run(command(folder, out, shard_items, engine), check=True, capture_output=True)
        after = stamps(out)
        again += sum(after.get(name) != stamp for name, stamp in before.items())
        different = int(contents(out) != contents(whole))
        figures += [
            Figure(f"kill_workers/{engine}/kills", done, "kills", done, done),
            Figure(f"kill_workers/{engine}/shards_done_twice", again, "shards", again, again),
            Figure(f"kill_workers/{engine}/errors_of_one_line", len(lines), "lines", len(lines), len(lines)),
            Figure(f"kill_workers/{engine}/sets_that_differ", different, "sets", different, different),
        ]
    shutil.rmtree(folder)
    report(figures, arguments, benchmark="kill_workers")
    if any(figure.value for figure in figures if figure.name.endswith("sets_that_differ")):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
