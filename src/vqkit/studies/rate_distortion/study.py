"""``study rate-distortion``: a model's own files beside JPEG, WebP, AVIF and others: quality over bits per pixel."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqkit._version import __version__
from vqkit.codec import entropy_model, known_priors
from vqkit.codec.entropy.models import EntropyModel
from vqkit.data import Source
from vqkit.data.identity import content_fingerprint
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation import bd_rate
from vqkit.evaluation.ms_ssim import WEIGHTS, scales
from vqkit.generation import check_pair
from vqkit.models import VQVAE
from vqkit.models.matching import in_channels, open_source
from vqkit.pretrained.folder import content_hash
from vqkit.priors import Prior, load_prior
from vqkit.provenance import made_by
from vqkit.storage import atomic
from vqkit.studies.alone import alone
from vqkit.studies.rate_distortion.bench import Bench, Found, image, measured
from vqkit.studies.rate_distortion.image_codecs import ImageCodec, Pixels, image_codecs
from vqkit.studies.rate_distortion.measures import MeasureLog, point
from vqkit.studies.rate_distortion.report import write_report
from vqkit.studies.rate_distortion.settings import ModelSetting, RateDistortionConfig, trained_weight
from vqkit.studies.rate_distortion.sheet import Shown, shown_sheet
from vqkit.studies.rate_distortion.sounds.settings import SoundRateDistortionConfig
from vqkit.studies.rate_distortion.sounds.study import study_sounds
from vqkit.studies.report.pictures import save
from vqkit.studies.resumable import claim
from vqkit.training.trainable import load_trained

NONE = "none"
ANCHOR = "JPEG"
QUALITIES = ("psnr_db", "psnr_item_mean_db", "ms_ssim_db")


@dataclass(frozen=True)
class RateDistortionStudy:
    """Result of a rate-distortion study: the folder, its report, and all numbers."""

    path: Path
    report: Path
    document: dict[str, Any]


@alone
def rate_distortion(
    data: Any,
    model: VQVAE | str | Path,
    out: str | Path,
    *,
    prior: Prior | str | Path | None = None,
    config: RateDistortionConfig | SoundRateDistortionConfig | None = None,
    command: str = "",
    loaded: VQVAE | None = None,
    say: Callable[[str], None] | None = None,
    **settings: Any,
) -> RateDistortionStudy:
    """Compress every image (or sound) with a model at many settings, and with other codecs; write one report.

    Every number comes from a whole file, headers included, that was really written and decoded. Each measurement is
    kept in ``out`` as it is made: the same call goes on where an interrupted one stopped, and a call with more images
    or settings makes only those that are new.

    Args:
        data: a source of images or sounds, or whatever ``load_source`` takes.
        model: the tokenizer, or its run or model folder.
        out: folder for the report and its numbers; new, or of the same model, prior and images.
        prior: what codes the indices; None: the best that lies in the model's folder; ``"none"``: nothing.
        config: all settings at once, or give single ``settings`` of ``RateDistortionConfig`` (of sound
            ``SoundRateDistortionConfig``) by name.
        command: what the report says it was made with.
        loaded: the model of the folder ``model``, where it is loaded already (on another device, say).
        say: told what is going on; None is silent.

    Raises:
        ConfigError: settings, a model or a folder that do not work.
        DataError: data that cannot be read, or that the model does not read.

    Example:
        >>> import vqkit
        >>> vqkit.rate_distortion("photos/", "runs/mine", "runs/rates")  # doctest: +SKIP
    """
    if config is not None and settings:
        raise ConfigError(f"give config or single settings ({', '.join(settings)}), not both")
    say = say or (lambda _: None)
    tokenizer = model if isinstance(model, VQVAE) else loaded or _loaded(model)
    kind = config_class(tokenizer)
    config = config or kind.from_dict(settings)
    if not isinstance(config, kind):
        raise ConfigError(f"config is a {type(config).__name__}; of {tokenizer.kind.noun[1]} give a {kind.__name__}")
    source = open_source(tokenizer, data)
    check_images(source, tokenizer)
    entropy, beside = _entropies(tokenizer, None if isinstance(model, VQVAE) else model, prior)
    path = Path(out)
    if isinstance(config, SoundRateDistortionConfig):
        name = "model" if isinstance(model, VQVAE) else Path(model).name
        words = command or _as_command(data, model, out, config)
        document = study_sounds(source, tokenizer, path, entropy, beside, config, name=name, command=words, say=say)
        return RateDistortionStudy(path, path / "report.html", document)
    curves = config.model_curves(tokenizer, prior=entropy.kind != "uniform")
    bench = Bench(tokenizer, entropy, beside, config.optimize)
    for setting in (each for one in curves.values() for each in one):
        bench.compressor(setting)  # what does not work is said before anything is made
    codecs, missing = image_codecs(config.codec_values, tokenizer.channels)
    identity = {
        "model": content_hash(tokenizer),
        "prior": bench.about_entropy,
        "counted beside": " ".join(f"{each.kind} {each.digest.hex()}".strip() for each in beside),
        "data": content_fingerprint(source),
    }
    claim(path, {}, source, identity, "a study of rate and distortion", say)
    count = min(len(source), config.images or len(source))
    log = MeasureLog(path / "measures.jsonl")
    found = measured(bench, curves, codecs, source, count, log, say)
    named = {**_model_curves(curves, found), **_codec_curves(codecs, found)}
    left_out = _drop_whole_chroma(named, config.low_rate)
    picture = _picture(bench, named, codecs, source, count, config, path) if config.shown else None
    fewest = min(scales(*source.item_size(number)) for number in range(count))
    document = {
        "vqkit": __version__,
        "command": command or _as_command(data, model, out, config),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "data": {
            "name": Path(source.name).name,
            "description": source.describe(),
            "items": len(source),
            "images": count,
            "pixels": sum(int(np.prod(source.item_size(number))) for number in range(count)),
            "rounded_to_8_bits": source.dtype != np.uint8,
        },
        "model": {
            "name": "model" if isinstance(model, VQVAE) else Path(model).name,
            "digest": identity["model"],
            "codebook_size": tokenizer.codebook_size,
            "num_codebooks": tokenizer.num_codebooks,
            "downsampling": tokenizer.downsampling,
            "trained_rate_weight": trained_weight(tokenizer),
            "prior": entropy.kind,
        },
        "settings": config.as_dict(),
        "machine": f"torch {torch.__version__}, {tokenizer.device.type}",
        "made_by": made_by(),
        "ms_ssim_scales": {"most": len(WEIGHTS), "fewest": fewest},
        "curves": [{"name": name, **curve} for name, curve in named.items()],
        "missing": missing,
        "left_out": left_out,
        "bd_rates": bd_rates(named, config.low_rate),
        "pictures": {"shown": picture} if picture else {},
    }
    atomic.write_json(path / "rate-distortion.json", document)
    report = path / "report.html"
    write_report(document, path / "pictures", report)
    return RateDistortionStudy(path, report, document)


def check_images(source: Source, model: VQVAE) -> None:
    """Raise unless these are images, or sounds, that the model reads.

    Raises:
        ConfigError: a model of other signals than images and sounds.
        DataError: other signals, or another number of channels.
    """
    if "sound" in model.kind.measures:
        in_channels(model, source)
        return
    if not model.kind.converts:
        raise ConfigError(f"this model reads signals of axes={model.axes}; give one of images (axes=2), as codecs are")
    if not source.kind.converts:
        raise DataError(f"{source.describe()}: a study of rate and distortion needs images")
    if source.channels != model.channels:
        raise DataError(
            f"{source.describe()}: channels={source.channels}, and the model reads channels={model.channels}; give "
            "images of so many, or another model"
        )


def config_class(model: VQVAE) -> type[RateDistortionConfig] | type[SoundRateDistortionConfig]:
    """Return the class of the settings of a study of this model."""
    return SoundRateDistortionConfig if "sound" in model.kind.measures else RateDistortionConfig


def bd_rates(curves: Mapping[str, Mapping[str, Any]], low_rate: float) -> list[dict[str, Any]]:
    """The BD-rate of every curve against JPEG, in %, for every measure of quality; None without a common range."""
    if ANCHOR not in curves:
        return []
    found = []
    for name, curve in curves.items():
        if name == ANCHOR:
            continue
        for quality in QUALITIES:
            anchor, own = (
                [(each["bits_per_pixel"], each[quality]) for each in one["points"]] for one in (curves[ANCHOR], curve)
            )
            entry: dict[str, Any] = {"curve": name, "quality": quality}
            for suffix, highest in (("", float("inf")), ("_low", low_rate)):
                pchip = bd_rate(anchor, own, highest_rate=highest)
                cubic = bd_rate(anchor, own, method="cubic", highest_rate=highest)
                entry[f"percent{suffix}"] = None if pchip is None else pchip.percent
                entry[f"cubic_percent{suffix}"] = None if cubic is None else cubic.percent
                entry[f"range{suffix}"] = None if pchip is None else [pchip.low, pchip.high]
            found.append(entry)
    return found


def _loaded(model: str | Path) -> VQVAE:
    found = load_trained(model)
    if not isinstance(found, VQVAE):
        raise ConfigError(f"{model}: this study needs a model with a codebook, not {type(found).__name__}")
    return found


def _entropies(
    model: VQVAE, name: str | Path | None, prior: Prior | str | Path | None
) -> tuple[EntropyModel, list[EntropyModel]]:
    """Return the entropy model that codes the indices, and those they are counted under."""
    known = {} if name is None else known_priors(name, model)
    if prior is None and known:
        prior = next(iter(known.values()))
    if prior == NONE:
        prior = None
    opened = prior if prior is None or isinstance(prior, Prior) else load_prior(prior)
    if opened is not None:
        check_pair(model, opened.to(model.device))
    entropy = entropy_model(opened, model.codebook_size)
    beside = [] if entropy.kind == "uniform" else [entropy_model(None, model.codebook_size)]
    if entropy.kind == "context" and "histogram" in known:
        beside.append(entropy_model(load_prior(known["histogram"]), model.codebook_size))
    return entropy, beside


def _model_curves(curves: Mapping[str, Sequence[ModelSetting]], found: Found) -> dict[str, dict[str, Any]]:
    named = {}
    for varies, settings in curves.items():
        points = [
            {"codebooks": codebooks, "rate_weight": weight, **point(found["model", (codebooks, weight)])}
            for codebooks, weight in settings
        ]
        name = "vqkit" if len(curves) == 1 else f"vqkit, {varies}"
        about = {"rate weight": "all codebooks, several rate weights", "codebooks": "the first codebooks of the stack"}
        named[name] = {"kind": "model", "about": about.get(varies, varies), "varies": varies, "points": points}
    return named


def _codec_curves(codecs: Sequence[ImageCodec], found: Found) -> dict[str, dict[str, Any]]:
    return {
        codec.name: {
            "kind": "codec",
            "about": codec.about,
            "varies": codec.setting,
            "points": [{"value": value, **point(found[codec.name, value])} for value in codec.values],
        }
        for codec in codecs
    }


def _drop_whole_chroma(curves: dict[str, dict[str, Any]], low_rate: float) -> list[str]:
    """Take JPEG with whole chroma out of the curves unless it is better than the other at a low rate."""
    whole = "JPEG 4:4:4"
    if whole not in curves:
        return []
    for quality in ("psnr_db", "ms_ssim_db"):
        halved = sorted((each["bits_per_pixel"], each[quality]) for each in curves[ANCHOR]["points"])
        rates, levels = (np.array(each) for each in zip(*halved, strict=True))
        for each in curves[whole]["points"]:
            rate = each["bits_per_pixel"]
            if rates[0] <= rate <= low_rate and each[quality] > np.interp(np.log(rate), np.log(rates), levels):
                return []
    del curves[whole]
    return [f"{whole}: at no rate up to {low_rate:g} bits per pixel better than {ANCHOR} with halved chroma (4:2:0)."]


def _picture(
    bench: Bench,
    curves: Mapping[str, Mapping[str, Any]],
    codecs: Sequence[ImageCodec],
    source: Source,
    count: int,
    config: RateDistortionConfig,
    path: Path,
) -> str:
    """The first images at about equal bits per pixel: the original, the model, JPEG and WebP, as crops."""
    points = [each for curve in curves.values() if curve["kind"] == "model" for each in curve["points"]]
    near = min(points, key=lambda each: abs(np.log(each["bits_per_pixel"] / config.shown_rate)))
    setting = (near["codebooks"], near["rate_weight"])
    rows = []
    for number in range(min(config.shown, count)):
        pixels = image(source, number)
        data, decoded, _ = bench.coded(pixels, setting)
        row = [Shown("original", pixels, None), Shown("vqkit", decoded, len(data))]
        for codec in codecs:
            if codec.name in ("JPEG", "WebP"):
                file = nearest_file(codec, pixels, len(data))
                row.append(Shown(codec.name, codec.decode(file, len(pixels)), len(file)))
        rows.append(row)
    save(shown_sheet(rows, config.crop), path / "pictures" / "shown.png")
    return "shown.png"


def nearest_file(codec: ImageCodec, pixels: Pixels, wanted: int) -> bytes:
    """The file of about so many bytes, by halving the range of whole qualities 1 to 100."""
    low, high = 1, 100
    while high - low > 1:
        middle = (low + high) // 2
        if len(codec.encode(pixels, middle)) > wanted:
            high = middle
        else:
            low = middle
    return min((codec.encode(pixels, each) for each in (low, high)), key=lambda file: abs(len(file) - wanted))


def _as_command(
    data: Any, model: VQVAE | str | Path, out: str | Path, config: RateDistortionConfig | SoundRateDistortionConfig
) -> str:
    """The command that makes the same study."""
    name = str(data) if isinstance(data, (str, Path)) else "DATA"
    run = "RUN" if isinstance(model, VQVAE) else str(model)
    parts = [
        "vqkit study rate-distortion",
        shlex.quote(name),
        "--model",
        shlex.quote(run),
        "--out",
        shlex.quote(str(out)),
    ]
    standard = type(config)().as_dict()
    for field, value in config.as_dict().items():
        if value != standard[field]:
            parts += ["--set", shlex.quote(f"{field}={json.dumps(value)}")]
    return " ".join(parts)
