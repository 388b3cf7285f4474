"""A run is a folder that a person can read."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vqkit._version import __version__
from vqkit.checking import check_fields, reason
from vqkit.data import Source
from vqkit.data.naming import GIVEN_PREFIX, name_when_recorded, recorded_name
from vqkit.errors import ConfigError, DataError, ModelFolderError
from vqkit.notebooks import picture, table
from vqkit.pretrained.folder import CONFIG as MODEL_CONFIG
from vqkit.pretrained.locating import seeds_hint
from vqkit.provenance import made_by
from vqkit.spelling import option, resuming, spelled
from vqkit.storage import atomic, outputs
from vqkit.storage.lock import LOCK, folder_lock
from vqkit.storage.outputs import is_temporary
from vqkit.storage.reading import read_json
from vqkit.tokens import Tokens
from vqkit.training.checkpoints import checkpoint
from vqkit.training.config import TrainConfig
from vqkit.training.curves import plot_log
from vqkit.training.record.log import read_log
from vqkit.training.trainable import Trainable, load_trained

CONFIG = "run.json"
CHECKPOINTS = "checkpoints"
PICTURES = "pictures"
MODEL = "model"
BEST = "best"
_LOG = "log.jsonl"
_ENDS = ("final", "time")
"""Kinds of lines of the log that come after the model is saved."""
_CONFIG_BYTES = 4 << 20
_MOST_RESUMED = 100
_FIELDS = {"data": str, "fingerprint": str, "model": Mapping[str, Any], "training": Mapping[str, Any]}
_MORE_FIELDS = {
    "frozen": Mapping[str, Sequence[str]],
    "made_of": Mapping[str, str],
    "initial_weights": str,
    "stopped": Mapping[str, Any],
    "made_by": Mapping[str, Any],
    "resumed_by": Sequence[Mapping[str, Any]],
}
_STOPPED_FIELDS = {"step": int, "reason": str}
_SETTINGS = frozenset(field.name for field in fields(TrainConfig))
_WITHIN = {
    PICTURES: r"(step_\d{9}|final)\.png",
    "tensorboard": r"events\.out\.tfevents\..*",
}
"""What lies in the folders of a run that has no settings yet."""


@dataclass(frozen=True)
class Run:
    """The folder of a training run and how it ended.

    ::

        run.json            data, model and training settings
        log.jsonl           a JSON object per line: train, validation, warning
        pictures/           reconstructions along the way
        checkpoints/        the newest states, to resume from
        model/              config.json and model.safetensors, once finished
        best/               the same of the best evaluation, where best_by or patience asks for it
        tensorboard/        the same log for TensorBoard, where it is installed

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     digits = vqkit.load_source("builtin:digits").subset(range(100))
        ...     run = vqkit.train(vqkit.PCA(4, channels=1, size=(8, 8)), digits, out=f"{folder}/run", quiet=True)
        ...     run.finished, type(run.model()).__name__
        (True, 'PCA')
    """

    path: Path
    finished: bool
    step: int
    evaluation: dict[str, Any] | None = None

    def model(self) -> Any:
        """The trained model or prior (the average of the weights), from disk."""
        return load_trained(self.path)

    def best_model(self) -> Any:
        """The model or prior of the best evaluation, from disk, where ``best_by`` or ``patience`` kept one.

        Raises:
            ModelFolderError: none was kept.
        """
        return load_trained(self.path / BEST)

    @property
    def stop_reason(self) -> str | None:
        """Why the run ended before its last step (a callback, the patience); None: it did not."""
        stopped = read_config(self.path)["stopped"]
        return None if stopped is None else str(stopped["reason"])

    def _repr_html_(self) -> str:
        """Return what a notebook shows: how it ended, its measures, and the newest picture."""
        early = self.stop_reason if self.finished and is_run(self.path) else None
        finished = "finished" if early is None else f"finished early: {early}"
        state = finished if self.finished else f"stopped; vqkit.resume({str(self.path)!r}) goes on"
        measured = {name: value for name, value in (self.evaluation or {}).items() if not isinstance(value, dict)}
        newest = sorted((self.path / PICTURES).glob("*.png"), key=lambda file: file.stat().st_mtime)[-1:]
        shown = "".join(picture(Image.open(file), "reconstructions") for file in newest)
        return table({"run": str(self.path), "step": self.step, "state": state, **measured}) + shown

    def log(self) -> list[dict[str, Any]]:
        """The log's lines."""
        return read_log(self.path)

    def plot(self) -> Image.Image:
        """Plot losses, distortion and codebook usage over the steps, of training and of evaluations.

        Returns:
            A Pillow picture, which a notebook shows and ``.save("run.png")`` writes.

        Raises:
            ModelFolderError: nothing has been logged yet.

        Example:
            >>> import tempfile
            >>> import vqkit
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     digits = vqkit.load_source("builtin:digits").subset(range(100))
            ...     model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
            ...     run = vqkit.train(model, digits, out=f"{folder}/run", steps=4, log_every=2, quiet=True)
            ...     run.plot().width
            640
        """
        return plot_log(self.log(), self.path.name)


def load_run(path: str | Path) -> Run:
    """Open the folder of a run again, finished or not.

    Args:
        path: the run folder.

    Returns:
        What ``train`` returned. Of a run that has not finished the step is that of its newest checkpoint.

    Raises:
        ModelFolderError: no run there, or its settings or its log are damaged.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     digits = vqkit.load_source("builtin:digits").subset(range(100))
        ...     run = vqkit.train(vqkit.PCA(4, channels=1, size=(8, 8)), digits, out=f"{folder}/run", quiet=True)
        ...     vqkit.load_run(f"{folder}/run") == run
        True
    """
    path = Path(path)
    read_config(path)
    ends = [line for line in read_log(path) if line["kind"] in _ENDS]
    if ends and (path / MODEL / MODEL_CONFIG).is_file():
        last = [line for line in ends if line["kind"] == "final"][-1:]
        measured = [{name: value for name, value in line.items() if name not in ("step", "kind")} for line in last]
        return Run(path, True, ends[-1]["step"], measured[0] if measured else None)
    saved = checkpoint.found(path / CHECKPOINTS)
    return Run(path, False, checkpoint.step_of(saved[-1]) if saved else 0)


def new_run_path(out: str | Path | None, name: str) -> Path:
    """Return the folder of a new run: ``out``, or the first free ``runs/NAME-001``, which is created.

    Raises:
        ConfigError: ``out`` already holds something, or there is no place for a folder.
    """
    numbers = itertools.count(1)
    while out is None:
        with suppress(FileExistsError):  # made here at once, so that two runs started together take two folders
            path = Path("runs") / f"{name}-{next(numbers):03d}"
            path.mkdir(parents=True)
            return path
    path = Path(out)
    outputs.check_folder(path, (), option=option("out"))
    if is_run(path):
        raise ConfigError(
            f"{path} already holds a run; go on with it: {resuming(path)}  (or choose another {option('out')})"
        )
    outputs.check_contents(path, "a run", _left_by_a_start)
    return path


def is_run(path: Path) -> bool:
    """Return True if a folder holds the settings of a run."""
    return (path / CONFIG).is_file()


def _left_by_a_start(entry: Path) -> bool:
    """Return True for an entry that a run left which was killed before it wrote its settings."""
    if entry.name == CHECKPOINTS and entry.is_dir():
        return all(is_temporary(each) or checkpoint.is_checkpoint(each) for each in entry.iterdir())
    if not (entry.parent / LOCK).is_file():  # the first thing that a run writes
        return is_temporary(entry)
    if entry.name in _WITHIN and entry.is_dir():
        return all(re.fullmatch(_WITHIN[entry.name], each.name) or is_temporary(each) for each in entry.iterdir())
    return entry.name == LOCK or is_temporary(entry) or (entry.name == _LOG and _is_log(entry))


def _is_log(file: Path) -> bool:
    """Return True if a file is empty or begins as the log of a run."""
    try:
        with file.open(encoding="utf-8") as opened:
            start = opened.readline(1 << 20)
    except (OSError, ValueError):
        return False
    return not start or start.startswith('{"step":')


@contextmanager
def locked(path: Path, main: bool) -> Iterator[None]:
    """Keep a second process from training in the same folder (released on any exit; see ``vqkit.storage.lock``).

    Raises:
        ConfigError: another process trains there; says which.
    """
    if not main:
        yield
        return
    with folder_lock(path, "training"):
        yield


def source_spec(data: Any, source: Source) -> str:
    """Return the data's absolute path or name for ``run.json``, which ``load_source`` reads from any folder.

    What has no name (an array, a part of a source) is described.
    """
    if isinstance(data, Tokens):
        return str(data.path.resolve())
    if not isinstance(data, (str, Path)):
        return source.spec or f"{GIVEN_PREFIX}{source.describe()}"
    return source.spec or recorded_name(data)


def check_named(path: Path, settings: Mapping[str, Any], validation: str | float | Source, *, data: Any) -> None:
    """Raise ``DataError`` where a run was given data, or held-out data, in Python that nobody gives again.

    Args:
        path: the run folder.
        settings: of ``read_config``.
        validation: as it is asked for now, or as the run records it.
        data: as it is asked for now; None: what the run records.
    """
    recorded = {"data": settings["data"] if data is None else "", "validation": validation}
    given = {
        name: value.removeprefix(GIVEN_PREFIX)
        for name, value in recorded.items()
        if isinstance(value, str) and value.startswith(GIVEN_PREFIX)
    }
    if not given:
        return
    what = {"data": "data", "validation": "held-out data"}
    told = " and ".join(f"{what[name]} ({described})" for name, described in given.items())
    raise DataError(
        f"{path}: this run was given its {told} in Python, without a name to be read by (an array, or a part of a "
        f"source); give the same again: {resuming(path, *given)}"
    )


def fingerprint(source: Source, *, labels: bool = True) -> str:
    """A hash of how many items a source has, their sizes and labels: notices files that came or went."""
    digest = hashlib.sha256(f"{len(source)} {source.channels} {source.axes}".encode())
    digest.update(np.ascontiguousarray(source.item_sizes(), dtype=np.int64).tobytes())
    if labels and source.labels is not None:
        digest.update(source.labels.tobytes())
    if source.vectors is not None:
        digest.update(source.vectors.tobytes())
    return digest.hexdigest()[:16]


def is_same_data(source: Source, recorded: str) -> bool:
    """Return True if a source has the recorded fingerprint, with or without labels that older versions ignored."""
    if fingerprint(source) == recorded:
        return True
    return source.labels_are_new and fingerprint(source, labels=False) == recorded


def write_config(
    path: Path,
    data: str,
    data_fingerprint: str,
    model: Trainable,
    training: Mapping[str, Any],
    frozen: Mapping[str, Any],
    made_of: Mapping[str, str],
    initial_weights: str | None = None,
    stopped: Mapping[str, Any] | None = None,
) -> None:
    """Write ``run.json``; where one is there already, who made it stays, and who goes on with it is added.

    Args:
        path: the run folder.
        data: its name.
        data_fingerprint: of ``fingerprint``.
        model: of any kind.
        training: settings.
        frozen: what is, in the model.
        made_of: hashes of the contents that the run depends on, by name.
        initial_weights: a digest of the model as it was handed over: it tells runs apart that began with other weights.
        stopped: see ``record_stop``.
    """
    there = read_json(path / CONFIG, most_bytes=_CONFIG_BYTES) if (path / CONFIG).is_file() else {}
    now = made_by()
    resumed = [*there.get("resumed_by", ()), now][-_MOST_RESUMED:] if there else []
    document = {
        "vqkit": __version__,
        "data": data,
        "fingerprint": data_fingerprint,
        "made_of": dict(made_of),
        "model": {"model_type": model.model_type, **model.config},
        "training": dict(training),
        **({"initial_weights": initial_weights} if initial_weights else {}),
        **({"frozen": dict(frozen)} if frozen else {}),
        **({"stopped": dict(stopped)} if stopped else {}),
        "made_by": there.get("made_by", {}) if there else now,
        **({"resumed_by": resumed} if resumed else {}),
    }
    atomic.write_json(path / CONFIG, document)


def record_stop(path: Path, step: int, reason: str) -> None:
    """Record in ``run.json`` that a run ends at a step before its last, and why."""
    document = read_json(path / CONFIG, most_bytes=_CONFIG_BYTES)
    atomic.write_json(path / CONFIG, {**document, "stopped": {"step": step, "reason": reason}})


def read_config(path: Path) -> dict[str, Any]:
    """Read ``run.json`` (``made_of`` is empty in files of older versions; ``stopped`` is None unless a run was).

    Raises:
        ModelFolderError: no run there, or its file is damaged.
    """
    file = path / CONFIG
    if not file.is_file():
        starting = spelled(python="vqkit.train(model, data)", command="vqkit train DATA")
        repair = seeds_hint(path) or f"; start one with: {starting}"
        raise ModelFolderError(f"{path}: no run here (a run folder has a {CONFIG}){repair}")
    try:
        document = check_fields(read_json(file, most_bytes=_CONFIG_BYTES), _FIELDS, _MORE_FIELDS)
        check_fields(document["model"], {"model_type": str})
        stopped = document.get("stopped")
        if stopped is not None:
            check_fields(stopped, _STOPPED_FIELDS)
        training = document["training"]
        if isinstance(training.get("validation"), str):
            training = {**training, "validation": name_when_recorded(training["validation"])}
        TrainConfig.from_dict({name: value for name, value in training.items() if name in _SETTINGS})
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelFolderError(f"{file}: not readable as the settings of a run ({reason(error)})") from error
    return {
        "data": name_when_recorded(document["data"]),
        "training": training,
        "frozen": document.get("frozen", {}),
        "made_of": document.get("made_of", {}),
        "initial_weights": document.get("initial_weights"),
        "stopped": stopped,
        **{name: document[name] for name in ("fingerprint", "model")},
    }
