"""A result: what was measured of one model on one set, and the recipe that it is the outcome of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from vqkit.evaluation import MEASURES

_MODELS = {
    "pca": "PCA",
    "autoencoder": "Autoencoder",
    "vae": "VAE",
    "vqvae": "VQ-VAE",
    "pq": "PQ",
    "opq": "OPQ",
    "rq": "RQ",
    "pixelcnn": "Gated PixelCNN",
    "transformer": "Transformer",
    "masked": "MaskGIT",
    "next_scale": "Next-scale prior",
    "context": "Context prior",
    "histogram": "Histogram",
    "pixels": "Pixel prior",
}
_QUANTIZERS = {"ema": "EMA", "gradient": "Gradient", "simvq": "SimVQ", "gumbel": "Gumbel"}
"""Names as a paper writes them; of others the name itself, of three letters (FSQ, LFQ) in capitals."""
_COUNTS = frozenset(
    ("step", "items", "of", "positions", "codebook_size", "latent_numbers", "seconds", "psnr_peak", "delay", "duration")
)
"""Numbers in an evaluation that are no measures of quality."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured of one model on one set.

    Attributes:
        path: where it was read.
        name: of the run, or of the row in a report.
        model: its class, as a paper writes it.
        quantizer: of a model with a codebook, as a paper writes it; "" of others.
        codebook: number of codes, ``"8x256"`` of several codebooks; "" without one.
        data: name of the set.
        items: that were judged; None where it is not said.
        seed: of the training; None where it is not said.
        settings: of model and training, by name.
        measures: numbers by the names of ``vqkit.evaluation.MEASURES``, or by the trainable's own.
        recipe: all that the result depends on but the seed: what agrees in it is the same, done again.
        curve: further points of rate and error, each by the names of measures.

    Example:
        >>> from vqkit.results import Result
        >>> Result(path="runs/a", name="a", model="PCA", data="digits", measures={"psnr_db": 15.0}).seed is None
        True
    """

    path: str
    name: str
    model: str
    data: str
    measures: Mapping[str, float]
    quantizer: str = ""
    codebook: str = ""
    items: int | None = None
    seed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""
    curve: tuple[Mapping[str, float], ...] = ()


def model_title(model_type: str) -> str:
    """Return the name of a class of models as a paper writes it."""
    return _MODELS.get(model_type, model_type)


def quantizer_title(config: Mapping[str, Any]) -> str:
    """Return the name of the quantizer in a model's config, its stacking included: "residual EMA"."""
    found = config.get("quantizer")
    name = found.get("type", "") if isinstance(found, Mapping) else found
    if not isinstance(name, str):
        return ""
    title = _QUANTIZERS.get(name, name.upper() if len(name) == 3 else name)
    several = isinstance(config.get("num_codebooks"), int) and config["num_codebooks"] > 1
    return f"{config.get('stacking', 'product')} {title}" if title and several else title


def codebook_title(config: Mapping[str, Any]) -> str:
    """Return the codes of a model's config: "512", or "8x256" of several codebooks."""
    size, count = config.get("codebook_size"), config.get("num_codebooks", 1)
    if not isinstance(size, int):
        return ""
    return f"{count}x{size}" if isinstance(count, int) and count > 1 else str(size)


def data_title(recorded: str) -> str:
    """Return the short name of recorded data: "photos" of "/home/me/photos" and of "builtin:photos"."""
    if ": " in recorded:  # described, since it was given without a name
        return recorded.partition(": ")[2]
    return PurePath(recorded.rstrip("/\\").rpartition(":")[2]).name or recorded


def without_seeds(value: Any) -> Any:
    """Return a config without what is called "seed", anywhere in it."""
    if isinstance(value, Mapping):
        return {name: without_seeds(each) for name, each in value.items() if name != "seed"}
    return [without_seeds(each) for each in value] if isinstance(value, list | tuple) else value


def recipe_of(*parts: Any) -> str:
    """Return the text by which results are told apart that differ in more than the seed."""
    return json.dumps([without_seeds(part) for part in parts], sort_keys=True, default=str)


def measures_in(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the measures in an evaluation, as ``vqkit eval --json`` and the last line of a log have it.

    Bits are those of an item on average; of neighbours and ids of vectors those of all codebooks.
    """
    found = {name: value for name, value in values.items() if name not in _COUNTS and is_number(value)}
    items, rate, bound = values.get("items"), values.get("rate"), values.get("bits_per_dim")
    if isinstance(rate, Mapping) and isinstance(items, int) and items > 0:
        for name in ("nominal_bits", "entropy_bits", "prior_bits"):
            if is_number(rate.get(name)):
                found[name] = rate[name] / items
    if isinstance(bound, Mapping) and is_number(bound.get("total")):
        found["bits_per_dim"] = bound["total"]
    rates = values.get("rates")
    last = rates[-1] if isinstance(rates, list | tuple) and rates else None
    if isinstance(last, Mapping) and is_number(last.get("entropy")):
        units = {"bits per pixel": "entropy_bits_per_pixel", "kbps": "entropy_kbps"}
        found |= {units[unit]: last["entropy"] for unit in units if unit == last.get("unit")}
    neighbors, ids = values.get("neighbors"), values.get("ids")
    if isinstance(neighbors, Mapping) and isinstance(neighbors.get("asymmetric"), Mapping):
        found |= {f"recall_{at}": value for at, value in neighbors["asymmetric"].items() if is_number(value)}
    if isinstance(ids, list) and ids and isinstance(ids[-1], Mapping) and is_number(ids[-1].get("collision_rate")):
        found["collision_rate"] = ids[-1]["collision_rate"]
    return in_order(found)


def in_order(measures: Mapping[str, float]) -> dict[str, float]:
    """Return measures in the order of ``MEASURES``, then the others."""
    known = {name: float(measures[name]) for name in MEASURES if name in measures}
    return {**known, **{name: float(value) for name, value in measures.items() if name not in known}}


def is_number(value: Any) -> bool:
    """Return True for a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def short_path(path: Path) -> str:
    """Return the last part of a path that names something."""
    return path.name or path.resolve().name or str(path)
