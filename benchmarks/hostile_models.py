"""Model and token folders of strangers: changed config.json, tokens.json and safetensors headers through every loader.

Models and priors of several classes and token sets of every format are saved, one file is changed at a time, and the
folder is read with load_model, load_prior, load_tokens (all of it) and ``vqkit info``. Each either reads it or refuses
it with an error of vqkit's own. Reported: other exceptions (none may be), seconds of the slowest, growth of the peak of
memory.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from typer.testing import CliRunner

from figures import Figure, figure, parser, report
from hostile_changes import changed_document, changed_header
from vqkit import PCA, VAE, VQVAE, load_model, tokenize
from vqkit.cli.main import app
from vqkit.errors import VqkitError
from vqkit.priors import ContextPrior, HistogramPrior, MaskedPrior, TransformerPrior, load_prior
from vqkit.tokens import index_source, load_tokens
from vqkit.tokens.manifest import manifest_name

SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "channels": 1}


@dataclass(frozen=True)
class Target:
    """A folder, the file in it that is changed, and what reads it."""

    name: str
    folder: Path
    file: str
    read: Callable[[Path], object]


def read_tokens(path: Path) -> object:
    tokens = load_tokens(path)
    return index_source(tokens), tokens.item_names(), tokens.class_names, tokens.bytes_on_disk()


def targets(place: Path) -> list[Target]:
    torch.manual_seed(0)
    vqvae = VQVAE(16, **SMALL)
    models: dict[str, Any] = {
        "vqvae": vqvae,
        "fsq": VQVAE(quantizer="fsq", codebook_size=64, **SMALL),
        "residual": VQVAE(16, num_codebooks=2, stacking="residual", **SMALL),
        "vae": VAE(4, size=[8, 8], channels=1, hidden_channels=8, residual_channels=4),
        "pca": PCA(4, size=[8, 8], channels=1),
    }
    priors: dict[str, Any] = {
        "context": ContextPrior(16, [2, 2], hidden_channels=8, layers=1),
        "transformer": TransformerPrior(16, [2, 2], hidden_channels=8, layers=1),
        "masked": MaskedPrior(16, [2, 2], hidden_channels=8, layers=1),
        "histogram": HistogramPrior(16, [2, 2]),
    }
    found = []
    for name, saved in {**models, **priors}.items():
        saved.save_pretrained(place / name)
        read = load_model if name in models else load_prior
        found += [Target(name, place / name, file, read) for file in ("config.json", "model.safetensors")]
    pixels = np.random.default_rng(0).integers(0, 256, (24, 1, 8, 8), dtype=np.uint8)
    for kind in ("npy", "safetensors", "parquet"):
        folder = tokenize(vqvae, pixels, place / kind, kind=kind, shard_items=9).path
        found += 3 * [Target(f"tokens as {kind}", folder, manifest_name(kind), read_tokens)]
        if kind == "safetensors":
            found.append(Target(f"tokens as {kind}", folder, "indices-00001.safetensors", read_tokens))
    return found


def info(path: Path) -> None:
    done = CliRunner().invoke(app, ["info", str(path)])
    if done.exception is not None:
        raise done.exception


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--changes", type=int, default=2000, help="files that are changed (default 2000)")
    options.add_argument("--seed", type=int, default=0, help="of the changes")
    arguments = options.parse_args()
    count = min(arguments.changes, 100) if arguments.quick else arguments.changes
    random = Random(arguments.seed)
    seconds: list[float] = []
    wrong: Counter[str] = Counter()
    refused = 0
    with tempfile.TemporaryDirectory() as temporary:
        known = targets(Path(temporary))
        for each in known:
            each.read(each.folder)
            info(each.folder)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(count):
            target = random.choice(known)
            file = target.folder / target.file
            whole = file.read_bytes()
            is_json = target.file.endswith(".json")
            harm = changed_document(json.loads(whole), random) if is_json else changed_header(whole, random)
            file.write_bytes(harm)
            for name, read in ((target.read.__name__, target.read), ("info", info)):
                start = time.perf_counter()
                try:
                    read(target.folder)
                except VqkitError as error:
                    refused += 1
                    if "\n" in str(error):
                        wrong["an error of several lines"] += 1
                except Exception as error:  # noqa: BLE001
                    told = f"{name}, {target.name}, {target.file}: {type(error).__name__}: {str(error)[:200]}"
                    wrong[told] += 1
                    print(f"change {number}: {told}; {harm[:300]!r}", flush=True)
                seconds.append(time.perf_counter() - start)
            file.write_bytes(whole)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    figures = [
        Figure("hostile_models/changes", count, "files", count, count),
        Figure("hostile_models/refused", refused / len(seconds), "of the readings", 0, 1),
        Figure("hostile_models/tracebacks", wrong.total(), "readings", 0, wrong.total()),
        figure("hostile_models/seconds", seconds, "s"),
        Figure("hostile_models/slowest", max(seconds), "s", min(seconds), max(seconds)),
        Figure("hostile_models/peak_memory_growth", grown, "MB", grown, grown),
    ]
    report(figures, arguments, benchmark="hostile_models", seed=arguments.seed)
    if wrong or max(seconds) > 2 or grown > 300:
        raise SystemExit("a traceback, more than 2 seconds, or more than 300 MB")


if __name__ == "__main__":
    main()
