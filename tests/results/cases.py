"""Run folders written by hand, as a training leaves them, and documents held against their schemas."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from vqkit.results import schema
from vqkit.results.reports import KEYS, rows_of

STEPS = (10, 20, 30)


def evaluation(psnr_db: float, *, items: int = 20, **more: Any) -> dict[str, Any]:
    return {
        "items": items,
        "mse": 10 ** (-psnr_db / 10),
        "psnr_db": psnr_db,
        "ssim": 0.5,
        "usage": 0.75,
        "perplexity": 12.0,
        "codebook_size": 16,
        "positions": 4 * items,
        "rate": {"nominal_bits": 16.0 * items, "entropy_bits": 14.0 * items, "prior_bits": None},
        "bits_per_dim": {"rate": 0.25, "distortion": 4.0, "total": 4.25, "how": "uniform"},
        "rates": [{"unit": "bits per pixel", "nominal": 0.25, "entropy": 0.21875}],
        **more,
    }


def write_run(
    path: Path,
    *,
    seed: int = 0,
    psnrs: Sequence[float] = (10.0, 12.0, 13.0),
    finished: bool = True,
    data: str = "builtin:digits",
    model: dict[str, Any] | None = None,
    final: dict[str, Any] | None = None,
    **training: Any,
) -> Path:
    """A run of a small VQ-VAE with an evaluation at each of ``STEPS``."""
    config = {"model_type": "vqvae", "codebook_size": 16, "quantizer": "ema", "num_codebooks": 1, **(model or {})}
    run = {
        "vqkit": "0.1.0",
        "data": data,
        "fingerprint": data[-8:],
        "made_of": {"data": "00"},
        "model": config,
        "training": {"steps": STEPS[-1], "learning_rate": 1e-3, "seed": seed, **training},
    }
    path.mkdir(parents=True)
    (path / "run.json").write_text(json.dumps(run))
    lines: list[dict[str, Any]] = []
    for step, psnr_db in zip(STEPS, psnrs, strict=False):
        lines.append({"step": step, "kind": "train", "loss": 1 / step, "seconds": step / 10, "epoch": step / 5})
        lines.append({"step": step, "kind": "validation", **evaluation(psnr_db)})
    if finished:
        lines.append({"step": STEPS[-1], "kind": "final", **(evaluation(psnrs[-1]) if final is None else final)})
    (path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def seeds(folder: Path, count: int = 3, name: str = "ema", **more: Any) -> list[Path]:
    """Runs that differ by the seed, and by what comes of it."""
    return [
        write_run(folder / f"{name}{seed}", seed=seed, psnrs=(10 + seed, 12 + seed**2, 13 + seed), **more)
        for seed in range(count)
    ]


def strict(found: Any) -> Any:
    """A schema that allows no keys but those that it says."""
    if isinstance(found, dict):
        closed = {} if "properties" not in found or "additionalProperties" in found else {"additionalProperties": False}
        return {**{name: strict(each) for name, each in found.items()}, **closed}
    return [strict(each) for each in found] if isinstance(found, list) else found


def check(name: str, document: Any) -> None:
    """Hold a document against its schema; a key that the schema does not know is an error here."""
    found = list(Draft202012Validator(strict(copy.deepcopy(schema(name)))).iter_errors(document))
    told = "; ".join(f"{'.'.join(map(str, each.path))}: {each.message[:200]}" for each in found[:5])
    if any(key in document for key in KEYS):
        rows = list(rows_of(Path(f"{name}.json"), document))
        assert rows
        assert all(row.measures and row.data for row in rows)
    assert not found, f"src/vqkit/results/schemas/{name}.schema.json does not describe it (then make tables): {told}"
