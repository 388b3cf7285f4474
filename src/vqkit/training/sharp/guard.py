"""Guard of an adversary: what the run had before it is kept, and given back unless something was gained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vqkit.checking import check_fields
from vqkit.data import Source
from vqkit.errors import ConfigError, TrainingStopped
from vqkit.objectives import Objective
from vqkit.objectives.adversarial import AdversarialObjective
from vqkit.training.checkpoints import checkpoint
from vqkit.training.config import TrainConfig
from vqkit.training.distributed import Processes
from vqkit.training.position import Position
from vqkit.training.record.channels import Channels
from vqkit.training.sharp.figures import Figures, fitting_items, judge
from vqkit.training.trainable import Trainable

FOLDER = "sharp"
KIND = "sharp"
"""Of lines of the log."""
_BEGIN, _LOOKS = 2 / 3, 8
"""Of the run, where the adversary begins; looks after that, the last one after the last step."""
_BACK_OFF, _MOST_TROUBLES, _MOST_RETURNS = 0.25, 3, 10
_TIME = 0.01
"""Of a run of minutes, for one look."""
_FIELDS = {
    "begun": int | None, "from": float, "strength": float, "troubles": int, "looks": int, "items": int,
    "before": Sequence[str] | None, "best": Sequence[str] | None, "best_step": int | None,
}  # fmt: skip


class Guard:
    """Lets the adversaries of a run begin, looks at held-out figures, backs off, and goes back.

    Until it begins, an adversary rests. When it does, the state of the run is kept in ``sharp/`` of the run, with the
    figures of its average. At every look after that a model that is no worse by the rule (``Figures.no_worse_than``)
    and better than the best so far is kept likewise; one that is worse, or NaN in a step, takes the run back to what
    was kept last with a quarter of the adversary's weight, and the third time without the adversary.

    Args:
        model: that is trained.
        average: of its weights: what is judged and saved.
        parts: of the objective.
        validation: the held-out items.
        config: of the run.
        processes: the first one writes; all read the same folder.
        path: the run's folder.
        position: where the run stands.
    """

    def __init__(
        self,
        model: Trainable,
        average: Trainable,
        parts: Sequence[Objective],
        validation: Source,
        config: TrainConfig,
        processes: Processes,
        path: Path,
        position: Position,
    ) -> None:
        self.adversaries = [part for part in parts if isinstance(part, AdversarialObjective)]
        if not self.adversaries:
            raise ConfigError("sharp: the objective has no adversarial term; leave out one of the two")
        self._model, self._average, self._validation = model, average, validation
        self._config, self._processes, self._path, self._position = config, processes, path / FOLDER, position
        self._begun: int | None = None
        self._from, self._strength = 0.0, 1.0
        self._troubles = self._looks = self._items = 0
        self.before: Figures | None = None
        self._best: Figures | None = None
        self._best_step: int | None = None
        self._tensors: Callable[[], dict[str, Tensor]] = dict
        self._put_back: Callable[[Mapping[str, Tensor]], object] = len
        self._obey()

    def attach(
        self, tensors: Callable[[], dict[str, Tensor]], put_back: Callable[[Mapping[str, Tensor]], object]
    ) -> None:
        """Take what gives the tensors of the run, and what puts them back."""
        self._tensors, self._put_back = tensors, put_back

    @property
    def troubled(self) -> bool:
        """Whether it has gone back."""
        return self._troubles > 0

    @property
    def given_up(self) -> bool:
        """Whether it went back so often that the run had better end with what it has."""
        return self._troubles >= _MOST_RETURNS

    @property
    def due(self) -> bool:
        """Whether the adversary is to begin, or to be looked at."""
        position = self._position
        if self._begun is None:
            first = min(part.after for part in self.adversaries)
            return position.step >= first if first else position.fraction >= _BEGIN
        done = (position.fraction - self._from) / max(1 - self._from, 1e-9)
        return position.fraction < 1 and int(done * _LOOKS) > self._looks

    def look(self, channels: Channels) -> None:
        """Let the adversary begin, or judge what it has made of the model."""
        if self._begun is None:
            self._begin(channels)
            return
        done = (self._position.fraction - self._from) / max(1 - self._from, 1e-9)
        self._looks = int(done * _LOOKS)
        assert self.before is not None
        found = self._judged(self._average)
        step = self._position.step
        if not found.no_worse_than(self.before):
            self._write(channels, "worse", found)
            self._go_back(channels, f"worse than before the adversary ({_said(found)} against {_said(self.before)})")
        elif found.frechet < (self._best or self.before).frechet and self._keep(step):
            self._best, self._best_step = found, step
            self._write(channels, "kept", found)
            channels.say(f"step {step:,}: sharper, {_said(found)} ({_said(self.before)} before the adversary)")
        else:
            self._write(channels, "no better", found)

    def recover(self, channels: Channels, reason: str) -> bool:
        """Go back after NaN or Inf; False where there is nothing to go back to."""
        if self._begun is None:
            return False
        self._go_back(channels, reason)
        for part in self.adversaries:
            part.steps += 1  # as the run: the batch is passed over
        return True

    def choose(
        self, final: Trainable, fitted: Callable[[dict[str, Tensor]], Trainable], channels: Channels
    ) -> Trainable:
        """Return the model to be saved: no worse by the rule than what there was before the adversary.

        Args:
            final: of the last weights, finished.
            fitted: finishes a model of other weights.
            channels: told of the choice.
        """
        if self._begun is None or self.before is None:
            return final
        step = self._position.step
        found = self._judged(final)
        if found.no_worse_than(self.before) and (self._best is None or found.frechet <= self._best.frechet):
            return self._chosen(channels, "last", step, found, final)
        if self._best_step is not None:
            kept = fitted(self._weights(self._best_step))
            best = self._judged(kept)
            if best.no_worse_than(self.before):
                return self._chosen(channels, "best", self._best_step, best, kept)
        if found.no_worse_than(self.before):
            return self._chosen(channels, "last", step, found, final)
        weights = self._weights(self._begun)
        back = fitted(weights)
        found = self._judged(back)
        if not found.no_worse_than(self.before):  # finishing has made it worse: as it was
            back.load_state_dict(weights)
            found = self._judged(back)
        return self._chosen(channels, "before", self._begun, found, back)

    def prune(self, checkpoints: Path) -> None:
        """Delete what was kept and nothing goes back to: not this run, and not one resumed from a checkpoint of it.

        Args:
            checkpoints: folder of the run's checkpoints, the newest of this state.
        """
        try:
            states = [self.state(), *map(checkpoint.values_of, checkpoint.found(checkpoints))]
            named = [each.get(KIND) or {} for each in states]
            needed = {each.get(name) for each in named for name in ("begun", "best_step")}
            for path in checkpoint.found(self._path):
                if checkpoint.step_of(path) not in needed:
                    checkpoint.remove(path)
        except (OSError, ValueError):
            return  # later

    def state(self) -> dict[str, Any]:
        """Return JSON values for a checkpoint."""
        return {
            KIND: {
                "begun": self._begun, "from": self._from, "strength": self._strength, "troubles": self._troubles,
                "looks": self._looks, "items": self._items, "before": _plain(self.before), "best": _plain(self._best),
                "best_step": self._best_step,
            }
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to the state of a checkpoint; one of a run without a guard begins anew.

        Raises:
            ValueError: no such state.
        """
        found = state.get(KIND)
        if found is None:
            return
        check_fields(found, _FIELDS)
        self._begun, self._from, self._strength = found["begun"], found["from"], found["strength"]
        self._troubles, self._looks, self._items = found["troubles"], found["looks"], found["items"]
        self.before, self._best, self._best_step = _read(found["before"]), _read(found["best"]), found["best_step"]
        self._obey()

    def _begin(self, channels: Channels) -> None:
        position = self._position
        seconds = _TIME * position.budget.seconds if position.budget.seconds is not None else None
        (items,) = self._processes.agree(
            [float(fitting_items(self._average, self._validation, self._config.evaluation_items, seconds))]
        )
        self._items = int(items)
        self.before = self._judged(self._average)
        if not self._keep(position.step):
            raise TrainingStopped(
                f"step {position.step:,}: what the run has before its adversary was not written to {self._path}; free "
                "some space and go on"
            )
        self._begun, self._from, self._looks = position.step, position.fraction, 0
        self._obey()
        self._write(channels, "begun", self.before)
        channels.say(f"step {position.step:,}: the adversary begins; before it {_said(self.before)}")

    def _go_back(self, channels: Channels, reason: str) -> None:
        assert self._begun is not None
        self._troubles += 1
        self._strength = 0.0 if self._troubles >= _MOST_TROUBLES else _BACK_OFF * self._strength
        to = self._begun if self._best_step is None else self._best_step
        self._put_back(self._read_kept(to).tensors)
        self._obey()
        self._write(channels, "back", None, {"reason": reason, "to": to})
        how = f"{self._strength:g} of its weight" if self._strength else "no adversary from now on"
        channels.say(f"step {self._position.step:,}: {reason}; back to step {to:,}, {how}", style="yellow")

    def _obey(self) -> None:
        """Tell the adversaries whether they have begun, and how strong they are."""
        for part in self.adversaries:
            part.begun = None if self._begun is None else part.steps - (self._position.step - self._begun)
            part.strength = 0.0 if self._begun is None else self._strength
            part.forget_step()

    def _judged(self, model: Trainable) -> Figures:
        with self._position.budget.watching():
            found = judge(model, self._validation, self._items)
        return Figures(*self._processes.agree([found.frechet, found.psnr]))

    def _keep(self, step: int) -> bool:
        """Keep the state of the run; False where it is not finite, or the disk is full."""
        tensors = self._tensors()
        good = all(bool(torch.isfinite(each).all()) for each in tensors.values() if each.is_floating_point())
        if good and self._processes.main:
            try:
                checkpoint.save(self._path, step, tensors, {}, _LOOKS + 2)
            except OSError:
                good = False
        (kept,) = self._processes.agree([float(good)])
        return bool(kept)

    def _read_kept(self, step: int) -> checkpoint.Checkpoint:
        try:
            return checkpoint.read(self._path / f"step_{step:09d}")
        except (OSError, ValueError) as error:
            raise TrainingStopped(f"{self._path}: what was kept of step {step:,} is damaged ({error})") from error

    def _weights(self, step: int) -> dict[str, Tensor]:
        tensors = self._read_kept(step).tensors
        return {name.removeprefix("average/"): each for name, each in tensors.items() if name.startswith("average/")}

    def _chosen(self, channels: Channels, which: str, step: int, found: Figures, model: Trainable) -> Trainable:
        assert self.before is not None
        self._write(channels, "end", found, {"model": which, "of_step": step, **_named(self.before)})
        told = {"last": "the last model", "best": f"the model of step {step:,}"}
        channels.say(
            f"sharp: {told[which]}, {_said(found)} ({_said(self.before)} before the adversary)"
            if which in told
            else f"sharp: nothing was gained; the model is that of step {step:,}, before the adversary ({_said(found)})"
        )
        return model

    def _write(
        self, channels: Channels, event: str, found: Figures | None, more: Mapping[str, Any] | None = None
    ) -> None:
        values = {} if found is None else found.as_dict()
        strength = {"strength": self._strength, "items": self._items}
        channels.write(self._position.step, KIND, {"event": event, **values, **strength, **(more or {})})


def _named(figures: Figures) -> dict[str, float | None]:
    return {f"{name}_before": value for name, value in figures.as_dict().items()}


def _said(figures: Figures) -> str:
    return f"Frechet distance {figures.frechet:.4g}, PSNR {figures.psnr:.2f} dB"


def _plain(figures: Figures | None) -> list[str] | None:
    return None if figures is None else [figures.frechet.hex(), figures.psnr.hex()]


def _read(values: Sequence[str] | None) -> Figures | None:
    return None if values is None else Figures(*(float.fromhex(each) for each in values))
