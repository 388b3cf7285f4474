"""The workshop: what all sessions of the lab share and none of them changes: models by name, their data, their priors.

Nothing of a user is kept here; that is in the session (``gr.State``).
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
import numpy.typing as npt

from vqkit.codec import entropy_model, known_priors
from vqkit.codec.entropy.models import EntropyModel
from vqkit.data import Source, load_source
from vqkit.errors import ConfigError, DataError, ModelFolderError, VqkitError
from vqkit.lab.acts.codewords import codewords
from vqkit.models import IndexModel, Model
from vqkit.models.matching import in_channels, readable
from vqkit.pretrained.folder import CONFIG as MODEL_CONFIG
from vqkit.pretrained.reference import BUILTIN_PREFIX, reference_models
from vqkit.priors import Prior, load_prior
from vqkit.spelling import spelled
from vqkit.training.config import TrainConfig
from vqkit.training.distributed import choose_device
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.record.run import BEST, MODEL, is_run, is_same_data, read_config
from vqkit.training.trainable import load_trained

Found = TypeVar("Found")
KINDS = ("image", "sound", "vector")
"""Kinds of signals that pages show."""
_DEPTH = 3
"""Levels of folders below one that was named, in which runs are looked for."""
_MOST = 64
"""Models of one lab."""


@final
@dataclass(frozen=True)
class OpenModel:
    """A model that the lab has open.

    Attributes:
        name: what a user chooses it by.
        place: the run, the folder or the name that it came from.
        model: in evaluation mode.
        lock: held while torch computes with the model: one thing at a time.

    Example:
        >>> import vqkit
        >>> from vqkit.lab import OpenModel
        >>> OpenModel("mine", None, vqkit.VQVAE(16, hidden_channels=8)).kind
        'image'
    """

    name: str
    place: str | None
    model: Model
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)
    _shared: dict[tuple[Any, ...], Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def kind(self) -> str | None:
        """The kind of signal, of ``KINDS``; None: one that no page shows."""
        name = self.model.kind.name.partition("@")[0]
        shown = name in KINDS and (name != "image" or self.model.shows_pictures)
        return name if shown else None

    @property
    def run(self) -> Path | None:
        """The folder of its run, or of its model; None: it was given in Python, or comes with vqkit or from the hub."""
        if self.place is None:
            return None
        path = Path(self.place)
        inner = path.name in (BEST, MODEL) and is_run(path.parent)
        return (path.parent if inner else path) if path.is_dir() else None

    @cached_property
    def entropies(self) -> list[EntropyModel]:
        """The exact priors that its files can be coded with, the best first; none: log2 K bits an index."""
        if not isinstance(self.model, IndexModel):
            return []
        found: list[EntropyModel] = []
        if self.place is not None:
            with suppress(VqkitError):
                priors = [load_prior(each) for each in known_priors(self.place, self.model).values()]
                found += [entropy_model(each.to(self.model.device), self.model.codebook_size) for each in priors]
        own = self.model.prior
        if not found and isinstance(own, Prior):
            with suppress(VqkitError):
                found.append(entropy_model(own, self.model.codebook_size))
        return found

    def codewords(self, stage: int) -> npt.NDArray[np.float32]:
        """The codewords of a codebook, ``[K, D]``, computed once.

        Raises:
            ConfigError: see ``vqkit.lab.acts.codewords``.
        """
        model = self.model
        assert isinstance(model, IndexModel)
        return self.shared(("codewords", stage), lambda: codewords(model, stage))

    def shared(self, key: tuple[Any, ...], make: Callable[[], Found]) -> Found:
        """Return what depends on the model (and its run's data) alone, made when it is first asked for.

        Args:
            key: names it.
            make: makes it.
        """
        with self.lock:
            if key not in self._shared:
                self._shared[key] = make()
            found: Found = self._shared[key]
            return found

    @cached_property
    def data(self) -> Source | None:
        """The validation items of its run, in its channels; None: there are none that can be found."""
        try:
            return self._held_out()
        except (VqkitError, OSError):
            return None

    def _held_out(self) -> Source | None:
        run = self.run
        if run is None or not is_run(run):
            return None
        settings = read_config(run)
        source = load_source(settings["data"])
        if not is_same_data(source, settings["fingerprint"]):
            return None
        held_out = validation_split(source, TrainConfig.from_dict(settings["training"]))[1]
        return in_channels(self.model, readable(self.model, held_out))


@final
class Workshop:
    """The models of a lab, and the folders in which runs lie, or will lie.

    Args:
        models: open, each under a name of its own.
        folders: that were named; those of trainings that have not finished, or begin later, are looked for in them.

    Raises:
        ConfigError: two models of one name.

    Example:
        >>> import vqkit
        >>> from vqkit.lab import Workshop
        >>> Workshop.of({"mine": vqkit.VQVAE(16, hidden_channels=8)}).names()
        ['mine']
    """

    def __init__(self, models: Iterable[OpenModel], folders: Sequence[Path] = ()) -> None:
        self.folders = tuple(folders)
        self._models: dict[str, OpenModel] = {}
        for each in models:
            if each.name in self._models:
                raise ConfigError(f"two models are called {each.name}: give each a name of its own")
            each.model.eval()
            self._models[each.name] = each

    @classmethod
    def of(cls, given: Any, device: str = "cpu") -> Workshop:
        """Open what ``open_lab`` takes: names of models and folders, a mapping of names to models, or one of them.

        Args:
            given: see ``open_lab``; None or nothing: the models that come with vqkit.
            device: for models that are loaded here.

        Warns where a model in a folder is damaged: the others are opened.

        Raises:
            ModelFolderError: a name that leads to no model and to no folder of runs.
            ConfigError: nothing was given, and no models come with this vqkit.
        """
        if isinstance(given, dict):
            opened = [(name, each) for name, each in given.items()]
        else:
            several = [given] if isinstance(given, str | Path | Model) else list(given or ())
            opened = [(None, each) for each in several]
        if not opened:
            opened = [(name, BUILTIN_PREFIX + name) for name in reference_models()]
            if not opened:
                train = spelled(python='vqkit.train(model, data, out="runs/mine")', command="vqkit train DATA")
                raise ConfigError(
                    f"no models come with this copy of vqkit: make a run ({train}) and name it: vqkit lab runs/mine"
                )
        models: list[OpenModel] = []
        folders: list[Path] = []
        for name, each in opened:
            if isinstance(each, Model):
                models.append(OpenModel(name or f"model-{len(models) + 1}", None, each))
                continue
            places, folder = _places(str(each))
            folders += [] if folder is None else [folder]
            for place in places:
                label = name if name is not None and len(places) == 1 else _label(place, str(each))
                try:
                    models.append(OpenModel(label, place, _load(place, device)))
                except VqkitError as error:
                    if places == [str(each)]:  # it was named itself
                        raise
                    warnings.warn(f"left out: {error}", stacklevel=2)
        return cls(_named_apart(models), folders)

    def names(self, suits: Callable[[OpenModel], bool] = lambda _: True) -> list[str]:
        """Return the names of the models that suit, in the order in which they were given."""
        return [name for name, each in self._models.items() if suits(each)]

    def __getitem__(self, name: str | None) -> OpenModel:
        """Return a model by its name.

        Raises:
            ConfigError: no such model: the name came from somebody's own request.
        """
        found = self._models.get(name or "")
        if found is None:
            raise ConfigError(f"no model {name!r} is open here; there are {', '.join(self._models) or 'none'}")
        return found

    def __len__(self) -> int:
        return len(self._models)


def _places(given: str) -> tuple[list[str], Path | None]:
    """The models that a name leads to, and the folder, where it is one."""
    path = Path(given)
    if not path.is_dir():
        return [given], None
    if _finished(path):
        return [given], path
    if is_run(path):  # of a training that goes on: the live page shows it
        return [], path
    found = [str(each) for each in _runs_below(path)]
    if len(found) > _MOST:
        raise ConfigError(f"{given} holds {len(found)} models; name at most {_MOST}")
    return found, path


def _finished(path: Path) -> bool:
    return any((each / MODEL_CONFIG).is_file() for each in (path, path / MODEL, path / BEST))


def _runs_below(path: Path, depth: int = _DEPTH) -> list[Path]:
    """Folders of finished runs of models of signals below a folder, by name; what lies in a run belongs to it."""
    found: list[Path] = []
    for entry in sorted(path.iterdir()):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        if _finished(entry):
            found.append(entry)
        elif depth > 1 and not is_run(entry):
            found += _runs_below(entry, depth - 1)
    return [each for each in found if _is_model(each)]


def _is_model(place: Path) -> bool:
    """Return False for a prior over indices, which is no model of signals."""
    from vqkit.models import MODELS
    from vqkit.pretrained import folder

    try:
        return folder.read_config(folder.locate(place))[0] in MODELS
    except VqkitError:
        return False


def _load(place: str, device: str) -> Model:
    found = load_trained(place)
    if not isinstance(found, Model):
        raise ModelFolderError(f"{place} holds a prior over indices, not a model of signals; name the run of its model")
    return found.to(choose_device(device)).eval()


def _label(place: str, given: str) -> str:
    """A short name: of a run below a folder that was named, the path from there."""
    path, root = Path(place), Path(given)
    if path != root and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    if place.startswith(BUILTIN_PREFIX):
        return place.removeprefix(BUILTIN_PREFIX)
    short = path.parent if path.name in (BEST, MODEL) else path
    return short.resolve().name if path.is_dir() else place


def _named_apart(models: list[OpenModel]) -> list[OpenModel]:
    """The models, those of one name with their number behind it."""
    seen: dict[str, int] = {}
    apart = []
    for each in models:
        seen[each.name] = seen.get(each.name, 0) + 1
        name = each.name if seen[each.name] == 1 else f"{each.name} ({seen[each.name]})"
        apart.append(OpenModel(name, each.place, each.model))
    return apart


__all__ = ["KINDS", "DataError", "OpenModel", "Workshop"]
