"""Ladders: PCA, autoencoder, VAE and VQ-VAE of one comparison, found in its folder, or trained here on digits."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from vqkit._version import __version__
from vqkit.data import Source, load_source
from vqkit.errors import ConfigError, DataError, VqkitError
from vqkit.lab.acts.live.watching import RunWatch
from vqkit.models import Model, load_model
from vqkit.pretrained.folder import CONFIG
from vqkit.resources import cache_folder
from vqkit.storage.reading import read_json
from vqkit.studies.images import fixed_images
from vqkit.studies.ladder.rungs import TRAINERS, RungContext
from vqkit.studies.ladder.settings import RUNGS, TITLES, CompareConfig
from vqkit.studies.play.planes import LatentPlane
from vqkit.training.record.run import read_config

SHOWN = 600
"""Held-out signals whose latents are shown."""
OWN = "builtin:digits"
OWN_NAME = "digits, trained here"
SMALL = CompareConfig(
    codebook_size=32,
    code_dim=16,
    downsampling=2,
    hidden_channels=24,
    residual_channels=16,
    steps=300,
    prior_steps=300,
    prior_channels=32,
    prior_layers=2,
    prior_dropout=0.2,
    prior_batch_size=32,
    prior_learning_rate=4e-3,
    batch_size=64,
    validation=0.25,
    samples=449,
)
"""The ladder in small, on 8x8 pixels: half a minute on two cores."""
_REPORT = "compare.json"
_DEPTH = 2


@final
@dataclass(frozen=True)
class Rung:
    """A rung of a ladder.

    Attributes:
        key: one of ``RUNGS``.
        title: for people.
        plane: through its latents.
    """

    key: str
    title: str
    plane: LatentPlane


@final
@dataclass(frozen=True)
class Ladder:
    """The rungs that are there, and the signals that they are looked at with.

    Attributes:
        rungs: by their keys, in the order of the ladder.
        signals: ``[N, channels, *size]``, held out.
        labels: of each signal, 0, 1, ...; None without classes.
        class_names: of the labels.
    """

    rungs: dict[str, Rung]
    signals: torch.Tensor
    labels: list[int] | None
    class_names: list[str] | None


def ladders_in(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders of comparisons of pictures in these folders, and they themselves, by a short name."""
    found: dict[str, Path] = {}
    for folder in folders:
        for place in _below(folder, _DEPTH):
            if _of_pictures(place) and place not in found.values():
                short = folder.resolve().name if place == folder else place.relative_to(folder).as_posix()
                found[short if short not in found else str(place)] = place
    return found


def _below(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / _REPORT).is_file():
        yield folder
    if depth:
        with suppress(OSError):
            for entry in sorted(folder.iterdir()):
                if entry.is_dir() and not entry.name.startswith(".") and entry.name not in TITLES:
                    yield from _below(entry, depth - 1)


def _of_pictures(place: Path) -> bool:
    with suppress(OSError, ValueError, AttributeError, TypeError):
        data = read_json(place / _REPORT).get("data", {})
        return len(data.get("size") or ()) == 2 and data.get("channels") in (1, 3) and bool(_there(place))
    return False


def _there(place: Path) -> list[str]:
    """The rungs whose models lie in a folder."""
    return [key for key in RUNGS if (place / key / "model" / CONFIG).is_file()]


def open_ladder(place: Path) -> Ladder:
    """Load the models of a comparison and look at its held-out signals through them.

    Raises:
        DataError: the signals cannot be read again.
        ModelFolderError: a damaged model.
    """
    config, source = SMALL, OWN
    if place != own_place():
        config, source = _recorded(place)
    try:
        images = fixed_images(load_source(source), config)
    except ConfigError as error:
        raise DataError(str(error)) from error
    return _ladder({key: load_model(place / key / "model").eval() for key in _there(place)}, images.held_out)


def _recorded(place: Path) -> tuple[CompareConfig, str]:
    try:
        config = CompareConfig.from_dict(read_json(place / _REPORT)["settings"])
        runs = [read_config(place / key / "run") for key in RUNGS if (place / key / "run").is_dir()]
        return config, str(runs[0]["data"])
    except (OSError, ValueError, LookupError, TypeError, VqkitError) as error:
        raise DataError(f"{place.name}: its data is not known, so nothing can be shown ({error})") from error


def _ladder(models: dict[str, Model], held_out: Source) -> Ladder:
    count = min(len(held_out), SHOWN)
    signals = torch.from_numpy(held_out.gather(range(count)))
    labels = None if held_out.labels is None else [int(each) for each in held_out.labels[:count]]
    rungs = {key: Rung(key, TITLES[key], LatentPlane(model, signals)) for key, model in models.items()}
    return Ladder(rungs, signals, labels, held_out.class_names)


def own_place() -> Path:
    """The folder of the ladder that the lab trains for itself, in the user's cache."""
    return cache_folder() / "lab" / f"ladder-{__version__}"


def is_trained(place: Path) -> bool:
    """Return whether all rungs of the lab's own ladder are there."""
    return _there(place) == list(RUNGS)


@final
class Training:
    """The training of the lab's own ladder, in a thread of its own; once for all who ask for it.

    Args:
        place: the folder.
        config: of the comparison; None: ``SMALL``.
    """

    def __init__(self, place: Path, config: CompareConfig | None = None) -> None:
        self.place, self.config = place, config or SMALL
        self.error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin, or go on, unless it runs already."""
        with self._lock:
            if not self.running:
                self.error = None
                self._thread = threading.Thread(target=self._run, name="vqkit-lab-ladder", daemon=True)
                self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._thread is not None and self._thread.is_alive()

    def progress(self) -> tuple[float, str]:
        """The part that is done, 0 to 1, and what is trained now."""
        there = _there(self.place)
        if len(there) == len(RUNGS):
            return 1.0, "done"
        key = next(each for each in RUNGS if each not in there)
        parts = [self.place / key / "run"] + ([self.place / key / "prior" / "run"] if key == "vqvae" else [])
        done = 0.0
        for run in parts:
            watch = RunWatch(run)
            watch.look()
            done += (watch.fraction or 0.0) / len(parts)
        return (len(there) + done) / len(RUNGS), TITLES[key]

    def _run(self) -> None:
        try:
            images = fixed_images(load_source(OWN), self.config)
            for key in RUNGS:
                if key not in _there(self.place):
                    shop = RungContext(self.config, images, self.place / key, _silent, quiet=True)
                    TRAINERS[key](shop).model.save_pretrained(self.place / key / "model")
        except Exception as error:  # noqa: BLE001 - said on the page
            self.error = error


def _silent(_: Any) -> None:
    """Say nothing: the page shows the progress."""
