"""The best checkpoint: the model of the best evaluation along the way, and the patience of early stopping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqkit._version import __version__
from vqkit.chance import forked, seeded
from vqkit.checking import check_fields, counted
from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.pretrained.card import ModelCard
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
"""Beside the model: by which measure it is the best, its value, and the step."""
_RECORD_BYTES = 1 << 16


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
        raise ConfigError(f"best_by={config.best_by!r}: evaluations measure {', '.join(there)}; name one of these")
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

    def consider(self, values: Mapping[str, Any], step: int, channels: Channels) -> None:
        """Keep the model that has just been evaluated if it is the best; every process calls it.

        Args:
            values: of the evaluation.
            step: of the run.
            channels: told of an early stop, or of why the model could not be written.
        """
        found = values.get(self._measure.name)
        value = float(found) if isinstance(found, int | float) else float("nan")
        sign = self._measure.sign
        improves = value == value if self._value is None else sign * value > sign * self._value
        (better,) = self._processes.agree([float(improves)])
        if better:
            self._value, self._step, self._without = value, step, 0
            self._save(values, channels)
            return
        self._without += 1
        if self._patience and self._without >= self._patience:
            best = "" if self._value is None else f" (best: {self._value:.4g} at step {self._step:,})"
            count = counted(self._without, "evaluation")
            self._early.ask(f"{self._measure.name} has not improved in {count}{best}")

    def state(self) -> dict[str, Any]:
        """Return JSON values for a checkpoint."""
        value = None if self._value is None else self._value.hex()
        return {
            "measure": [self._measure.name, self._measure.sign],
            "value": value,
            "step": self._step,
            "without": self._without,
        }

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go to the state of a checkpoint; one by another measure, or none, begins anew.

        A run that ended for its patience and is told to go on has all of it again.
        """
        if state is None or list(state["measure"]) != [self._measure.name, self._measure.sign]:
            return
        self._value = None if state["value"] is None else float.fromhex(state["value"])
        self._step, self._without = int(state["step"]), int(state["without"])
        if self._patience and self._without >= self._patience:
            self._without = 0

    def _save(self, values: Mapping[str, Any], channels: Channels) -> None:
        model = self._gathered() if self._sharded else self._average
        if channels.log is None:
            return
        folder = self._path / BEST
        record = {
            "vqkit": __version__,
            "measure": self._measure.name,
            "better": self._measure.better,
            "value": self._value,
            "step": self._step,
        }
        text = json.dumps(record, indent=2, allow_nan=False) + "\n"
        writers = model.file_writers(folder, ModelCard(data=self._data, measured=values))
        writers[folder / RECORD] = lambda temporary: temporary.write_text(text, encoding="utf-8")
        try:
            atomic.write_files(writers)
        except OSError as error:
            channels.say(f"step {self._step:,}: the best model was not written ({error})", style="yellow")

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


def describe_best(run: Path) -> str | None:
    """Return what is kept in ``best/`` of a run, in one line; None where nothing is."""
    record = _record(run)
    if record is None:
        return None
    return (
        f"best: {run / BEST}, {record['measure']} {record['value']:.4g} at step {record['step']:,} "
        f"({record['better']} is better)"
    )


def best_measures(run: Path) -> dict[str, Any]:
    """Return the evaluation of what is kept in ``best/`` of a run, from its log; empty where there is none."""
    record = _record(run) or {"step": None}
    lines = [line for line in read_log(run) if line["kind"] == "validation" and line["step"] == record["step"]]
    return {name: value for line in lines for name, value in line.items() if name not in ("kind", "step")}


def _record(run: Path) -> dict[str, Any] | None:
    fields = {"measure": str, "better": str, "value": float, "step": int}
    try:
        return check_fields(read_json(run / BEST / RECORD, most_bytes=_RECORD_BYTES), fields)
    except (OSError, ValueError):
        return None
