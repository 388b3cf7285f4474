"""Rows of reports: of ``vqkit compare``, of ``vqkit study`` and of ``vqkit probe``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vqkit.errors import DataError
from vqkit.evaluation import MEASURES
from vqkit.results.result import Result, in_order, is_number, model_title, quantizer_title, recipe_of

Document = Mapping[str, Any]


def rows_of(file: Path, document: Document) -> Iterator[Result]:
    """The results in the document of a report; what failed in it is left out.

    Raises:
        DataError: a document that no report holds.
    """
    try:
        for key, read in KEYS.items():
            if key in document:
                yield from read(file, document)
                return
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{file}: not readable as the numbers of a report ({type(error).__name__}: {error}); make it again with: "
            f"{document.get('command', 'the same command')}"
        ) from error


def _rungs(file: Path, document: Document) -> Iterator[Result]:
    """Of ``compare``: a row for each rung, of images and sounds, or of vectors."""
    for of_seed, entry in _done(document, "rungs"):
        measures = _known(entry)
        if is_number(entry.get("latent_bits")):
            indices = is_number(entry.get("latent_entropy_bits"))
            names = ("latent_bits", "latent_entropy_bits") if indices else ("latent_float32_bits", "latent_bits")
            measures |= {"nominal_bits": entry[names[0]], "entropy_bits": entry[names[1]]}
        key, settings = str(entry.get("name", entry["key"])), document["settings"]
        codes = _codes(settings.get("codebook_size"), entry.get("num_codebooks")) if _coded(entry) else ""
        titles = {
            "ae": "Autoencoder",
            "quantized": "Quantized VAE",
            "vqvae": "VQ-VAE" if key == entry["key"] else "RQ-VAE",
        }
        title = titles.get(key, model_title(key))
        curve, name = _rate_curve(entry), str(entry["title"])
        yield _row(file, of_seed, name, measures, [entry["key"]], model=title, codebook=codes, curve=curve)


def _entries(file: Path, document: Document) -> Iterator[Result]:
    """Of ``study codebooks``: a row for each quantizer at each size; of ``beta`` and ``latents`` for each model."""
    for of_seed, entry in _done(document, "entries"):
        if "key" in entry:
            told = {"setting": str(entry["title"]), **({"beta": entry["beta"]} if "beta" in entry else {})}
            kind = "autoencoder" if entry["key"] == "ae" else "vae"
            yield _row(
                file, of_seed, told["setting"], _known(entry), [entry["key"]], model=model_title(kind), more=told
            )
            continue
        name, size = str(entry["name"]), entry["codebook_size"]
        kind, *options = name.split(":")
        title = ", ".join([quantizer_title({"quantizer": kind}), *options])
        called, identity = f"{name}, {size}", [name, size]
        yield _row(file, of_seed, called, _known(entry), identity, model="VQ-VAE", quantizer=title, codebook=str(size))


def _curves(file: Path, document: Document) -> Iterator[Result]:
    """Of ``study rate-distortion``: a row for each setting of each codec."""
    own = document.get("model") or {}
    for curve in document["curves"]:
        for point in curve["points"]:
            name, varies = str(curve["name"]), str(curve["varies"])
            value = point.get("value", point.get("rate_weight" if varies == "rate weight" else "codebooks"))
            mine = curve["kind"] == "model"
            codes = _codes(own.get("codebook_size"), own.get("num_codebooks")) if mine else ""
            identity = [name, own.get("digest"), varies, value]
            more = {"setting": "" if value is None else f"{varies} {value:g}"}
            title = name.replace("vqkit", str(own.get("name", "vqkit")), 1) if mine else name
            yield _row(file, document, name, _known(point), identity, model=title, codebook=codes, more=more)


def _labels(file: Path, document: Document) -> Iterator[Result]:
    """Of ``probe``: a row for each representation of each set of labels."""
    for labels in document["label_sets"]:
        for probe in labels["probes"]:
            more = {"labels": labels["name"], **{key: probe[key] for key in ("representation", "probe", "parts")}}
            measures = {"linear_probe_accuracy": probe["accuracy"]}
            identity = [probe["model"], *more.values()]
            name = str(probe["model"] or "none")
            yield _row(file, document, name, measures, identity, model=name, more=more)


KEYS: Mapping[str, Callable[[Path, Document], Iterator[Result]]] = {
    "rungs": _rungs,
    "entries": _entries,
    "curves": _curves,
    "label_sets": _labels,
}
"""What tells the documents of reports apart, and what reads each."""


def _done(document: Document, key: str) -> Iterator[tuple[Document, Document]]:
    """What is done in a list of a document; of several seeds once for each, with its numbers and its seed."""
    for entry in document[key]:
        if entry["status"] != "done":
            continue
        spread = entry.get("spread") or {}
        count = max((len(each["values"]) for each in spread.values()), default=0)
        seeds = entry.get("seeds") or document.get("seeds") or []
        if count < 2 or count != len(seeds):
            yield document, entry
            continue
        for place, seed in enumerate(seeds):
            of_seed = json.loads(json.dumps(entry))
            if "rate_curves" in entry:
                of_seed["rate_curve"] = entry["rate_curves"][place]
            for path, each in spread.items():
                *above, name = path.split(".")
                inner = of_seed
                for part in above:
                    inner = inner[part]
                inner[name] = each["values"][place]
            yield {**document, "settings": {**document["settings"], "seed": seed}}, of_seed


def _row(
    file: Path,
    document: Document,
    name: str,
    measures: Mapping[str, float],
    identity: list[Any],
    *,
    model: str,
    quantizer: str = "",
    codebook: str = "",
    more: Mapping[str, Any] | None = None,
    curve: tuple[Mapping[str, float], ...] = (),
) -> Result:
    data, settings = document["data"], document["settings"]
    counts = [data.get(key) for key in ("validation_items", "test_items", "images", "sounds")]
    seed = settings.get("seed", document.get("seed"))
    return Result(
        path=str(file),
        name=name,
        model=model,
        quantizer=quantizer,
        codebook=codebook,
        data=str(data["name"]),
        items=next((count for count in counts if isinstance(count, int)), None),
        seed=seed if isinstance(seed, int) else None,
        settings={**settings, **(more or {})},
        measures=in_order(measures),
        recipe=recipe_of(settings, identity, dict(more or {}), data.get("description")),
        curve=curve,
    )


def _rate_curve(entry: Document) -> tuple[Mapping[str, float], ...]:
    """The points of a rung: bits of an item, and the error there."""
    found = [
        {"entropy_bits": point["bits"], **{name: point[name] for name in ("psnr_db", "mse") if is_number(point[name])}}
        for point in entry.get("rate_curve") or []
    ]
    return tuple(found)


def _known(entry: Document) -> dict[str, float]:
    """The measures in an entry, by the names that they have everywhere."""
    found = {name: entry[name] for name in MEASURES if is_number(entry.get(name))}
    bound = entry.get("bits_per_dim_learned_prior") or entry.get("bits_per_dim")
    if isinstance(bound, Mapping) and is_number(bound.get("total")):
        found["bits_per_dim"] = bound["total"]
    return found


def _coded(entry: Document) -> bool:
    return entry.get("usage") is not None


def _codes(size: Any, count: Any) -> str:
    if not isinstance(size, int):
        return ""
    return f"{count}x{size}" if isinstance(count, int) and count > 1 else str(size)
