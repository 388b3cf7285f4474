"""The best checkpoint: the model of the best evaluation along the way, and the patience of early stopping."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vqkit._version import __version__
from vqkit.chance import forked, seeded
from vqkit.checking import check_fields, counted
from vqkit.data import Source
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.pretrained.card import ModelCard
from vqkit.pretrained.folder import DIGEST, content_hash, read_header
from vqkit.storage import atomic
from vqkit.storage.reading import read_json
from vqkit.training.config import TrainConfig
from vqkit.training.distributed import Processes, full
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.measures import Measure
from vqkit.training.record.channels import Channels
from vqkit.training.record.log import read_log
from vqkit.training.record.run import BEST
from vqkit.training.stopping import EarlyStop
from vqkit.training.trainable import Trainable

RECORD = "best.json"
"""Beside the model: by which measure it is the best, its value, the step, and a digest of the weights."""
_RECORD_BYTES = 1 << 16
_FIELDS = {"measure": str, "better": str, "value": float | str, "step": int}
_INFINITE = ("inf", "-inf")
"""Values that JSON has no number for."""


def choose_measure(config: TrainConfig, evaluator: Evaluator, model: Trainable) -> Measure | None:
    """Return the measure that a run keeps its best model by (the one named, or the class's headline), or None.

    The evaluator judges one item, to see what it measures.

    Raises:
        ConfigError: evaluations do not give a number of this name (those that they give are listed).
    """
    if config.best_by is None and not config.patience:
        return None
    named = None if config.best_by is None else Measure.read(config.best_by)
    with seeded(0):
        there = evaluator.measures(model)
    if named is None:
        name = evaluator.headline if evaluator.headline in there or not there else there[0]
        return Measure.read(name)
    if named.name not in there:
        near = get_close_matches(named.name, there, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(
            f"best_by={config.best_by!r}: evaluations measure {', '.join(there)}; name one of these{meant}"
        )
    return named


class BestModel:
    """Keeps the model of the best evaluation in ``best/``, and ends the run when none has been better for a while.

    Args:
        measure: of ``choose_measure``.
        average: the model that is evaluated.
        config: of the run: its ``patience``.
        source: of the training.
        processes: the first one writes.
        early: of the run; asked when the patience is over.
    """

    def __init__(
        self,
        measure: Measure,
        average: Trainable,
        config: TrainConfig,
        source: Source,
        processes: Processes,
        early: EarlyStop,
    ) -> None:
        self._measure = measure
        self._average = average
        self._patience = config.patience
        self._sharded = processes.world > 1 and config.parallel == "fsdp"
        self._path = early.path
        self._data = source.describe()
        self._processes = processes
        self._early = early
        self._value: float | None = None
        self._step = 0
        self._without = 0
        self._kept: float | None = None
        self._written = False
        self._left: dict[str, Any] | None = None

    def consider(self, values: Mapping[str, Any], step: int, channels: Channels) -> None:
        """Keep the model that has just been evaluated if it is the best; every process calls it.

        After a model could not be written, the next one that is better than what is in ``best/`` is.

        Args:
            values: of the evaluation.
            step: of the run.
            channels: told of an early stop, or of why the model could not be written.
        """
        value = self._measure.value_in(values)
        improves, keeps = self._beats(value, self._value), self._beats(value, self._kept)
        better, keep = self._processes.agree([float(improves), float(keeps)])
        if keep and self._save(values, value, step, channels):
            self._kept, self._written = value, True
        self._tell_left(step, channels)
        if better:
            self._value, self._step, self._without = value, step, 0
            return
        self._without += 1
        if self._patience and self._without >= self._patience:
            best = "" if self._value is None else f" (best: {self._value:.4g} at step {self._step:,})"
            count = counted(self._without, "evaluation")
            self._early.ask(f"{self._measure.name} has not improved in {count}{best}")

    def _beats(self, value: float, other: float | None) -> bool:
        """Return True if a value is better than another; NaN never is, and every other one is better than none."""
        sign = self._measure.sign
        return value == value if other is None else sign * value > sign * other

    def state(self) -> dict[str, Any]:
        """Return JSON values for a checkpoint."""
        value, kept = (None if each is None else each.hex() for each in (self._value, self._kept))
        return {
            "measure": [self._measure.name, self._measure.sign],
            "value": value,
            "step": self._step,
            "without": self._without,
            **({"kept": kept} if kept != value else {}),
        }

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go to the state of a checkpoint; one by another measure, or none, begins anew.

        What is in ``best/`` may be of a later step than the checkpoint, or not whole: then it is written again. A run
        that ended for its patience and is told to go on has all of it again.
        """
        if state is not None and list(state["measure"]) == [self._measure.name, self._measure.sign]:
            kept = state.get("kept", state["value"])
            self._value = None if state["value"] is None else float.fromhex(state["value"])
            self._kept = None if kept is None else float.fromhex(kept)
            self._step, self._without = int(state["step"]), int(state["without"])
            if self._patience and self._without >= self._patience:
                self._without = 0
        there = read_record(self._path) if self._processes.main else None
        if there is not None and (there["measure"], there["better"]) != (self._measure.name, self._measure.better):
            there = None
        (lost,) = self._processes.agree([float(self._processes.main and there is None)])
        if lost:
            self._kept = None
        if there is not None and there["value"] != self._kept:
            self._left = there

    def _tell_left(self, step: int, channels: Channels) -> None:
        """Say, once the run is as far again, that ``best/`` has, or had, a better model than the run has made since."""
        left = self._left
        if left is None or step < left["step"]:
            return
        self._left, there = None, read_record(self._path)
        if there is None or (self._written and not self._beats(left["value"], there["value"])):
            return
        what = f"the model of step {left['step']:,} ({left['measure']} {left['value']:.4g})"
        given_up = "which the run made before it went on from an earlier checkpoint"
        channels.say(
            f"{self._path / BEST} held {what}, {given_up}; it was replaced by a worse one, the best since: "
            f"{there['value']:.4g} at step {there['step']:,}"
            if self._written
            else f"{self._path / BEST} holds {what}, {given_up}: none since is better",
            style="yellow",
        )

    def _save(self, values: Mapping[str, Any], value: float, step: int, channels: Channels) -> bool:
        """Write the model; return whether that worked, in all processes."""
        model = self._gathered() if self._sharded else self._average
        failed = False
        if channels.log is not None:
            record = {"measure": self._measure.name, "better": self._measure.better, "value": value, "step": step}
            try:
                write_best(self._path, model, ModelCard(data=self._data, measured=values), record)
            except OSError as error:
                failed = True
                channels.say(f"step {step:,}: the best model was not written ({error})", style="yellow")
        (failed_there,) = self._processes.agree([float(failed)])
        return not failed_there

    def _gathered(self) -> Trainable:
        """A model of the whole tensors; torch's generators stay as they are."""
        weights = {name: full(tensor).cpu() for name, tensor in self._average.state_dict().items()}
        with forked():
            model = type(self._average).from_config(self._average.config)
        model.load_state_dict(weights)
        return model


def best_model(
    evaluator: Evaluator,
    model: Trainable,
    average: Trainable,
    config: TrainConfig,
    source: Source,
    processes: Processes,
    early: EarlyStop,
) -> BestModel | None:
    """Return what keeps the best model of a run, if its settings ask for it; ``model`` is not sharded yet.

    Raises:
        ConfigError: see ``choose_measure``.
    """
    measure = choose_measure(config, evaluator, model)
    return None if measure is None else BestModel(measure, average, config, source, processes, early)


def write_best(run: Path, model: Trainable, card: ModelCard, record: Mapping[str, Any]) -> None:
    """Write ``best/`` of a run, all of it or nothing.

    Args:
        run: its folder.
        model: the best one.
        card: of the model.
        record: measure, which way is better, value and step.

    Raises:
        OSError: a full disk; all is then as it was before.
    """
    folder, value = run / BEST, record["value"]
    document = {
        "vqkit": __version__,
        **{name: record[name] for name in _FIELDS},
        "value": value if math.isfinite(value) else str(value),
        "weights": content_hash(model),
    }
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    writers = model.file_writers(folder, card)
    writers[folder / RECORD] = lambda temporary: temporary.write_text(text, encoding="utf-8")
    atomic.write_files(writers)


def describe_best(run: Path) -> str | None:
    """Return what is kept in ``best/`` of a run, in one line; None where nothing is."""
    record = read_record(run)
    if record is None:
        lies = (run / BEST / RECORD).is_file()
        return f"best: {run / BEST} is damaged: {RECORD} tells of other weights, or is not readable" if lies else None
    return (
        f"best: {run / BEST}, {record['measure']} {record['value']:.4g} at step {record['step']:,} "
        f"({record['better']} is better)"
    )


def best_measures(run: Path) -> dict[str, Any]:
    """Return the evaluation of what is kept in ``best/`` of a run, from its log; empty where there is none."""
    record = read_record(run) or {"step": None}
    lines = [line for line in read_log(run) if line["kind"] == "validation" and line["step"] == record["step"]]
    return {name: value for line in lines for name, value in line.items() if name not in ("kind", "step")}


def read_record(run: Path) -> dict[str, Any] | None:
    """Return what ``best.json`` of a run says; None without one, or beside other weights than it tells of.

    A process that is killed while the files get their names leaves the new weights beside the old record.
    """
    folder = run / BEST
    try:
        record = check_fields(read_json(folder / RECORD, most_bytes=_RECORD_BYTES), _FIELDS, {"weights": str})
        if isinstance(record["value"], str) and record["value"] not in _INFINITE:
            return None
        if "weights" in record and read_header(folder).metadata.get(DIGEST) != record["weights"]:
            return None
    except (OSError, ValueError, ModelFolderError):
        return None
    return {**record, "value": float(record["value"])}
