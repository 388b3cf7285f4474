"""Rows of reports: of ``vqkit compare``, of ``vqkit study`` and of ``vqkit probe``."""

from __future__ import annotations

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
    for entry in document["rungs"]:
        if entry["status"] != "done":
            continue
        measures = _known(entry)
        if is_number(entry.get("latent_bits")):
            indices = is_number(entry.get("latent_entropy_bits"))
            names = ("latent_bits", "latent_entropy_bits") if indices else ("latent_float32_bits", "latent_bits")
            measures |= {"nominal_bits": entry[names[0]], "entropy_bits": entry[names[1]]}
        key, settings = str(entry.get("name", entry["key"])), document["settings"]
        codes = _codes(settings.get("codebook_size"), entry.get("num_codebooks")) if _coded(entry) else ""
        titles = {"ae": "Autoencoder", "vqvae": "VQ-VAE" if key == entry["key"] else "RQ-VAE"}
        title = titles.get(key, model_title(key))
        curve, name = _rate_curve(entry), str(entry["title"])
        yield _row(file, document, name, measures, [entry["key"]], model=title, codebook=codes, curve=curve)


def _entries(file: Path, document: Document) -> Iterator[Result]:
    """Of ``study codebooks``: a row for each quantizer at each size."""
    for entry in document["entries"]:
        if entry["status"] != "done":
            continue
        name, size = str(entry["name"]), entry["codebook_size"]
        kind, *options = name.split(":")
        title = ", ".join([quantizer_title({"quantizer": kind}), *options])
        called, identity = f"{name}, {size}", [name, size]
        yield _row(file, document, called, _known(entry), identity, model="VQ-VAE", quantizer=title, codebook=str(size))


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
