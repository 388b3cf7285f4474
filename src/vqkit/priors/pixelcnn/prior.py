"""The gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328) over grids of indices of 0 to 2 axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast, final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.priors.head import CodebookHead, embed_indices
from vqkit.priors.pixelcnn.incremental import PixelCNNState
from vqkit.priors.pixelcnn.layers import GatedLayer
from vqkit.priors.sequential import SequentialPrior
from vqkit.recording import recorded


@final
class GatedPixelCNN(SequentialPrior):
    """Gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328): causal convolutions in reading order.

    p(indices) is a product over positions in reading order, and over the codebooks of each position in turn. Two
    stacks of causal convolutions (``GatedLayer``) describe everything before a position, once per position; a small
    head (``CodebookHead``) then adds the earlier codebooks of the position itself. Beyond the paper: the input
    carries a learned embedding of the position, since grids of indices are small and of one size.

    A grid of 1 axis is one row and has no vertical stack; a grid of 0 axes (the indices of a vector) is one position.
    Untrained it gives exactly log K nats per index.

    A position reads ``layers * (kernel // 2)`` rows upwards and columns to the left: for a grid larger than that,
    take more layers or a larger kernel.

    Args:
        codebook_size: K; indices lie in [0, K).
        grid: positions on each axis, 0 to 2 axes.
        num_codebooks: C, indices at each position, the last axis of the indices when above 1.
        classes: the number of classes that the grids are conditioned on; None: unconditional.
        class_names: their names, in this order, kept with the prior; None: they go by their numbers.
        hidden_channels: width of the skip connections and of the head, and of the convolutions before their gates;
            even, since the gates halve it (2p in the paper).
        layers: of both stacks.
        kernel: the window's width, odd: 3 or more.
        dropout: probability of dropping a gated value in training.
        condition_dim: length of the vector that each grid is conditioned on, instead of a class; None: without.
        condition_dropout: probability of training a grid without its condition (see ``Conditions``).

    Raises:
        ConfigError: a value out of range, or a grid of 3 or more axes.

    Example:
        >>> import torch
        >>> from vqkit import GatedPixelCNN
        >>> prior = GatedPixelCNN(16, (4, 4), hidden_channels=8, layers=2).eval()
        >>> prior.log_prob(torch.zeros(2, 4, 4, dtype=torch.int64)).shape, prior.sample(3).shape
        (torch.Size([2]), torch.Size([3, 4, 4]))
    """

    model_type: ClassVar[str] = "pixelcnn"

    def __init__(
        self,
        codebook_size: int,
        grid: Sequence[int],
        *,
        num_codebooks: int = 1,
        classes: int | None = None,
        class_names: Sequence[str] | None = None,
        hidden_channels: int = 64,
        layers: int = 8,
        kernel: int = 3,
        dropout: float = 0.0,
        condition_dim: int | None = None,
        condition_dropout: float = 0.0,
    ) -> None:
        super().__init__(recorded(GatedPixelCNN.__init__, locals()))
        _check(self.config)
        height, width = (1, 1, *self.grid)[-2:]
        self.height, self.width = height, width
        self.reach = layers * (kernel // 2)
        self.embedding = nn.Parameter(torch.empty(num_codebooks, codebook_size, hidden_channels))
        nn.init.normal_(self.embedding, std=num_codebooks**-0.5)
        self.position = nn.Parameter(torch.zeros(height, width, hidden_channels))
        channels = hidden_channels // 2
        self.layers = nn.ModuleList(
            GatedLayer(
                channels if number else hidden_channels,
                channels,
                hidden_channels,
                kernel,
                first=number == 0,
                last=number == layers - 1,
                tall=height > 1,
                conditions=self.conditions,
                dropout=dropout,
            )
            for number in range(layers)
        )
        self.head = CodebookHead(hidden_channels, hidden_channels, codebook_size, num_codebooks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _features(self, items: Tensor, condition: Tensor | None) -> Tensor:
        x = self._embed(items.view(len(items), self.height, self.width, self.num_codebooks))
        features = self._horizontal(x, self._vertical(x, condition), condition)
        return features.movedim(1, 3).flatten(1, 2)

    def _walk(self, rows: int, condition: Tensor | None) -> PixelCNNState:
        layers = cast("list[GatedLayer]", list(self.layers))
        return PixelCNNState(layers, self.embedding, self.position, rows, condition)

    @property
    def _stack(self) -> list[GatedLayer]:
        return [cast("GatedLayer", layer) for layer in self.layers]

    def _embed(self, items: Tensor) -> Tensor:
        """``[batch, channels, rows, columns]`` of indices ``[batch, rows, columns, codebooks]``."""
        return (self.position + embed_indices(items, self.embedding)).movedim(3, 1)

    def _vertical(self, x: Tensor, condition: Tensor | None) -> list[Tensor | None]:
        """Return the features that each layer's vertical stack passes to the horizontal one."""
        if self.height == 1:
            return [None] * len(self.layers)
        contributions: list[Tensor | None] = []
        for layer in self._stack:
            x, contribution = layer.vertical(x, condition)
            contributions.append(contribution)
        return contributions

    def _horizontal(self, x: Tensor, contributions: Sequence[Tensor | None], condition: Tensor | None) -> Tensor:
        """The sum of the skip connections, ``[batch, hidden_channels, rows, columns]``, rectified."""
        total = torch.zeros((), device=x.device, dtype=x.dtype)
        for layer, contribution in zip(self._stack, contributions, strict=True):
            x, skip = layer.horizontal(x, contribution, condition)
            total = total + skip
        return total.relu()


def _check(config: dict[str, Any]) -> None:
    if len(config["grid"]) > 2:
        raise ConfigError(
            f"grid={config['grid']}: a PixelCNN reads grids of 0 to 2 axes; "
            f"{len(config['grid'])} axes need another prior"
        )
    if config["hidden_channels"] < 2 or config["hidden_channels"] % 2:
        raise ConfigError(f"hidden_channels={config['hidden_channels']}: the gates halve it: give an even number")
    if config["layers"] < 1:
        raise ConfigError(f"layers={config['layers']}: give 1 or more")
    if config["kernel"] < 3 or config["kernel"] % 2 == 0:
        raise ConfigError(f"kernel={config['kernel']}: give an odd number, 3 or more")
    if not 0.0 <= config["dropout"] < 1.0:
        raise ConfigError(f"dropout={config['dropout']}: give a probability in [0, 1)")
