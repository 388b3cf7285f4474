"""``study latents``: the plane of two latent numbers decoded, autoencoder beside VAE, the data's latents over it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from vqkit.chance import normal
from vqkit.data import evaluation_batches
from vqkit.errors import ConfigError
from vqkit.evaluation import evaluate
from vqkit.models import VAE, Autoencoder, Model
from vqkit.pictures import to_uint8
from vqkit.signals import Signal
from vqkit.storage import atomic
from vqkit.studies.alone import alone
from vqkit.studies.images import Images, gathered, gathered_labels
from vqkit.studies.ladder.measures import decoded, encoded
from vqkit.studies.latents.picture import DecodedPlane, planes_picture
from vqkit.studies.latents.plane import MOST_SAMPLES, Plane, cell_centers, holes, holes_in_order, item_counts
from vqkit.studies.latents.report import write_report
from vqkit.studies.latents.settings import MODELS, LatentsConfig
from vqkit.studies.latents.story import claims, not_settled
from vqkit.studies.opening import as_command, head, opened, settings_of, with_first_seed
from vqkit.studies.report.pictures import save
from vqkit.studies.resumable import keep_error, known, seconds_trained, trained
from vqkit.studies.seen import shown as pictured
from vqkit.studies.spread import merged

_KEPT = "plane.safetensors"


@dataclass(frozen=True)
class LatentsStudy:
    """Result of a study of latents: the folder, its report, and all numbers."""

    path: Path
    report: Path
    document: dict[str, Any]


@alone
def study_latents(
    data: Any,
    out: str | Path,
    *,
    config: LatentsConfig | None = None,
    seeds: Sequence[int] = (),
    command: str = "",
    say: Callable[[str], None] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> LatentsStudy:
    """Train an autoencoder and a VAE of two latent numbers, and decode the plane that each is sampled from.

    Nothing tells the autoencoder where to put its latents, so a sample from the Gaussian that is fitted to them
    afterwards may fall where there are none, and what is decoded there need not look like the data. The VAE's KL term
    fills the plane. The report shows both on the same axes with the data's latents over them, and counts the holes.

    Args:
        data: a source, or whatever ``load_source`` takes; images or sounds.
        out: folder for the report, its numbers and both runs; new, or of the same study.
        config: all settings at once, or give single ``settings`` of ``LatentsConfig`` by name.
        seeds: train with each of these, on the same split: measures are means, with deviations; pictures are those of
            the first. Further ones can be added to a study that is done.
        command: what the report says it was made with.
        say: told what is going on; None is silent.
        quiet: show no progress of the trainings.

    Raises:
        ConfigError: settings or a folder that do not work, or both trainings failed.
        DataError: data that cannot be read.

    Example:
        >>> import vqkit
        >>> vqkit.study_latents("photos/", "runs/latents", steps=2000)  # doctest: +SKIP
    """
    say = say or (lambda _: None)
    path = Path(out)
    config, seeds = with_first_seed(settings_of(LatentsConfig, config, settings), seeds)
    config, images = opened(data, path, config, say)
    bench = _Bench(config, images, path, say, quiet)
    benches = [bench, *(bench.of_seed(seed) for seed in seeds[1:])]
    found = [merged([each.entry(key) for each in benches], seeds) for key in MODELS]
    done = [each for each in found if each["status"] == "done"]
    if not done:
        raise ConfigError(f"every training failed; the first: {found[0]['error']}")
    document = {
        **head(command or as_command("vqkit study latents", data, out, config, seeds), config, seeds, images),
        "entries": found,
        "claims": claims(found),
        "note": not_settled(found, config.reach),
        "pictures": bench.pictures(done),
    }
    atomic.write_json(path / "latents.json", document)
    report = path / "report.html"
    write_report(document, path / "pictures", report)
    return LatentsStudy(path, report, document)


@dataclass
class _Bench:
    """Parts that both trainings of the study share."""

    config: LatentsConfig
    images: Images
    path: Path
    say: Callable[[str], None]
    quiet: bool
    split_seed: int | None = None

    def of_seed(self, seed: int) -> _Bench:
        """The same with another seed, on the same split, in a folder of its own."""
        config, path = replace(self.config, seed=seed), self.path / "seeds" / str(seed)
        return replace(self, config=config, path=path, split_seed=self.config.seed)

    def entry(self, key: str) -> dict[str, Any]:
        """One entry of the report: from its file when it is done, else trained and judged now."""
        title, file = MODELS[key], self.path / f"{key}.json"
        found = known(file)
        if found is not None:
            self.say(f"{self._named(title)}: done before")
            return found
        self.say(f"{self._named(title)}: training")
        entry: dict[str, Any] = {"key": key, "title": title, "error": None}
        try:
            entry |= {"status": "done", **self._judged(key, self.path / key)}
        except Exception as error:  # noqa: BLE001  (whatever it is: the other stands)
            self.say(f"{self._named(title)}: failed: {error}")
            return {**entry, "status": "failed", "error": keep_error(self.path / key, error)}
        atomic.write_json(file, entry)
        self.say(f"{self._named(title)}: SNR {entry['snr_db']:.2f} dB, {entry['empty_mass']:.1%} of the plane is empty")
        return entry

    def _named(self, title: str) -> str:
        return title if self.split_seed is None else f"{title}, seed {self.config.seed}"

    def _make(self, key: str) -> Model:
        source, options = self.images.training, self.config.network()
        if key == "vae":
            return VAE.for_source(source, 2, beta=self.config.beta, **options)
        return Autoencoder.for_source(source, 2, **options)

    def _judged(self, key: str, folder: Path) -> dict[str, Any]:
        config, images = self.config, self.images
        training = config.training(images.validation, self.split_seed)
        model = trained(folder / "run", lambda: self._make(key), images.whole, training, quiet=self.quiet)
        with torch.no_grad():
            found = self._measured(key, model, folder)
        return {**found, "train_seconds": seconds_trained(folder / "run")}

    def _measured(self, key: str, model: Model, folder: Path) -> dict[str, Any]:
        """The plane, kept for the pictures, and its numbers."""
        config, images = self.config, self.images
        evaluation = evaluate(model, evaluation_batches(images.held_out, 128), bits=False)
        some = gathered(images.training, config.items)
        latents = encoded(model, some)
        plane = Plane.standard() if key == "vae" else Plane.fitted(latents)
        places = plane.coordinates(latents)
        size = tuple(some.shape[2:])
        shown = decoded(model, plane.latents(cell_centers(config.cells, config.reach)), size)
        tensors = {
            "cells": _kept(model.kind, shown),
            "places": places[: config.dots].contiguous(),
            "counts": item_counts(places, config.cells, config.reach),
        }
        atomic.write_file(folder / _KEPT, lambda temporary: save_file(tensors, temporary))
        known = model.to_float(some[: config.compared])
        drawn = normal((config.draws, 2), torch.Generator().manual_seed(config.seed), torch.device("cpu"))
        again = gathered(images.held_out, config.draws)
        repeated = decoded(model, encoded(model, again), size)
        return {
            "mse": evaluation.mse,
            "psnr_db": evaluation.psnr_db,
            "snr_db": -10 * math.log10(max(evaluation.nmse, 1e-30)),
            "items": len(latents),
            **asdict(holes(places, config.cells, config.reach)),
            "samples_to_data_mse": _nearest(decoded(model, plane.latents(drawn), size), known),
            "reconstructions_to_data_mse": _nearest(repeated, known),
            "center": plane.center.tolist(),
            "shape": plane.shape.tolist(),
        }

    def pictures(self, done: Sequence[dict[str, Any]]) -> dict[str, str]:
        """Write the planes with and without the data's latents; returns their file names."""
        config, kind = self.config, self.images.training.kind
        kept = [(each["title"], load_file(self.path / each["key"] / _KEPT)) for each in done]
        planes = [
            DecodedPlane(
                title,
                _pillow(kind, tensors["cells"]),
                tensors["places"].numpy(),
                holes_in_order(tensors["counts"], config.reach, MOST_SAMPLES),
            )
            for title, tensors in kept
        ]
        labels = gathered_labels(self.images.training, config.items)
        names = {}
        for name, dots in (("plane_with_data", True), ("plane", False)):
            sheet = planes_picture(
                planes,
                cells=config.cells,
                reach=config.reach,
                labels=None if labels is None else labels[: config.dots],
                class_names=self.images.training.class_names,
                dots=dots,
            )
            names[name] = f"{name}.png"
            save(sheet, self.path / "pictures" / names[name])
        return names


def _kept(kind: Signal, signals: Tensor) -> Tensor:
    return torch.from_numpy(to_uint8(signals)).contiguous() if kind.converts else signals.float().contiguous()


def _pillow(kind: Signal, signals: Tensor) -> list[Image.Image]:
    found = []
    for each in pictured(kind, signals):
        if isinstance(each, Image.Image):
            found.append(each)
        else:
            pixels = np.moveaxis(each.numpy(), 0, -1)
            found.append(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
    return found


def _nearest(signals: Tensor, data: Tensor) -> float:
    """The median over signals of the mean squared error to the nearest item of the data."""
    values, rows = data[0].numel(), data.flatten(1).float()
    found = [torch.cdist(part.flatten(1).float(), rows).amin(dim=1) for part in signals.split(64)]
    return float((torch.cat(found).square() / values).median())
