"""Worker of test_torchrun.py, one of two ranks: the second looks for a set when the first has finished it alone."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch.distributed as dist

from tests.tokens.test_workers import data, tiny
from vqkit import tokenize
from vqkit.tokens.manifest import MANIFEST


def main() -> None:
    """Two sets, one after the other, in the cache folder; the first is whole before the second rank asks for it."""
    cache, follows = Path(sys.argv[1]), os.environ["RANK"] == "1"
    os.environ["VQKIT_CACHE"] = str(cache)
    dist.init_process_group("gloo")
    if follows:
        _wait_for(cache, 1)
    options = {"batch_size": 4, "shard_items": 7, "engine": "torchrun"}
    first = tokenize(tiny(), data(20), **options)
    # the leader is slow with the other: who does not work on it with the leader finds no such set
    second = tokenize(tiny(), data(40), progress=lambda done, items: time.sleep(0.02), **options)
    assert (len(first), len(second)) == (20, 40)
    assert (first[:] == second[:20]).all()
    dist.barrier()
    dist.destroy_process_group()


def _wait_for(cache: Path, sets: int) -> None:
    """Wait until so many sets are finished."""
    until = time.monotonic() + 60
    while len(list(cache.rglob(MANIFEST))) < sets:
        assert time.monotonic() < until
        time.sleep(0.01)
