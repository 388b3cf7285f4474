"""Semantic ids of many vectors: collisions before and after balancing, unique ids both ways, seconds and memory.

``python benchmarks/ids.py``: 1,000,000 vectors of 64 numbers in 2,000 clusters, in a file that is memory-mapped, by
``rq`` of 3 x 256, plain and balanced (``--vectors N``: fewer; ``--quick``: 5,000 at 3 x 32). Seconds are those of the
process's own processor time, one thread, and on the clock. ``--peer N``: the first N vectors also by the PyPI package
semantic-id (RQ-KMeans, k-means of scikit-learn), where it is installed (``pip install --no-deps semantic-id`` will do),
beside vqkit on the same vectors. Its balanced k-means needs OR-tools, and its Sinkhorn resolver is for its RQ-VAE.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vqkit
from vqkit.evaluation.vectors.paths import birthday_rate
from vqkit.ids import SemanticIds, load_ids, make_ids, save_ids
from vqkit.models import ResidualQuantization
from vqkit.storage import atomic

_WIDTH, _CLUSTERS, _ROWS = 64, 2000, 50_000
_CODEBOOKS = 3


class Clock:
    """Seconds since it was made or read: of the processor, and on the clock."""

    def __init__(self) -> None:
        self._last = time.process_time(), time.perf_counter()

    def read(self) -> dict[str, float]:
        """Return both, and begin anew."""
        before, self._last = self._last, (time.process_time(), time.perf_counter())
        return {"seconds": self._last[0] - before[0], "wall": self._last[1] - before[1]}


def main() -> None:
    """Measure, print, and write the numbers."""
    own = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("--json", type=Path, default=None)
    own.add_argument("--quick", action="store_true", help="5,000 vectors, 3 x 32 codes")
    own.add_argument("--vectors", type=int, default=None)
    own.add_argument("--peer", type=int, default=5000, help="vectors that semantic-id is given; 0: none")
    arguments = own.parse_args()
    torch.set_num_threads(1)
    count = arguments.vectors or (5000 if arguments.quick else 1_000_000)
    size = 32 if arguments.quick else 256
    with tempfile.TemporaryDirectory() as folder:
        path = clustered(Path(folder) / "vectors.npy", count)
        rows: dict[str, Any] = {"vectors": count, "codebook_size": size, **measured(path, size, Path(folder))}
        if arguments.peer:
            rows["peer"] = beside_peer(np.load(path, mmap_mode="r")[: min(arguments.peer, count)], min(size, 64))
    if arguments.json is not None:
        atomic.write_json(arguments.json, rows)


def clustered(path: Path, count: int) -> Path:
    """Write vectors in clusters, a block at a time."""
    random = np.random.default_rng(0)
    centers = random.normal(size=(_CLUSTERS, _WIDTH)).astype(np.float32)
    file = np.lib.format.open_memmap(path, "w+", np.float32, (count, _WIDTH))
    for start in range(0, count, _ROWS):
        stop = min(count, start + _ROWS)
        noise = random.normal(size=(stop - start, _WIDTH)).astype(np.float32)
        file[start:stop] = centers[random.integers(_CLUSTERS, size=stop - start)] + 0.5 * noise
    return path


def measured(path: Path, size: int, folder: Path) -> dict[str, Any]:
    """Learn codebooks, make ids in both ways, write, read, and go from items to ids and back."""
    source = vqkit.load_source(path, memory_limit="64MB")
    rows: dict[str, Any] = {"before_mb": peak()}
    clock = Clock()
    model = ResidualQuantization.for_source(source, size, num_codebooks=_CODEBOOKS)
    model.fit(lambda: (batch for _, batch in vqkit.evaluation_batches(source, 8192)))
    model.eval()
    rows["training"] = say("training", clock.read())
    for name, balanced in (("plain", False), ("balanced", True)):
        ids = make_ids(model, source, balanced=balanced)
        levels = ids.about["prefixes"]
        rows[name] = say(
            name,
            {
                **clock.read(),
                "collide": [round(level["collision_rate"], 5) for level in levels],
                "random": [round(level["birthday_rate"], 5) for level in levels],
                "distinct": levels[-1]["distinct"],
                "moved": ids.about["moved"],
                "nmse": error(model, source, ids),
                "most_items": ids.about["most_items_of_an_id"],
                "collide_with_last_digit": len(ids) - len(np.unique(ids.digits, axis=0)),
                "peak_mb": peak(),
            },
        )
        clock.read()
    save_ids(ids, folder / "ids")
    rows["writing"] = say("writing", {**clock.read(), "index_mb": (folder / "ids" / "index.json").stat().st_size / 1e6})
    rows["round_trip"] = say("round trip", {**round_trip(load_ids(folder / "ids")), **clock.read(), "peak_mb": peak()})
    return rows


def error(model: ResidualQuantization, source: Any, ids: SemanticIds, most: int = 20_000) -> float:
    """Squared error of the vectors that ids stand for, over the variance of the vectors (of the first so many)."""
    vectors = torch.from_numpy(source.gather(range(min(most, len(source)))))
    latents = model.latents(vectors)
    codes = model.quantizer.lookup(torch.from_numpy(ids.digits[: len(vectors), :_CODEBOOKS].astype(np.int64)))
    return float((codes - latents).square().mean() / latents.var(dim=0).mean())


def round_trip(ids: SemanticIds) -> dict[str, int]:
    """Go from every item to its id, and from the id to its items; returns how many do not come back alone."""
    lost = sum(ids.rows_of(own).tolist() != [row] for row, own in enumerate(ids.digits.tolist()))
    return {"items": len(ids), "lost": lost}


def beside_peer(vectors: Any, size: int) -> dict[str, Any]:
    """The same vectors by semantic-id and by vqkit."""
    vectors, rows = np.array(vectors), {}
    clock = Clock()
    model = ResidualQuantization.for_source(vqkit.load_source(vectors), size, num_codebooks=_CODEBOOKS)
    model.fit(lambda: [torch.from_numpy(vectors)])
    for name, balanced in (("vqkit", False), ("vqkit balanced", True)):
        ids = make_ids(model.eval(), vectors, balanced=balanced)
        last = ids.about["prefixes"][-1]
        rows[name] = say(f"{name}, {len(ids):,} at 3 x {size}", {**clock.read(), "collide": last["collision_rate"]})
    rows["random"] = {"collide": birthday_rate(len(vectors), size, _CODEBOOKS)}
    if find_spec("semantic_id") is None:
        print("semantic-id is not installed: vqkit alone")
        return rows
    from semantic_id import RQKMeans, SemanticIdEngine

    clock.read()
    engine = SemanticIdEngine(RQKMeans(n_levels=_CODEBOOKS, n_clusters=size, random_state=0))
    engine.fit(vectors)
    codes, unique = np.asarray(engine.encoder.encode(vectors)), len(set(engine.unique_ids(vectors)))
    collide = 1 - len(np.unique(codes, axis=0)) / len(vectors)
    rows["semantic-id"] = say("semantic-id", {**clock.read(), "collide": collide, "unique_ids": unique})
    return rows


def peak() -> float:
    """Most memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def say(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Print a line of numbers, and return them."""
    said = {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
    print(f"{name}: {json.dumps(said)}", flush=True)
    return values


if __name__ == "__main__":
    main()
