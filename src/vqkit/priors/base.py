"""Base of every prior: a distribution over grids of indices with one interface, saved as a folder."""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from vqkit.chance import seeded
from vqkit.checking import check_types
from vqkit.data.conversion import as_tensor, index_tensor
from vqkit.data.source import Source
from vqkit.errors import ConfigError, DataError
from vqkit.ops import evaluating
from vqkit.pretrained.trainable import StepOutput, Trainable
from vqkit.priors.conditions import Conditions, check_range, checked_names
from vqkit.priors.contracts import check_log_prob, check_loss, checked_samples
from vqkit.priors.labels import Labels, labels_for
from vqkit.priors.sampling import SamplingParams, check_guidance, check_numbers, checked_known
from vqkit.recording import own_config

_MOST_POSITIONS = 1 << 26
_UNLIMITED = 1 << 62


@dataclass
class PriorOutput(StepOutput):
    """One forward pass.

    Attributes:
        loss: the scalar to minimise: nats per index, a mean over batch, positions and codebooks.
        metrics: scalars to watch, by name: ``nats_per_index`` and ``bits_per_item`` (the ideal length of one whole
            grid under this prior); without gradient.

    Example:
        >>> import torch
        >>> import vqkit
        >>> prior = vqkit.TransformerPrior(16, (4, 4), hidden_channels=16, layers=1, heads=2)
        >>> prior(torch.zeros(2, 4, 4, dtype=torch.int64)).loss.shape
        torch.Size([])
    """


class TokenSet(Protocol):
    """Protocol of tokens for ``Prior.for_tokens``: the codebooks, and the grid of all items (None: they differ).

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tokens = vqkit.tokenize(model, digits, f"{folder}/tokens")
        ...     vqkit.TransformerPrior.for_tokens(tokens, layers=1).codebook_size
        16
    """

    codebook_size: int
    num_codebooks: int
    grid: tuple[int, ...] | None


class Prior(Trainable):
    """p(indices), or p(indices | condition): integer grids ``[batch, *grid]``, or ``[batch, *grid, codebooks]``.

    A prior knows nothing of the signals behind the indices. The last axis is there exactly when
    ``num_codebooks > 1``. ``config`` holds the keyword arguments of the class, all of them, as strict JSON values.

    A condition is a class id per item (``classes=N``), or a vector per item (``condition_dim=D``), or there is none.
    With ``condition_dropout`` above 0 the prior also knows the distribution without a condition, which is what
    ``log_prob(indices, None)`` then gives and what guidance needs (see ``Conditions``).

    Classes may have names (``class_names``, of each one, in the order of the ids): labels of other data are then read
    by name, whatever their numbers there. The config holds them only where there are some.

    What differs between kinds is said by the class: ``closed_form`` (it counts, instead of gradient steps),
    ``training_defaults``, ``conditional_by_default`` (``vqkit prior`` learns the classes of data that has some),
    ``folder_name`` (where it puts the prior in the model's run), ``codes_files`` (its probabilities are the same
    integers on every machine), ``sees_all`` (a position sees all held ones, wherever they lie), ``guides`` (its
    ``_sample`` follows ``request.guidance``; without it guidance is refused), and the names of the constructor's
    arguments (``classes``, ``condition_dim``).

    Inside, positions are flat, in reading order: n of them, of C codebooks each.

    **A prior of your own** subclasses this and defines ``_log_prob`` and ``_sample``. Its constructor takes
    ``codebook_size``, ``grid`` and ``num_codebooks``, and numbers, words and lists of them, which are recorded by
    themselves; it begins with ``super().__init__()``. One that knows classes takes ``classes`` (and, to read labels by
    name, ``class_names``). Registered (``PRIORS.register("mine")``) it is found by its name:
    ``vqkit prior RUN --kind mine``.

    Args:
        config: the keyword arguments of the final class, with at least ``codebook_size``, ``grid`` and
            ``num_codebooks``; ``classes``, ``condition_dim`` and ``condition_dropout`` where it takes conditions. None:
            those that the constructor was called with.

    Raises:
        ConfigError: a value of the wrong type or out of range.

    Example:
        >>> import torch
        >>> import vqkit
        >>> prior = vqkit.TransformerPrior(16, (4, 4), classes=10, hidden_channels=16, layers=1, heads=2).eval()
        >>> prior.sample(2, torch.tensor([3, 7]), temperature=0.9).shape
        torch.Size([2, 4, 4])
    """

    usage: ClassVar[str] = (
        'prior = vqkit.load_prior("path/or/owner/name")\n'
        "indices = prior.sample(4)             # [4, *grid] int64\n"
        "nats = -prior.log_prob(indices)"
    )
    conditional_by_default: ClassVar[bool] = True
    folder_name: ClassVar[str] = "prior"
    codes_files: ClassVar[bool] = False
    sees_all: ClassVar[bool] = False
    guides: ClassVar[bool] = False
    training_defaults: ClassVar[Mapping[str, Any]] = {"batch_size": 64}
    channels: ClassVar[int] = 1
    grid: tuple[int, ...]
    codebook_size: int
    num_codebooks: int
    no_condition: nn.Parameter | None

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        config = own_config(self) if config is None else config
        check_types(type(self).__init__, config)
        for name in ("codebook_size", "num_codebooks"):
            if config[name] < 1:
                raise ConfigError(f"{name}={config[name]}: give 1 or more")
        if min(config["grid"], default=1) < 1:
            raise ConfigError(f"grid={list(config['grid'])}: each axis has 1 position or more")
        self.class_names = checked_names(config.get("class_names"), config.get("classes"))
        if math.prod(config["grid"]) > _MOST_POSITIONS:
            raise ConfigError(f"grid={list(config['grid'])}: give {_MOST_POSITIONS:,} positions at most")
        self.config = {**config, "grid": list(config["grid"])}
        if "class_names" in config:
            self.config = {name: value for name, value in self.config.items() if name != "class_names"}
            if self.class_names is not None:
                self.config["class_names"] = self.class_names
        self.grid = tuple(config["grid"])
        self.codebook_size = config["codebook_size"]
        self.num_codebooks = config["num_codebooks"]
        self.conditions = Conditions(
            config.get("classes"), config.get("condition_dim"), config.get("condition_dropout", 0.0)
        )
        self.no_condition = self.conditions.none()

    @classmethod
    def for_tokens(cls, tokens: TokenSet, *, seed: int | None = None, **options: Any) -> Self:
        """A new prior over what a token set holds: its codebook size, its codebooks, its grid; of classes, their names.

        Args:
            tokens: a ``Tokens``, or anything with ``codebook_size``, ``num_codebooks`` and ``grid`` (and, where classes
                are asked for, perhaps ``class_names``).
            seed: of the initial weights, those that ``vqkit prior --seed`` begins with; None draws them from torch's
                own generator.
            **options: of the constructor, but for what the tokens say; ``help`` of the class tells of each.

        Raises:
            DataError: grids of different sizes.
            ConfigError: an unknown option, or a value out of range.
        """
        if tokens.grid is None:
            raise DataError(
                "these tokens are grids of different sizes; a prior learns grids of one size: encode signals of one "
                "size, or crops"
            )
        own = {
            "codebook_size": tokens.codebook_size,
            "grid": list(tokens.grid),
            "num_codebooks": tokens.num_codebooks,
        }
        twice = sorted(own.keys() & options.keys())
        if twice:
            raise ConfigError(f"{', '.join(twice)}: the tokens say it; leave it out")
        names = getattr(tokens, "class_names", None) if cls.takes("class_names") else None
        if options.get("classes") is not None and names and len(set(names)) == len(names) <= options["classes"]:
            names = [*names, *(str(number) for number in range(len(names), options["classes"]))]
            options = {"class_names": names, **options}
        with seeded(seed):
            return cls.from_config({**own, **options})

    @classmethod
    def takes(cls, argument: str) -> bool:
        """Return whether the constructor takes an argument of this name: ``"classes"``, ``"condition_dim"``, ..."""
        parameters = inspect.signature(cls.__init__).parameters
        return argument in parameters or any(item.kind is item.VAR_KEYWORD for item in parameters.values())

    @abstractmethod
    def _log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        """``log_prob`` of checked arguments: int64 ``[batch, n, C]`` and a condition as ``Conditions`` gives it."""

    @abstractmethod
    def _sample(self, request: SamplingParams) -> Tensor:
        """Grids int64 ``[count, n, C]``, in evaluation mode, without gradient."""

    def _loss(self, items: Tensor, condition: Tensor | None) -> Tensor:
        """Nats per index, a scalar: what training minimises, of checked arguments."""
        nats = check_log_prob(self, self._log_prob(items, condition), len(items))
        return -nats.mean() / self.indices_per_item

    @property
    def _rows_at_once(self) -> int:
        """Grids that one pass of sampling may hold in memory."""
        return _UNLIMITED

    def log_prob(self, indices: Any, condition: Tensor | None = None) -> Tensor:
        """Log-probability of each whole grid, ``[batch]`` float, in nats; differentiable in the parameters.

        Args:
            indices: integers ``[batch, *grid]``, or ``[batch, *grid, codebooks]``, each in ``[0, codebook_size)``.
            condition: of each item: int64 ``[batch]`` class ids, or float ``[batch, condition_dim]``, for a prior that
                has them. Where ``condition_dropout`` is above 0, None (and a class id of -1) means without.

        Raises:
            DataError: indices of another shape, dtype or range; a condition that is missing, unwanted or out of range.
        """
        items = self._checked_items(indices)
        nats = self._log_prob(items, self._checked_condition(condition, len(items)))
        return check_log_prob(self, nats, len(items))

    def forward(self, indices: Any, condition: Tensor | None = None) -> PriorOutput:
        """Loss and metrics of a batch of grids; arguments and errors as ``log_prob``.

        In training mode conditions are dropped with probability ``condition_dropout``.
        """
        items = self._checked_items(indices)
        condition = self._checked_condition(condition, len(items))
        if self.training:
            condition = self.conditions.dropped(condition, self.no_condition)
        loss = check_loss(self, self._loss(items, condition))
        nats = loss.detach()
        return PriorOutput(
            loss, {"nats_per_index": nats, "bits_per_item": nats * (self.indices_per_item / math.log(2.0))}
        )

    if TYPE_CHECKING:

        def __call__(self, indices: Any, condition: Tensor | None = None) -> PriorOutput: ...  # noqa: D102

    @torch.no_grad()
    def sample(
        self,
        count: int,
        condition: Tensor | None = None,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
        known: Any = None,
        keep: Any = None,
    ) -> Tensor:
        """New grids from p(indices), int64 ``[count, *grid]`` or ``[count, *grid, codebooks]``.

        Dropout is off while sampling, whatever the mode; the mode is as before afterwards. One seed gives one set of
        samples on one machine with one number of threads.

        Args:
            count: how many grids.
            condition: of each grid, as for ``log_prob``.
            temperature: each index is drawn from p^(1 / temperature), renormalised: 1 samples the prior itself, less
                makes likely indices likelier.
            top_k: draw each index from its ``top_k`` likeliest values only.
            top_p: of these, from the fewest likeliest that together have probability ``top_p`` (see ``filtered``).
            guidance: w of logits = free + w (conditional - free): 1 samples p(indices | condition), more follows the
                condition more closely and varies less. Other than 1 it needs ``condition_dropout`` above 0 in the
                config, and doubles the work.
            generator: where the randomness comes from, on any device; None is torch's global one.
            known: indices shaped as the result; those where ``keep`` is True are held. The others are not read.
            keep: bool ``[count, *grid]``: the positions that are held (all codebooks of a position, or none).
                What the held ones tell the sampled ones depends on the prior. A masked prior sees all held positions
                from its first step, wherever they lie (it has been trained to; this is the conditional distribution
                of its own ``log_prob`` only where they begin the fixed order). An autoregressive one (PixelCNN,
                transformer) goes through the positions in order and sees those held before each: exact for what
                follows a held beginning, blind to what is held further on.

        Raises:
            ConfigError: a number out of range; guidance that the prior cannot give; ``known`` without ``keep``.
            DataError: a condition that is missing, unwanted, or of another shape, dtype or range; the same of
                ``known`` and ``keep``.
        """
        request = self._request(
            count,
            condition,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            guidance=guidance,
            generator=generator,
            known=known,
            keep=keep,
        )
        return self._sampled(request, self._sample)

    def _request(
        self, count: int, condition: Tensor | None, *, known: Any, keep: Any, **numbers: Any
    ) -> SamplingParams:
        """The checked arguments of ``sample``."""
        check_numbers(count, self.codebook_size, **numbers)
        check_guidance(numbers["guidance"], condition, self.conditions, type(self) if not self.guides else None)
        if known is not None or keep is not None:
            known = None if known is None else index_tensor(known, "known")
            keep = None if keep is None else as_tensor(keep, "keep")
            known, keep = checked_known(known, keep, count, self.grid, self.item_shape)
            known, keep = self._checked_items(known), keep.to(self.device)
        checked = self._checked_condition(condition, count)
        free = None if numbers["guidance"] == 1.0 else self._checked_condition(None, count)
        return SamplingParams(count, checked, free, known=known, keep=keep, **numbers)

    def _sampled(self, request: SamplingParams, make: Callable[[SamplingParams], Tensor]) -> Tensor:
        """Return samples int64 ``[count, *item_shape]``, drawn by ``make`` for the parts of a request in eval mode."""
        with evaluating(self):
            made = torch.cat([checked_samples(self, make(part), part) for part in request.parts(self._rows_at_once)])
        return made.view(request.count, *self.item_shape)

    def read_batch(self, batch: Tensor) -> Tensor:
        """Grids int64 ``[batch, *item_shape]`` from a training batch ``[batch, 1, *item_shape]`` of any integers."""
        return batch[:, 0].long()

    def check_tokens(self, tokens: Any) -> None:
        """See ``Trainable.check_tokens``: of no more codes than the prior knows."""
        if tokens.codebook_size > self.codebook_size:
            raise ConfigError(
                f"{tokens.path} holds indices into {tokens.codebook_size} codes, the prior knows {self.codebook_size}; "
                f"make it with codebook_size={tokens.codebook_size}"
            )

    def check_items(self, source: Source) -> None:
        """See ``Trainable.check_items``: grids of indices, and the conditions that the prior has."""
        if (source.channels, source.size) != (1, self.item_shape) or source.dtype != np.int32:
            raise ConfigError(
                f"the prior reads indices of shape {list(self.item_shape)}, but this is {source.describe()}; tokenize "
                "the data first (vqkit.tokenize), and make the prior with the grid and the codebooks of these tokens"
            )
        self.conditions_of(source)

    def conditions_of(self, source: Source) -> Labels | None:
        """Return the class, or the vector, of each item; see ``labels_for``."""
        return labels_for(self, source)

    def networks_to_compile(self) -> Sequence[nn.Module]:
        """See ``Trainable.networks_to_compile``: none, unless the class says one."""
        return []

    @property
    def classes(self) -> int | None:
        """The number of classes that grids are conditioned on, or None."""
        return self.conditions.classes

    @property
    def axes(self) -> int:
        """Axes of an item: those of the grid, and one for several codebooks."""
        return len(self.item_shape)

    @property
    def positions(self) -> int:
        """n, of the grid."""
        return math.prod(self.grid)

    @property
    def indices_per_item(self) -> int:
        """Positions times codebooks."""
        return self.positions * self.num_codebooks

    @property
    def item_shape(self) -> tuple[int, ...]:
        """``(*grid)``, or ``(*grid, codebooks)`` with several codebooks."""
        return self.grid if self.num_codebooks == 1 else (*self.grid, self.num_codebooks)

    @property
    def _like(self) -> Tensor:
        """A tensor of the prior's dtype and device."""
        return next(self.parameters())

    def _checked_items(self, indices: Any) -> Tensor:
        """``indices`` as ``[batch, n, C]`` on the prior's device; raises ``DataError`` unless they are its grids."""
        indices = index_tensor(indices)
        if tuple(indices.shape[1:]) != self.item_shape or indices.ndim == 0 or len(indices) == 0:
            expected = ", ".join(["batch", *map(str, self.item_shape)])
            raise DataError(
                f"indices have shape {list(indices.shape)}; this prior reads [{expected}] with a batch of 1 or more "
                f"(grid={list(self.grid)}, num_codebooks={self.num_codebooks} in its config)"
            )
        check_range("indices", indices, 0, self.codebook_size, "codebook_size")
        return indices.to(self.device).contiguous().view(len(indices), self.positions, self.num_codebooks)

    def _checked_condition(self, condition: Tensor | None, count: int) -> Tensor | None:
        """See ``Conditions.checked``."""
        return self.conditions.checked(condition, count, self.no_condition, self._like)
