"""Kill an encoding of 200,000 items with SIGKILL at random moments, start it again each time: the bytes are the same.

Counts the shards that were on the disk when the process was killed and were written again: at most one each time.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import vqkit
from figures import Figure, parser, report


def command(folder: Path, out: Path, shard_items: int) -> list[str]:
    words = ["encode", str(folder / "model"), str(folder / "x.npy"), "--out", str(out), "--threads", "1"]
    return [sys.executable, "-m", "vqkit.cli.main", *words, "--shard-items", str(shard_items), "--batch-size", "500"]


def stamps(out: Path) -> dict[str, int]:
    """When each shard was written."""
    return {file.name: file.stat().st_mtime_ns for file in out.glob("indices-*.npy")}


def contents(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in out.iterdir()}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=10, help="how often it is killed (default 10)")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = options.parse_args()
    kills, items = (2, 20_000) if arguments.quick else (arguments.kills, 200_000)
    shard_items = items // 100
    folder = Path(tempfile.mkdtemp(prefix="kill_encode_"))
    torch.manual_seed(0)
    model = vqkit.VQVAE(64, channels=1, hidden_channels=32, code_dim=8, residual_channels=16)
    pixels = np.random.default_rng(0).integers(0, 256, (items, 8, 8), dtype=np.uint8)
    model.prepare([torch.from_numpy(pixels[:512, None]).float() / 255])
    model.save_pretrained(folder / "model")
    np.save(folder / "x.npy", pixels)
    whole = subprocess.Popen(command(folder, folder / "whole", shard_items), stdout=subprocess.DEVNULL)
    while whole.poll() is None and not stamps(folder / "whole"):
        time.sleep(0.01)
    began = time.monotonic()
    if whole.wait():
        raise SystemExit("the encoding that nobody kills failed")
    seconds = time.monotonic() - began  # from the first shard on
    chance = random.Random(arguments.seed)
    out, done, again, shards = folder / "t", 0, [], []
    attempt, before = command(folder, out, shard_items), dict[str, int]()
    while done < kills:
        process = subprocess.Popen(attempt, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and len(stamps(out)) <= len(before):
            time.sleep(0.01)  # until this one writes
        time.sleep(chance.uniform(0, 1.2) * seconds / (kills + 2))
        if process.poll() is not None:
            raise SystemExit(f"it ended before it was killed {kills} times: {process.communicate()[1].decode()}")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done += 1
        after = stamps(out)
        again.append(sum(after.get(name) != stamp for name, stamp in before.items()))
        before = after
        shards.append(len(before))
    finished = subprocess.run(attempt, check=True, capture_output=True, text=True)
    after = stamps(out)
    again.append(sum(after.get(name) != stamp for name, stamp in before.items()))
    different = contents(out) != contents(folder / "whole")
    print(f"shards when it was killed: {shards}; {finished.stdout.splitlines()[0]}")
    shutil.rmtree(folder)
    total = items // shard_items
    figures = [
        Figure("kill_encode/items", items, "items", items, items),
        Figure("kill_encode/shards", total, "shards", total, total),
        Figure("kill_encode/kills", done, "kills", done, done),
        Figure("kill_encode/shards_done_twice", sum(again), "shards", min(again), max(again)),
        Figure("kill_encode/sets_that_differ", int(different), "sets", int(different), int(different)),
    ]
    report(figures, arguments, benchmark="kill_encode")
    if different or max(again) > 1:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
