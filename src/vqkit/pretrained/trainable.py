"""``Trainable``, the base class of everything that ``vqkit.train`` trains, with a hook for each step of training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from vqkit.chance import is_seeded
from vqkit.errors import ConfigError
from vqkit.pretrained.base import Pretrained
from vqkit.pretrained.groups import ParameterGroup
from vqkit.registry import Registry


@dataclass
class StepOutput:
    """One forward pass of a training step.

    Attributes:
        loss: the scalar to minimize, a mean over the batch.
        metrics: scalars to watch, by name, without gradient.
        indices: of the codes that were used, int64; None without a codebook.
        decoded: what an objective with parameters of its own learns from.

    Example:
        >>> import torch
        >>> from vqkit import StepOutput
        >>> StepOutput(torch.tensor(0.5), {"error": torch.tensor(0.25)}).loss
        tensor(0.5000)
    """

    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)
    indices: Tensor | None = None
    decoded: tuple[Any, ...] = ()

    def tensors(self) -> dict[str, Tensor]:
        """Return further tensors of the pass by name, which are looked at when the loss is not finite."""
        return {}


class Trainable(Pretrained):
    """Abstract: a module that ``vqkit.train`` trains, with checkpoints, resume, logs and evaluations.

    Only ``forward`` must be defined; each further hook has a default. The arguments of the constructor are recorded:
    a run folder rebuilds it from them and the name that the class is registered under, by the decorator
    ``@vqkit.TRAINABLES.register("line")``.

    Example:
        >>> import torch
        >>> import vqkit
        >>> class Line(vqkit.Trainable):
        ...     def __init__(self, width: int = 3) -> None:
        ...         super().__init__()
        ...         self.layer = torch.nn.Linear(width, width)
        ...
        ...     def forward(self, x):
        ...         return vqkit.StepOutput((self.layer(x) - x).square().mean())
        >>> Line(5)(torch.zeros(2, 5)).loss.shape
        torch.Size([])

    Attributes:
        closed_form: whether ``fit`` solves for the parameters, instead of gradient steps.
        gathered_methods: methods besides ``forward`` that are called from outside and use parameters: under FSDP the
            parameters are gathered for them.
    """

    closed_form: ClassVar[bool] = False
    gathered_methods: ClassVar[tuple[str, ...]] = ()
    _drawn_from: Tensor | None

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """A new instance, which knows where torch's generator stood, unless its weights come from a seed."""
        made: Self = super().__new__(cls)
        object.__setattr__(made, "_drawn_from", None if is_seeded() else torch.get_rng_state())
        return made

    @abstractmethod
    def forward(self, *batch: Any) -> Any:
        """Return a ``StepOutput`` for a batch (``read_batch``) and, where there are any, its conditions."""

    def default_settings(self) -> dict[str, Any]:
        """Return the settings of ``TrainConfig`` that suit it, where none are given: its ``training_defaults``."""
        return dict(self.training_defaults)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device

    @property
    def signal_range(self) -> tuple[float, float] | None:
        """Lowest and highest value of a signal; None: unbounded, or it reads no signals."""
        return None

    @property
    def only_size(self) -> tuple[int, ...] | None:
        """The one size of items that it reads; None: any size."""
        return None

    @property
    def has_trained(self) -> bool:
        """True once a training step was made; before that, ``prepare`` may still set parts that are to be frozen."""
        return True

    @property
    def monitored_quantizer(self) -> Any:
        """The quantizer whose usage, perplexity and restarts the log shows; None without one."""
        return None

    def latents(self, x: Any) -> Tensor | None:
        """Return what ``monitored_quantizer`` quantizes of a batch, ``[batch, D, *grid]``; None: the log says no more.

        With latents, the log also says how far they are from their codes.
        """
        del x
        return None

    @property
    def companions(self) -> Mapping[str, nn.Module]:
        """Modules by name that ``read_batch`` uses, neither trained nor saved; a run records their hashes."""
        return {}

    def with_tokenizer(self, model: Any) -> Self:
        """Read the data with this model from now on; returns itself. By default nothing is read with another model."""
        del model
        return self

    def check_tokens(self, tokens: Any) -> None:
        """Raise ``ConfigError`` unless it can learn from these ``Tokens``; before they are read."""

    def check_items(self, source: Any) -> None:
        """Raise ``ConfigError`` or ``DataError`` unless the items of a ``Source`` are what it learns from."""

    def conditions_of(self, source: Any) -> Any:
        """Return the condition of all items of a ``Source``, an array ``[items, ...]``; None without conditions."""
        del source
        return None

    def forward_arguments(self, x: Tensor, *condition: Tensor) -> tuple[Any, ...]:
        """Return the arguments of ``forward`` for a batch as ``read_batch`` gives it, and its conditions if any."""
        return (x, *condition)

    def with_condition(self, batch: Tensor, *condition: Tensor) -> Any:
        """Return a batch, and its conditions if any, as ``finish`` and ``finishing_pass`` take it."""
        del condition
        return batch

    def read_batch(self, batch: Tensor) -> Tensor:
        """Return what ``forward`` takes, from a training batch ``[batch, channels, *size]``."""
        return batch

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return the groups of its parameters with a weight decay or a learning rate of their own: by default none.

        Any part of a model may have this method. Parameters in no group have the run's learning rate; those of two or
        more axes also its weight decay, but for codebooks (``Quantizer.parameter_groups``).

        Example:
            >>> import torch
            >>> import vqkit
            >>> class Tuned(vqkit.Trainable):
            ...     def __init__(self) -> None:
            ...         super().__init__()
            ...         self.body, self.head = torch.nn.Linear(8, 8), torch.nn.Linear(8, 1)
            ...
            ...     def forward(self, x):
            ...         return vqkit.StepOutput(self.head(self.body(x)).square().mean())
            ...
            ...     def parameter_groups(self):
            ...         return [vqkit.ParameterGroup(list(self.body.parameters()), lr_scale=0.1)]
            >>> [len(group.parameters) for group in Tuned().parameter_groups()]
            [2]
        """
        return []

    def networks_to_compile(self) -> Sequence[nn.Module]:
        """Return the parts that ``torch.compile`` compiles in place: by default the whole module."""
        return [self]

    @property
    def preparation_positions(self) -> int:
        """The number of latent vectors that ``prepare`` needs; 0: a few batches are enough."""
        return 0

    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Initialize from some training batches before the first step: by default nothing."""

    def another_part(self) -> None:
        """Called before the second and each later forward pass of one training step (gradient accumulation)."""

    @property
    def recalibration_positions(self) -> int:
        """The number of latent vectors that ``recalibrate_codebook`` needs; 0: it is not called."""
        return 0

    def recalibrate_codebook(self, batches: Iterable[Tensor]) -> None:
        """Adapt the codebook to the latents of the finished encoder, after the last step; without gradient."""

    def count_positions(self, batch: Tensor) -> int:
        """Return how many latent vectors a batch gives."""
        return len(batch)

    def finish(self, batches: Iterable[Tensor]) -> None:
        """Fit the parts that the loss does not train, after the last step: by default nothing."""

    def finishing_pass(self, batch: Tensor) -> None:
        """Process one batch as ``finish`` does and discard the result; it is timed to choose the number of batches."""

    def fit(self, stream: Callable[[], Iterable[Tensor]]) -> None:
        """Solve for the parameters from passes over all training batches (``closed_form`` classes only).

        Raises:
            ConfigError: the class is trained by gradient steps.
        """
        del stream
        raise ConfigError(f"{type(self).__name__} is trained by gradient steps: vqkit.train(model, data)")

    def evaluate_batch(self, batch: Tensor, *conditions: Tensor) -> Mapping[str, float]:
        """Return measures of a held-out batch, means over its items: by default the loss and the metrics.

        Models, priors and pixel priors are judged by evaluators of their own instead.
        """
        output = self(self.read_batch(batch), *conditions)
        return {"loss": float(output.loss), **{name: float(value) for name, value in output.metrics.items()}}


TRAINABLES: Registry[type[Trainable]] = Registry("trainable", "vqkit.trainables", Trainable, attribute="model_type")
"""Registry of trainable classes that are neither a model nor a prior, by name."""
