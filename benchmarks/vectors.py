"""Codes of vectors beside faiss: recall of the true nearest neighbour at equal bytes, training and encoding.

``python benchmarks/vectors.py VECTORS.npy``: a tenth of the rows (seeded) are queries, the others are the database, on
which each contender is trained. Recall@R: of how many queries the true nearest neighbour in the database is among the
first R by the distance of the raw query to decoded vectors (asymmetric), or of the decoded query to them (decoded).
Seconds are those of the process's own processor time, so that a busy machine does not count; one thread each.

``--million``: 1,000,000 clustered vectors of 96 numbers from a memory-mapped file through the command line's own path:
seconds, and the peak of memory of the process. Rows that lie in the JSON file already are not measured again.

``--tune NAME``: settings of ``rq`` or ``rqvae`` side by side on queries of their own: a ninth of the database, so that
the tenth that judges is never looked at. ``--folds N``: the same coders on N sets of queries of the database, each
trained on the rest of it, and their differences to faiss's coder of that name, with standard errors.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vqkit
from vqkit.models import MODELS
from vqkit.storage import atomic

_AT = (1, 10, 100)
_FAISS = ("pq", "opq", "rq", "lsq")
_OURS = ("pq", "opq", "rq", "rqvae")
_RQVAE: dict[str, Any] = {"code_dim": 64, "linear_path": True, "steps": 3000}
_SETTINGS: dict[str, list[dict[str, Any]]] = {
    "rq": [{}, {"noise": 0.5}, {"noise": 2.0}, {"rounds": 12}, {"rounds": 50}, {"beam": 32}],
    "rqvae": [{}, {"linear_path": False}, {"code_dim": 100}],
}
"""What ``--tune`` looks at, beside the defaults."""


@dataclass
class Coder:
    """A trained coder of vectors: both ways between vectors and codes."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def main() -> None:
    """Measure what is not in the JSON file yet, and print a table."""
    own = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("vectors", nargs="?", type=Path, help=".npy of [N, D]")
    own.add_argument("--json", type=Path, default=None, help="where rows are kept")
    own.add_argument("--quick", action="store_true", help="4 bytes, the first 4,000 vectors, short trainings")
    own.add_argument("--bytes", default="4,8,16", help="bytes a vector")
    own.add_argument("--coders", default="", help="only these, as in 'vqkit rq,faiss lsq'")
    own.add_argument("--tune", choices=list(_SETTINGS), default=None, help="settings on queries of their own instead")
    own.add_argument("--folds", type=int, default=0, help="paired differences to faiss over N sets of queries instead")
    own.add_argument("--million", action="store_true", help="1,000,000 clustered vectors instead")
    own.add_argument("--model", default="rq", help="of --million")
    arguments = own.parse_args()
    if arguments.million:
        million(arguments)
        return
    if arguments.vectors is None:
        own.error("give the .npy file of vectors, or --million")
    vectors = np.ascontiguousarray(np.load(arguments.vectors), dtype=np.float32)[: 4000 if arguments.quick else None]
    order = np.random.default_rng(0).permutation(len(vectors))
    queries, database = vectors[order[: len(vectors) // 10]], np.ascontiguousarray(vectors[order[len(vectors) // 10 :]])
    rows = kept(arguments.json)
    torch.set_num_threads(1)
    wanted = [each.strip() for each in arguments.coders.split(",") if each.strip()]
    for count in (4,) if arguments.quick else map(int, arguments.bytes.split(",")):
        if arguments.tune is not None:
            tune(arguments.tune, count, database, arguments, rows)
            continue
        contenders = [(who, name) for who, names in (("vqkit", _OURS), ("faiss", _FAISS)) for name in names]
        contenders = [each for each in contenders if not wanted or " ".join(each) in wanted]
        if arguments.folds:
            paired(contenders, count, database, arguments, rows)
            continue
        for who, name in contenders:
            key = f"{who} {name} {count}"
            if key not in rows:
                make = partial(_MAKERS[who], name, count, database, arguments.quick)
                rows[key] = measured(make, queries, database)
                keep(arguments.json, rows)
            print(line(key, rows[key]), flush=True)


def tune(name: str, count: int, vectors: Any, arguments: argparse.Namespace, rows: dict[str, Any]) -> None:
    """Measure settings side by side: a ninth of the vectors are queries, the others the database."""
    queries, database = fold(vectors, 0, 9)
    for settings in _SETTINGS[name]:
        key = f"tune {name} {count} {json.dumps(settings)}"
        if key not in rows:
            make = partial(vqkit_coder, name, count, database, arguments.quick, settings)
            rows[key] = measured(make, queries, database)
            keep(arguments.json, rows)
        print(line(key, rows[key]), flush=True)


def paired(
    contenders: list[tuple[str, str]], count: int, vectors: Any, arguments: argparse.Namespace, rows: dict[str, Any]
) -> None:
    """Measure coders on several sets of queries, each other's database, and the differences to faiss's."""
    found: dict[tuple[str, str], list[list[float]]] = {each: [] for each in contenders}
    for number in range(arguments.folds):
        queries, database = fold(vectors, number, max(9, arguments.folds))
        for (who, name), own in found.items():
            row = measured(partial(_MAKERS[who], name, count, database, arguments.quick), queries, database)
            own.append([*row["recall"], *row["recall_decoded"], row["mse"]])
    for (who, name), own in found.items():
        table = np.array(own)
        row = {"folds": len(table), "mean": table.mean(axis=0).tolist()}
        if who == "vqkit" and ("faiss", name) in found:
            apart = table - np.array(found["faiss", name])
            row["difference"] = apart.mean(axis=0).tolist()
            row["standard_error"] = (apart.std(axis=0, ddof=1) / len(table) ** 0.5).tolist()
        rows[f"folds {who} {name} {count}"] = row
        keep(arguments.json, rows)
        print(f"{who} {name} {count}", {key: np.round(value, 4).tolist() for key, value in row.items()}, flush=True)


def fold(vectors: Any, number: int, folds: int) -> tuple[Any, Any]:
    """Return the vectors of a fold, and all others."""
    inside = np.arange(len(vectors)) * folds // len(vectors) == number
    return np.ascontiguousarray(vectors[inside]), np.ascontiguousarray(vectors[~inside])


def measured(make: Callable[[], Coder], queries: Any, database: Any) -> dict[str, Any]:
    """Train a coder on the database, and judge it."""
    start = time.process_time()
    coder = make()
    trained = time.process_time()
    codes = coder.encode(database)
    encoded = time.process_time()
    decoded = coder.decode(codes)
    true = nearest(queries, database, 1)
    return {
        "mse": float(((decoded - database) ** 2).mean()),
        "recall": recall(nearest(queries, decoded, _AT[-1]), true),
        "recall_decoded": recall(nearest(coder.decode(coder.encode(queries)), decoded, _AT[-1]), true),
        "train_seconds": trained - start,
        "vectors_per_second": len(database) / (encoded - trained),
    }


def nearest(queries: Any, database: Any, count: int) -> Any:
    """Return the first so many rows of the database for each query, by brute force."""
    import faiss

    index = faiss.IndexFlatL2(database.shape[1])
    index.add(np.ascontiguousarray(database, dtype=np.float32))
    return index.search(np.ascontiguousarray(queries, dtype=np.float32), count)[1]


def recall(found: Any, true: Any) -> list[float]:
    """Return the share of queries whose nearest neighbour is among the first 1, 10, 100."""
    hits = found == true[:, :1]
    return [float(hits[:, :count].any(axis=1).mean()) for count in _AT]


def vqkit_coder(name: str, count: int, database: Any, quick: bool, settings: dict[str, Any] | None = None) -> Coder:
    """Train a model of vqkit, from an array as a source."""
    model: Any
    if name == "rqvae":
        model = trained_networks(count, database, quick, {**_RQVAE, **(settings or {})})
    else:
        own = {"num_codebooks": count, **({"rounds": 5} if quick and name == "rq" else {}), **(settings or {})}
        model = MODELS[name]
        model = model.for_source(vqkit.load_source(database), 256, **own)
        blocks = torch.from_numpy(database).split(4096)  # type: ignore[no-untyped-call]
        model.fit(lambda: blocks)
    model.eval()
    return Coder(
        lambda x: torch.cat([model.encode(each) for each in torch.from_numpy(x).split(4096)]),  # type: ignore[no-untyped-call]
        lambda codes: torch.cat([model.decode(each) for each in codes.split(4096)]).numpy(),
    )


def trained_networks(count: int, database: Any, quick: bool, settings: dict[str, Any]) -> Any:
    """Train an RQ-VAE: encoder and decoder networks around a residual stack of codebooks."""
    steps = 50 if quick else settings["steps"]
    source = vqkit.load_source(database)
    model = vqkit.VQVAE.for_source(
        source, codebook_size=256, num_codebooks=count, stacking="residual",
        **{key: value for key, value in settings.items() if key != "steps"},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        vqkit.train(
            model, source, out=Path(folder) / "run", quiet=True, tensorboard=False, steps=steps, batch_size=256,
            evaluations=1, validation="last:100", seed=0,
        )  # fmt: skip
    return model


def faiss_coder(name: str, count: int, database: Any, quick: bool) -> Coder:
    """Train a quantizer of faiss with its own settings; products of vectors that do not divide are padded with 0."""
    import faiss as outside

    faiss: Any = outside  # its stubs are those of C++
    faiss.omp_set_num_threads(1)
    width = database.shape[1]
    padded = -(-width // count) * count

    def pad(x: Any) -> Any:
        return np.ascontiguousarray(np.pad(x, ((0, 0), (0, padded - width))), dtype=np.float32)

    if name in ("pq", "opq"):
        product = faiss.ProductQuantizer(padded, count, 8)
        if name == "pq":
            product.train(pad(database))
            return Coder(lambda x: product.compute_codes(pad(x)), lambda codes: product.decode(codes)[:, :width])
        turn = faiss.OPQMatrix(padded, count)
        turn.niter = 5 if quick else turn.niter
        turn.train(pad(database))
        product.train(turn.apply(pad(database)))
        return Coder(
            lambda x: product.compute_codes(turn.apply(pad(x))),
            lambda codes: turn.reverse_transform(product.decode(codes))[:, :width],
        )
    kind = faiss.ResidualQuantizer if name == "rq" else faiss.LocalSearchQuantizer
    quantizer = kind(width, count, 8)
    quantizer.train(database)
    return Coder(quantizer.compute_codes, quantizer.decode)


def million(arguments: argparse.Namespace) -> None:
    """Train, encode and measure memory, on 1,000,000 vectors in 2,000 clusters in a file that is memory-mapped."""
    count, width, clusters = (20_000 if arguments.quick else 1_000_000), 96, 2000
    with tempfile.TemporaryDirectory() as folder:
        path, random = Path(folder) / "vectors.npy", np.random.default_rng(0)
        centers = random.normal(size=(clusters, width)).astype(np.float32)
        file = np.lib.format.open_memmap(path, "w+", np.float32, (count, width))
        for start in range(0, count, 50_000):
            stop = min(count, start + 50_000)
            noise = random.normal(size=(stop - start, width)).astype(np.float32)
            file[start:stop] = centers[random.integers(clusters, size=stop - start)] + 0.5 * noise
        del file
        source = vqkit.load_source(path, memory_limit="64MB")
        begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        model: Any = MODELS[arguments.model]
        model = model.for_source(source, 256, num_codebooks=8)
        begun, wall = time.process_time(), time.perf_counter()
        run = vqkit.train(
            model, source, out=Path(folder) / "run", quiet=True, tensorboard=False, validation="last:1000"
        )
        trained, waited = time.process_time(), time.perf_counter()
        tokens = vqkit.tokenize(model, source, Path(folder) / "tokens", batch_size=8192)
        encoded, done = time.process_time(), time.perf_counter()
        row = {
            "vectors": count,
            "dimensions": width,
            "nmse": (run.evaluation or {}).get("nmse"),
            "train_seconds": trained - begun,
            "train_wall_seconds": waited - wall,
            "vectors_per_second": len(tokens) / (encoded - trained),
            "vectors_per_wall_second": len(tokens) / (done - waited),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "before_mb": begin / 1024,
        }
    rows = kept(arguments.json)
    rows[f"million {arguments.model}"] = row
    keep(arguments.json, rows)
    print(json.dumps(row, indent=1))


def kept(path: Path | None) -> dict[str, Any]:
    """Return the rows that were measured before."""
    return json.loads(path.read_text()) if path is not None and path.is_file() else {}


def keep(path: Path | None, rows: dict[str, Any]) -> None:
    """Write the rows."""
    if path is not None:
        atomic.write_json(path, rows)


def line(key: str, row: dict[str, Any]) -> str:
    """Return a row of the table."""
    far = " ".join(f"{value:.4f}" for value in row["recall"])
    both = " ".join(f"{value:.4f}" for value in row["recall_decoded"])
    return (
        f"{key:14} mse {row['mse']:.5f}  recall@1/10/100 {far}  decoded {both}  train {row['train_seconds']:.1f} s  "
        f"{row['vectors_per_second']:,.0f} vectors/s"
    )


_MAKERS = {"vqkit": vqkit_coder, "faiss": faiss_coder}

if __name__ == "__main__":
    main()
