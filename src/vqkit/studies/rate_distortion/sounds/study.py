"""``study rate-distortion`` of a model of sound: its own files beside Opus, MP3 and Vorbis, quality over kbps."""

from __future__ import annotations

import datetime
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqkit._version import __version__
from vqkit.codec.entropy.models import EntropyModel
from vqkit.data import Source
from vqkit.data.identity import content_fingerprint
from vqkit.errors import ConfigError, DataError
from vqkit.models import VQVAE
from vqkit.models.matching import in_channels
from vqkit.models.rates.rate import rate_of
from vqkit.pictures import before_after_sheet
from vqkit.pretrained.folder import content_hash
from vqkit.provenance import made_by
from vqkit.signals.wav import write_wav
from vqkit.storage import atomic
from vqkit.studies.rate_distortion.bench import Bench
from vqkit.studies.rate_distortion.measures import Measure, MeasureLog
from vqkit.studies.rate_distortion.sounds.codecs import Samples, SoundCodec, matched, sound_codecs
from vqkit.studies.rate_distortion.sounds.measures import delay_of, sound_point, sound_qualities
from vqkit.studies.rate_distortion.sounds.report import write_report
from vqkit.studies.rate_distortion.sounds.settings import SoundRateDistortionConfig
from vqkit.studies.report.pictures import save
from vqkit.studies.resumable import claim
from vqkit.studies.seen import shown as pictured

Say = Callable[[str], None]
Found = dict[tuple[str, Any], list[Measure]]
"""Measurements in the order of the sounds, by codec (``model``) and setting."""
MODEL = "vqkit"


def study_sounds(
    source: Source,
    model: VQVAE,
    path: Path,
    entropy: EntropyModel,
    beside: list[EntropyModel],
    config: SoundRateDistortionConfig,
    *,
    name: str,
    command: str,
    say: Say,
) -> dict[str, Any]:
    """Compress every sound with a model at each number of codebooks, and with other codecs; write one report.

    Args:
        source: the sounds.
        model: the tokenizer.
        path: folder for the report and its numbers.
        entropy: codes the indices.
        beside: what they are counted under besides.
        config: the settings.
        name: of the model.
        command: what the report says it was made with.
        say: told what is going on.

    Returns:
        What ``rate-distortion.json`` holds.

    Raises:
        ConfigError: settings or a model that do not work.
        DataError: data that the model does not read.
        MissingExtraError: soundfile, or soxr where a codec needs another rate, is not installed.
    """
    rate = model.kind.rate
    if rate is None:
        raise ConfigError("the model's sounds have no sample rate, so that no file has kbps: train on sound@16000, say")
    source = in_channels(model, source)
    counts = config.model_codebooks(model)
    codecs, missing = sound_codecs(config.codec_values, model.channels)
    bench = Bench(model, entropy, beside)
    identity = {"model": content_hash(model), "prior": bench.about_entropy, "data": content_fingerprint(source)}
    claim(path, {}, source, identity, "a study of rate and distortion", say)
    number = min(len(source), config.items or len(source))
    log = MeasureLog(path / "measures.jsonl")
    study = _Study(bench, codecs, source, rate, config.seconds)
    found, seconds = study.measured(counts, number, log, say)
    curves = _curves(model, counts, codecs, found)
    shown = study.show(curves, config, number, path) if config.shown else []
    document = {
        "vqkit": __version__,
        "command": command,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "data": {
            "name": Path(source.name).name,
            "description": source.describe(),
            "items": len(source),
            "sounds": number,
            "seconds": seconds,
            "rate": rate,
        },
        "model": {
            "name": name,
            "digest": identity["model"],
            "codebook_size": model.codebook_size,
            "num_codebooks": model.num_codebooks,
            "downsampling": model.downsampling,
            "prior": entropy.kind,
        },
        "settings": config.as_dict(),
        "machine": f"torch {torch.__version__}, {model.device.type}",
        "made_by": made_by(),
        "curves": curves,
        "missing": missing,
        "left_out": [],
        "shown": shown,
    }
    atomic.write_json(path / "rate-distortion.json", document)
    write_report(document, path / "sounds", path / "report.html")
    return document


class _Study:
    """The sounds, and every way of making files of them."""

    def __init__(
        self, bench: Bench, codecs: Sequence[SoundCodec], source: Source, rate: int, seconds: float | None
    ) -> None:
        self.bench, self.codecs, self.source, self.rate = bench, codecs, source, rate
        self.length = None if seconds is None else max(1, round(seconds * rate))

    def sound(self, number: int) -> Samples:
        """One sound, or its beginning."""
        kept = np.asarray(self.source.read(number), dtype=np.float32)[:, : self.length]
        return np.ascontiguousarray(kept)

    def by_model(self, samples: Samples, codebooks: int) -> tuple[bytes, Samples, dict[str, float]]:
        """The file of one sound, what it decodes to, and its bits by name."""
        data, decoded, bits = self.bench.coded(samples, (codebooks, None))  # type: ignore[arg-type]
        return data, np.asarray(decoded, dtype=np.float32), bits

    def by_codec(self, codec: SoundCodec, samples: Samples, value: float) -> tuple[bytes, Samples]:
        """The file of one sound, and what it decodes to, aligned."""
        data = codec.encode(samples, self.rate, value)
        decoded, own = codec.decode(data)
        if len(decoded) != len(samples):
            raise DataError(f"{codec.name}: a sound of {len(samples)} channels came back with {len(decoded)}")
        late = partial(delay_of, samples, rate=self.rate)
        return data, matched(samples, decoded, self.rate, own, lambda back: late(back))

    def model_measure(self, samples: Samples, codebooks: int) -> dict[str, Any]:
        """One sound as one file of the model."""
        data, decoded, bits = self.by_model(samples, codebooks)
        return {**self._measure(samples, data, decoded), "bits": bits}

    def codec_measure(self, codec: SoundCodec, samples: Samples, value: float) -> dict[str, Any]:
        """One sound as one file of a codec."""
        return self._measure(samples, *self.by_codec(codec, samples, value))

    def _measure(self, samples: Samples, data: bytes, decoded: Samples) -> dict[str, Any]:
        seconds = samples.shape[1] / self.rate
        return {"bytes": len(data), "seconds": seconds, "quality": sound_qualities(samples, decoded, self.rate)}

    def measured(self, counts: Sequence[int], number: int, log: MeasureLog, say: Say) -> tuple[Found, float]:
        """All measurements, in the order of the sounds, and their seconds; those in the log are not made again."""
        files = len(counts) + sum(len(codec.values) for codec in self.codecs)
        say(f"{number:,} sounds, each as {files} files of the model and of {len(self.codecs)} other codecs")
        found: Found = {}
        began, made, seconds = time.monotonic(), 0, 0.0
        for place in range(number):
            samples = self.sound(place)
            seconds += samples.shape[1] / self.rate
            which, new = [place, zlib.crc32(samples.tobytes())], False
            for count in counts:
                key = ["model", count, *which]
                new |= key not in log
                measure = log.measured(key, partial(self.model_measure, samples, count))
                found.setdefault(("model", count), []).append(measure)
            for codec in self.codecs:
                for value in codec.values:
                    key = [codec.name, codec.about, value, *which]
                    new |= key not in log
                    measure = log.measured(key, partial(self.codec_measure, codec, samples, value))
                    found.setdefault((codec.name, value), []).append(measure)
            if new:
                made += 1
                left = (time.monotonic() - began) / made * (number - place - 1)
                say(f"sound {place + 1:,} of {number:,}, about {left / 60:.1f} minutes left")
        return found, seconds

    def show(
        self, curves: Sequence[Mapping[str, Any]], config: SoundRateDistortionConfig, number: int, path: Path
    ) -> list[dict[str, Any]]:
        """Write the first sounds at about equal rates, as WAV files and a sheet of spectrograms each."""
        own = next(curve for curve in curves if curve["kind"] == "model")["points"]
        wanted = config.shown_kbps or own[-1]["kbps"]
        shown = []
        (path / "sounds").mkdir(exist_ok=True)
        for place in range(min(config.shown, number)):
            samples, rows, pictures = self.sound(place), [], []
            takes: list[tuple[str, Samples, float | None]] = [("original", samples, None)]
            for curve in curves:
                near = min(curve["points"], key=lambda each: abs(np.log(each["kbps"] / wanted)))
                if curve["kind"] == "model":
                    data, decoded, _ = self.by_model(samples, near["codebooks"])
                else:
                    codec = next(each for each in self.codecs if each.name == curve["name"])
                    data, decoded = self.by_codec(codec, samples, near["value"])
                takes.append((curve["name"], decoded, 8 * len(data) * self.rate / samples.shape[1] / 1000))
            for name, take, kbps in takes:
                file = f"{place}-{name.lower()}.wav"
                write_wav(path / "sounds" / file, take, self.rate, durable=False, made="decoded")
                said = name if kbps is None else f"{name}, {kbps:.1f} kbps"
                rows.append({"name": said, "file": file})
                pictures.append((said, pictured(self.bench.model.kind, [torch.from_numpy(take)])))
            save(before_after_sheet(pictures), path / "sounds" / f"{place}.png")
            shown.append({"sheet": f"{place}.png", "sounds": rows})
        return shown


def _curves(model: VQVAE, counts: Sequence[int], codecs: Sequence[SoundCodec], found: Found) -> list[dict[str, Any]]:
    points = [
        {"codebooks": count, "nominal_kbps": rate_of(model, count).nominal, **sound_point(found["model", count])}
        for count in counts
    ]
    about = "the first codebooks of the stack" if len(counts) > 1 else "as trained"
    curves = [{"name": MODEL, "kind": "model", "about": about, "varies": "codebooks", "points": points}]
    for codec in codecs:
        own = [{"value": value, **sound_point(found[codec.name, value])} for value in codec.values]
        curves.append(
            {"name": codec.name, "kind": "codec", "about": codec.about, "varies": codec.setting, "points": own}
        )
    return curves
