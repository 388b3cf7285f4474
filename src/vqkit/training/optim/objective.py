"""The objective of a run: set on the model while it trains, and the optimizers of its own parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from vqkit.chance import forked
from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.objectives import OBJECTIVES, Decoded, LikelihoodObjective, Objective, build_objective
from vqkit.ops import all_reduce_sum_
from vqkit.training.checkpoints import state
from vqkit.training.config import LIKELIHOOD
from vqkit.training.distributed import Processes
from vqkit.training.optim.optimizer import clip_gradients


@runtime_checkable
class Reconstructing(Protocol):
    """A model whose reconstruction loss can be another than its likelihood."""

    axes: int
    channels: int

    @property
    def objective(self) -> Objective:
        """What it minimizes."""
        ...

    def use_objective(self, objective: str | Objective | None) -> None:
        """Minimize this from now on; None: the likelihood."""
        ...


def check_objective(model: Any, objective: str | Objective) -> None:
    """Raise ``ConfigError`` unless a run of this model can record, make and resume the objective.

    An instance is left as it is: what is prepared here is a copy, made of what a run records.
    """
    if isinstance(model, Reconstructing) and not isinstance(model.objective, LikelihoodObjective):
        raise ConfigError(
            f"the model was told use_objective({str(model.objective)!r}), which a run would not record; "
            "model.use_objective(None), and give it to the training: train(..., objective=...)"
        )
    if objective == LIKELIHOOD:
        return
    if not isinstance(model, Reconstructing):
        raise ConfigError(
            f"objective={str(objective)!r}: a {type(model).__name__} reconstructs nothing that it could be a loss of, "
            "and has the one objective of its class; leave it out"
        )
    with forked():
        _rebuilt(objective).prepare_for(model)


def _rebuilt(objective: str | Objective) -> Objective:
    """Build the objective as ``resume`` does, of the words that a run records."""
    if isinstance(objective, str):
        return build_objective(objective)
    for part in objective.parts:
        if OBJECTIVES.name_of(type(part)) is None:
            raise ConfigError(
                f"objective {part.name!r}: its class is not registered, so that no run of it could be resumed; "
                f'decorate the class with @vqkit.objectives.OBJECTIVES.register("name")'
            )
    try:
        return build_objective(str(objective))
    except ConfigError as error:
        raise ConfigError(
            f"objective {shown(str(objective))}: no run of it could be resumed ({error}); let its constructor take "
            "numbers, words and lists of them, and make the rest itself"
        ) from error


@contextmanager
def minimizing(model: Any, objective: str | Objective, processes: Processes) -> Iterator[Sequence[Objective]]:
    """Within the block the model minimizes this objective, the same on all processes; yields its parts."""
    if objective == LIKELIHOOD:
        yield ()
        return
    assert isinstance(model, Reconstructing)  # by check_objective
    model.use_objective(objective)
    try:
        processes.same_state(model.objective)
        yield model.objective.train().parts
    finally:
        model.use_objective(None)


class ObjectiveOptimizers:
    """The parameters that objectives have of their own (discriminators), each objective with its own optimizer.

    Args:
        parts: objectives, those without parameters too.
        clip_norm: largest norm of the gradients of each; 0 does not clip.
        processes: gradients are averaged over them.
    """

    def __init__(self, parts: Sequence[Objective], clip_norm: float, processes: Processes) -> None:
        names = [part.name for part in parts]
        self._parts = {
            name if names.count(name) == 1 else f"{name}-{names[:number].count(name) + 1}": part
            for number, (name, part) in enumerate(zip(names, parts, strict=True))
        }
        made = {name: part.make_optimizer() for name, part in self._parts.items()}
        self._optimizers = {name: optimizer for name, optimizer in made.items() if optimizer is not None}
        self._peaks = {
            name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in self._optimizers.items()
        }
        self._clip_norm = clip_norm
        self._world = processes.world

    def backward(
        self, decoded: Sequence[Decoded], autocast: Callable[[], AbstractContextManager[Any]]
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Compute the gradients of all own losses, from the reconstructions of the model's step.

        Args:
            decoded: the parts that the batch went through the model in.
            autocast: the precision of the run.

        Returns:
            The losses for the log, and the sum of the gradients' norms; None without any.
        """
        logged: dict[str, Tensor] = {}
        norms = []
        for name, optimizer in self._optimizers.items():
            optimizer.zero_grad(set_to_none=True)
            losses = self._accumulate(self._parts[name], decoded, autocast)
            if losses:
                parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
                self._average_gradients(parameters)
                norms.append(clip_gradients(parameters, self._clip_norm))
                logged |= losses
                health = self._parts[name].health()
                if health:
                    logged |= {**health, f"{name}_gradient_norm": norms[-1].detach()}
        return logged, torch.stack(norms).sum() if norms else None

    def step(self, factor: float) -> None:
        """Update all own parameters that have a gradient.

        Args:
            factor: of the learning rates' peaks, by the run's schedule.
        """
        for name, optimizer in self._optimizers.items():
            for group, peak in zip(optimizer.param_groups, self._peaks[name], strict=True):
                group["lr"] = peak * factor
            optimizer.step()
        for part in self._parts.values():
            part.end_step()

    def collect(self) -> dict[str, Tensor]:
        """Return parameters, buffers and optimizers by name, on the CPU, for a checkpoint."""
        tensors: dict[str, Tensor] = {}
        for name, part in self._parts.items():
            tensors |= state.module_tensors(f"objective/{name}", part)
            if name in self._optimizers:
                tensors |= state.optimizer_tensors(f"objective_optimizer/{name}", part, self._optimizers[name])
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Do the inverse of ``collect``; an objective that the checkpoint has nothing of begins as new.

        Raises:
            KeyError, RuntimeError: tensors of another objective.
        """
        for name, part in self._parts.items():
            if any(key.startswith(f"objective/{name}/") for key in tensors):
                state.restore_module(f"objective/{name}", tensors, part)
                if name in self._optimizers:
                    state.restore_optimizer(f"objective_optimizer/{name}", tensors, part, self._optimizers[name])

    def put_back(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to tensors of an earlier step; what counts steps goes on."""
        steps = {name: getattr(part, "steps", None) for name, part in self._parts.items()}
        for optimizer in self._optimizers.values():
            optimizer.state.clear()
        self.restore(tensors)
        for name, part in self._parts.items():
            if steps[name] is not None:
                part.steps = steps[name]  # type: ignore[assignment]

    def _accumulate(
        self, part: Objective, decoded: Sequence[Decoded], autocast: Callable[[], AbstractContextManager[Any]]
    ) -> dict[str, Tensor]:
        """Add the gradient of the mean over the parts of a batch; returns these means."""
        means: dict[str, Tensor] = {}
        for each in decoded:
            with autocast():
                losses = part.own_losses(each)
            if losses:
                (torch.stack(list(losses.values())).sum() / len(decoded)).backward()
            for name, loss in losses.items():
                value = loss.detach() / len(decoded)
                means[name] = means[name] + value if name in means else value
        return means

    def _average_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        if self._world == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        all_reduce_sum_(*gradients)
        torch._foreach_div_(gradients, self._world)
