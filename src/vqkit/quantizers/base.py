"""The protocol of every quantizer."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from vqkit.deprecation import keep_old_names, moved, renamed_keyword
from vqkit.errors import ConfigError, DataError
from vqkit.ops.buffers import SteadyBuffers
from vqkit.ops.collectives import global_mean
from vqkit.ops.precision import at_least_float32, under_autocast
from vqkit.pretrained.groups import ParameterGroup
from vqkit.quantizers.layout import check_last, is_ambiguous, is_last, warn_ambiguous
from vqkit.quantizers.layout import flatten_grid as flatten_grid
from vqkit.quantizers.layout import per_channel as per_channel
from vqkit.quantizers.layout import unflatten_grid as unflatten_grid
from vqkit.recording import Recorded

__getattr__ = moved(__name__, {"spread": f"{__name__}:per_channel"})
_HALF = (torch.bfloat16, torch.float16)


@dataclass
class Quantization:
    """What a quantizer makes of latents; also unpacks as ``quantized, indices, loss = quantizer(latents)``.

    Attributes:
        quantized: ``[batch, code_dim, *grid]``, the codewords, float32 (of latents in bfloat16 or float16, outside
            autocast, in their dtype); the gradient passes to the latents.
        indices: ``[batch, *grid]`` int64, or ``[batch, *grid, num_codebooks]`` where there are several.
        losses: the quantizer's terms of the loss by name, each already weighted; scalars.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer
        >>> output = EMAVectorQuantizer(16, 4)(torch.randn(2, 4, 5))
        >>> loss = sum(output.losses.values())
        >>> output.quantized.shape, output.indices.shape, loss.shape
        (torch.Size([2, 4, 5]), torch.Size([2, 5]), torch.Size([]))
    """

    quantized: Tensor
    indices: Tensor
    losses: dict[str, Tensor]

    @property
    def loss(self) -> Tensor:
        """The sum of the losses; 0 for a quantizer that needs none."""
        return sum(self.losses.values(), self.quantized.new_zeros(()))

    def __iter__(self) -> Iterator[Tensor]:
        """Quantized latents, indices and the sum of the losses, in this order, as other libraries return them."""
        yield from (self.quantized, self.indices, self.loss)


class Quantizer(Recorded, SteadyBuffers, ABC):
    """Latents ``[batch, code_dim, *grid]`` to indices ``[batch, *grid]`` and back.

    **A quantizer of your own** subclasses this, sets ``codebook_size`` and ``code_dim`` in its constructor, and defines
    ``forward``, ``encode`` and ``lookup``; everything else has a default. Register it
    (``QUANTIZERS.register("mine")``) to find it by name and to load what was saved with it, or give an instance:
    ``VQVAE(quantizer=Mine(512, 64))``. Its constructor takes numbers, words and lists of them, which are recorded by
    themselves; registered under a name, it also takes ``(codebook_size, code_dim, **options)`` in this order.

    The law that every quantizer keeps: ``lookup(q.indices)`` equals ``q.quantized``, bit for bit, as long as the
    quantizer's state is the same (in training mode a codebook may move after each forward pass; a quantizer that
    samples its indices, as Gumbel-softmax does, keeps it too).

    Everything is computed in float32 whatever the autocast state; float64 latents are searched in float64, and
    codewords have the codebook's own dtype. Running averages and constants stay float32 when the module is cast to
    fewer bits (see ``ops.buffers``); parameters are cast.

    Under ``torch.distributed`` all processes must call it together in training mode. Its losses are then means over
    the positions of all processes, with gradients whose average over processes is that of the mean, also where
    processes hold different numbers of positions, or none.

    Example:
        >>> import vqkit
        >>> from vqkit.quantizers import FiniteScalarQuantizer, Quantizer
        >>> model = vqkit.VQVAE(quantizer=FiniteScalarQuantizer(240, 3))  # or one of your own
        >>> isinstance(model.quantizer, Quantizer)
        True
    """

    codebook_size: int
    code_dim: int
    num_codebooks: int = 1
    restarts: int = 0
    """Dead codes restarted so far."""
    nested: bool = False
    """Whether the first m codebooks alone are a coarser code, for every m; an index of -1 then adds nothing."""
    fixed_scale: bool = False
    """Whether the codes stay where they are, so that the latents have to come to them (with unit variance)."""
    follows_latents: bool = True
    """Whether codewords lie among the latents, so that distances between them mean something."""
    recalibrates: bool = False
    """Whether its codes follow the latents that it is shown in training mode, without any gradient."""
    learns_from_output: bool = False
    """Whether the codewords receive the gradient of ``quantized``, and the latents another one than the identity."""
    seen: list[tuple[Tensor, Tensor | None, Tensor | None]] | None = None
    """Within ``whole_batch``: what is to be learned from, and has not been yet."""
    frozen: bool = False
    """Whether its codes stay as they are in training mode too: no running averages, no restarts, no first values."""
    channels_first: bool = False
    """Whether it has been said that vectors lie in the second axis; otherwise latents whose last axis is as long warn.

    Models, ``ChannelsLast`` and quantizers that are made of others say it of theirs."""

    if TYPE_CHECKING:

        def __call__(  # noqa: D102
            self,
            latents: Tensor,
            mask: Tensor | None = None,
            *,
            channel_last: bool | None = None,
            update: bool = True,
            **further: Any,
        ) -> Quantization: ...

    def __call__(  # type: ignore[no-redef]
        self, *arguments: Any, channel_last: bool | None = None, update: bool = True, **further: Any
    ) -> Quantization:
        """Quantize latents; what ``forward`` does, in either layout, with or without learning from them.

        Args:
            latents: ``[batch, code_dim, *grid]``, any number of grid axes, none included.
            mask: ``[batch, *grid]`` bool, False at positions that count in no loss and no statistic; None: all count.
            channel_last: True: latents and codewords are ``[batch, *grid, code_dim]`` in this call (``ChannelsLast``
                is for all calls, of ``encode`` and ``lookup`` too). False says that they are not, and stops the
                warning where both would do.
            update: False: codes and their statistics stay as they are in this call, in training mode too. A codebook
                that learns by the gradient still receives its gradient.
            **further: of a ``forward`` with more arguments.

        Raises:
            ValueError: latents or a mask of another shape.

        Example:
            >>> import torch
            >>> from vqkit import EMAVectorQuantizer
            >>> layer = EMAVectorQuantizer(16, 4)
            >>> layer(torch.randn(2, 5, 4), channel_last=True).quantized.shape
            torch.Size([2, 5, 4])
            >>> before = layer.codebook.clone()
            >>> quantized, indices, loss = layer(torch.randn(2, 4, 5), update=False)
            >>> torch.equal(layer.codebook, before)
            True
        """
        latents: Tensor | None = arguments[0] if arguments else further.pop("latents", None)
        if latents is not None:  # a forward of somebody else's may call it otherwise
            if channel_last:
                check_last(latents, self.code_dim)
                latents = latents.movedim(-1, 1)
            arguments = (latents, *arguments[1:])
        said, self.channels_first = self.channels_first, self.channels_first or channel_last is not None
        held = [] if update else [part for part in self.modules() if isinstance(part, Quantizer) and not part.frozen]
        for part in held:
            part.frozen = True
        try:
            found: Quantization = super().__call__(*arguments, **further)
        finally:
            self.channels_first = said
            for part in held:
                part.frozen = False
        half = None if latents is None or latents.dtype not in _HALF or under_autocast(latents) else latents.dtype
        if half is not None and isinstance(found, Quantization):
            found = Quantization(found.quantized.to(half), found.indices, found.losses)
        return Quantization(found.quantized.movedim(1, -1), found.indices, found.losses) if channel_last else found

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keep_old_names(cls, _OLD_NAMES)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """See ``nn.Module.register_buffer``; raises ``ConfigError`` for the name of a method."""
        self._check_free(name)
        super().register_buffer(name, tensor, persistent)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """See ``nn.Module.register_parameter``; raises ``ConfigError`` for the name of a method."""
        self._check_free(name)
        super().register_parameter(name, param)

    def _check_free(self, name: str) -> None:
        if callable(getattr(type(self), name, None)):
            raise ConfigError(
                f"{type(self).__name__}: a tensor named {name!r} would hide the method of that name, which every "
                f"quantizer has; call it {name}_ or otherwise"
            )

    @classmethod
    def own_dim(cls, codebook_size: int, options: Mapping[str, Any]) -> int | None:
        """The only ``code_dim`` possible with these options, or None where any is.

        Raises:
            ConfigError: when no dimension makes such a codebook.
        """
        del codebook_size, options
        return None

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """As of every module; False also freezes what is learned without a gradient (see ``frozen``)."""
        super().requires_grad_(requires_grad)
        freeze(self, not requires_grad)
        return self

    def freeze(self) -> Self:
        """Keep the codes as they are, in training mode too (see ``frozen``); returns itself.

        Example:
            >>> from vqkit.quantizers import EMAVectorQuantizer
            >>> EMAVectorQuantizer(16, 4).freeze()
            EMAVectorQuantizer(codebook_size=16, code_dim=4, decay=0.99, frozen=True)
        """
        return self.requires_grad_(False)

    def unfreeze(self) -> Self:
        """Let the codes learn again in training mode; returns itself."""
        return self.requires_grad_(True)

    def extra_repr(self) -> str:
        """Say the sizes, what was given besides, and whether it is frozen."""
        said = {name: getattr(self, name) for name in ("codebook_size", "code_dim", "decay") if hasattr(self, name)}
        usual = {name: each.default for name, each in inspect.signature(type(self)).parameters.items()}
        for name, value in getattr(self, "_arguments", {}).items():
            if isinstance(value, int | float | str) and name not in said and usual.get(name) != value:
                said[name] = value
        said |= {"frozen": True} if self.frozen else {}
        return ", ".join(f"{name}={value!r}" for name, value in said.items())

    def codebook_parameters(self) -> list[nn.Parameter]:
        """Parameters that hold codewords: weight decay and sharding leave them alone. By default ``codebook``."""
        own = self._parameters.get("codebook")
        return [] if own is None else [own]

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """See ``Trainable.parameter_groups``: codewords do not decay."""
        return [ParameterGroup(self.codebook_parameters(), weight_decay=0.0, orthogonal=False)]

    @abstractmethod
    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """Quantise ``[batch, code_dim, *grid]``; in training mode also update the codebook's statistics.

        Args:
            latents: floating.
            mask: ``[batch, *grid]`` bool, False at padded positions. Those get indices and codewords as any other
                (so that decoding the indices gives the forward pass), but count in no loss and no statistic.
        """

    @abstractmethod
    def encode(self, latents: Tensor) -> Tensor:
        """Indices ``[batch, *grid]`` int64 of latents ``[batch, code_dim, *grid]``; changes no state."""

    @abstractmethod
    def lookup(self, indices: Tensor) -> Tensor:
        """Codewords ``[batch, code_dim, *grid]`` of indices ``[batch, *grid]``.

        Raises:
            ValueError: when an index lies outside ``[0, codebook_size)``.
        """

    @property
    def initialized(self) -> bool:
        """Whether the codebook has its first values from data (or needs none)."""
        return True

    def initialize(self, vectors: Tensor) -> None:
        """Set the first codebook from latent vectors ``[N, code_dim]``; no communication between processes."""
        del vectors

    def learn_seen(self, seen: list[tuple[Tensor, Tensor | None, Tensor | None]]) -> None:
        """Learn from the parts of a batch at once, as from the whole: what ``forward`` has put into ``seen``."""
        del seen

    def residual_gain(self, like: Tensor) -> Tensor | float:
        """By how much each further stage of a residual quantizer magnifies what the one before has left."""
        del like
        return 1.0

    def residual_start(self, latents: Tensor) -> Tensor:
        """Latents ``[batch, D, *grid]`` as the first of several residual stages receives them."""
        return latents

    def join_residual(self) -> None:
        """Told to each stage of a residual quantizer: latents come as ``residual_start`` gives them."""

    def validate(self, latents: Tensor, mask: Tensor | None = None) -> Tensor:
        """Check latents, and return them in float32 or wider; what is not finite at padded positions becomes 0.

        Raises:
            ValueError: latents, or a mask, of another shape.
        """
        self.check_latents(latents, mask)
        latents = at_least_float32(latents)
        if mask is None:
            return latents
        return torch.where(mask.unsqueeze(1) | torch.isfinite(latents), latents, latents.new_zeros(()))

    def place(self, latents: Tensor) -> Tensor:
        """Latents ``[batch, D, *grid]`` where they are compared with codewords: bounded, or on a sphere, if need be."""
        return at_least_float32(latents)

    def check_latents(self, latents: Tensor, mask: Tensor | None = None) -> None:
        """Raises ``ValueError`` for latents (or a mask) of another shape; warns of latents in an unclear layout."""
        if latents.ndim < 2 or latents.shape[1] != self.code_dim:
            raise ValueError(
                f"latents have shape {tuple(latents.shape)}; expected [batch, {self.code_dim}, *grid], since "
                f"code_dim={self.code_dim}"
                + " (for vectors in the last axis: ChannelsLast(layer))"
                * is_last(latents.shape, self.code_dim)
            )
        exporting = torch.compiler.is_exporting()  # a question of one size would bind a dynamic axis to the others
        if not self.channels_first and not exporting and is_ambiguous(latents.shape, self.code_dim):
            warn_ambiguous(latents.ndim, self.code_dim)
        positions = (latents.shape[0], *latents.shape[2:])
        if mask is not None and (tuple(mask.shape) != positions or mask.dtype != torch.bool):
            raise ValueError(
                f"the mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; expected bool {positions}, one for "
                "each position: [batch, *grid]"
            )

    def check_indices(self, indices: Tensor) -> Tensor:
        """The indices as int64; raises ``ValueError`` when they are no integers of ``[0, codebook_size)``."""
        if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
            raise DataError(f"indices have dtype {indices.dtype}; give integers in [0, {self.codebook_size})")
        indices = indices.long()
        if indices.numel() and not indices.is_meta and not torch.compiler.is_compiling():
            low, high = int(indices.min()), int(indices.max())
            if low < 0 or high >= self.codebook_size:
                raise DataError(
                    f"indices reach from {low} to {high}; this codebook has {self.codebook_size} codes, so they must "
                    f"lie in [0, {self.codebook_size - 1}]: were they made by another model?"
                )
        return indices


_OLD_NAMES = {
    "codes": "lookup",
    "enter": "validate",
    "fresh": "restarted",
    "initialise": "initialize",
    "initialised": "initialized",
    "settles": "recalibrates",
}
keep_old_names(Quantizer, _OLD_NAMES)


def freeze(module: torch.nn.Module, frozen: bool) -> None:
    """Set ``frozen`` of every quantizer in a module."""
    for each in module.modules():
        if isinstance(each, Quantizer):
            each.frozen = frozen


def codebook_parameters(module: nn.Module) -> set[nn.Parameter]:
    """Collect the codewords of every quantizer in a module (see ``Quantizer.codebook_parameters``)."""
    parts = [part for part in module.modules() if isinstance(part, Quantizer)]
    return {parameter for part in parts for parameter in part.codebook_parameters()}


def mean_losses(losses: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Average the terms of several quantizers by name; one that lacks a term counts as 0 in it."""
    zero = torch.zeros_like(next((term for terms in losses for term in terms.values()), torch.zeros(())))
    names = dict.fromkeys(name for terms in losses for name in terms)
    return {name: torch.stack([terms.get(name, zero) for terms in losses]).mean() for name in names}


@renamed_keyword("across", "reduce_over_ranks")
def masked_mean(values: Tensor, mask: Tensor | None, *, reduce_over_ranks: bool) -> Tensor:
    """Mean over batch, channels and the positions that the mask keeps (0 when it keeps none).

    Args:
        values: ``[batch, D, *grid]``.
        mask: ``[batch, *grid]`` bool, or None for all.
        reduce_over_ranks: over the positions of all processes (see ``ops.global_mean``).

    Example:
        >>> import torch
        >>> from vqkit.quantizers import masked_mean
        >>> values = torch.tensor([[[1.0, 3.0, 99.0]]])  # [batch, channels, *grid]
        >>> masked_mean(values, torch.tensor([[True, True, False]]), reduce_over_ranks=False).item()
        2.0
    """
    if mask is None:
        mean = values.mean() if values.numel() else values.sum()
        count = values.new_tensor(values.numel() // max(values.shape[1], 1)) if reduce_over_ranks else None
    else:
        count = mask.sum()
        mean = torch.where(mask.unsqueeze(1), values, values.new_zeros(())).sum() / (count * values.shape[1]).clamp_min(
            1
        )
    return global_mean(mean, count) if reduce_over_ranks and count is not None else mean
