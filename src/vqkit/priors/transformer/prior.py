"""A decoder-only transformer over grids of indices of 0 to 3 axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.priors.head import CodebookHead, embed_indices
from vqkit.priors.sequential import SequentialPrior
from vqkit.priors.transformer.blocks import Trunk
from vqkit.priors.transformer.kv_cache import KeyValueCache
from vqkit.priors.transformer.rotary import grid_positions
from vqkit.recording import recorded

_CACHE_BYTES = 1 << 30
_MOST_AXES = 3
POSITION_STD, CONDITION_STD = 0.1, 0.3
"""Of what is added to tokens of unit variance. A condition that starts at zero is learned later."""


@final
class TransformerPrior(SequentialPrior):
    """Causal transformer (decoder only), with rotary positions on every axis of the grid.

    p(indices) is a product over positions in reading order, and over the codebooks of each position in turn.
    The token at place t is the sum of a learned start vector (t = 0) or the embeddings of the indices of position
    t - 1, a learned vector of position t, and a linear map of the condition: so the condition is no place of its own
    but a part of every token. Causal blocks (``Trunk``) make features of everything before position t, and a small
    head (``CodebookHead``) adds the earlier codebooks of the position itself. Attention also knows where things are
    relative to each other by rotary positions along each axis of the grid: a query turns by the position that it
    predicts, a key by the position whose indices it holds.

    Untrained it gives exactly log K nats per index. Sampling keeps the keys and values of each block in buffers that
    are allocated once, and computes one token a step, or several with guesses (``ahead`` of ``sample``).

    Args:
        codebook_size: K; indices lie in [0, K).
        grid: positions on each axis, 0 to 3 axes.
        num_codebooks: C, indices at each position, the last axis of the indices when above 1.
        classes: the number of classes that the grids are conditioned on; None: without.
        class_names: their names, in this order, kept with the prior; None: they go by their numbers.
        condition_dim: length of the vector that each grid is conditioned on, instead of a class; None: without.
        condition_dropout: probability of training a grid without its condition (see ``Conditions``).
        hidden_channels: width of the blocks and of the head; even.
        layers: blocks.
        heads: of attention, a divisor of half the width; None: as many as make heads of about 64 numbers.
        dropout: probability of dropping a number that a block adds, in training.

    Raises:
        ConfigError: a value out of range, or a grid of 4 or more axes.

    Example:
        >>> import torch
        >>> from vqkit import TransformerPrior
        >>> prior = TransformerPrior(16, (4, 4), hidden_channels=16, layers=1, heads=2).eval()
        >>> prior.log_prob(torch.zeros(2, 4, 4, dtype=torch.int64)).shape, prior.sample(3).shape
        (torch.Size([2]), torch.Size([3, 4, 4]))
    """

    model_type: ClassVar[str] = "transformer"

    def __init__(
        self,
        codebook_size: int,
        grid: Sequence[int],
        *,
        num_codebooks: int = 1,
        classes: int | None = None,
        class_names: Sequence[str] | None = None,
        condition_dim: int | None = None,
        condition_dropout: float = 0.0,
        hidden_channels: int = 256,
        layers: int = 6,
        heads: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(recorded(TransformerPrior.__init__, locals()))
        check_axes(self.grid)
        places = grid_positions(self.grid)
        self.trunk = Trunk(
            hidden_channels,
            layers,
            heads,
            dropout,
            queries=places,
            keys=torch.cat([places[:1], places[:-1]]),
            longest=max(self.grid, default=1),
            causal=True,
        )
        self.embedding = nn.Parameter(torch.empty(num_codebooks, codebook_size, hidden_channels))
        nn.init.normal_(self.embedding, std=num_codebooks**-0.5)
        self.start = nn.Parameter(torch.randn(hidden_channels))
        self.position = nn.Parameter(torch.randn(self.positions, hidden_channels) * POSITION_STD)
        self.condition = self.conditions.layer(hidden_channels, CONDITION_STD)
        self.head = CodebookHead(hidden_channels, hidden_channels, codebook_size, num_codebooks)

    def networks_to_compile(self) -> list[nn.Module]:
        """See ``Trainable.networks_to_compile``."""
        return [self.trunk]

    def _features(self, items: Tensor, condition: Tensor | None) -> Tensor:
        start = self.start.expand(len(items), 1, -1)
        x = torch.cat([start, embed_indices(items[:, :-1], self.embedding)], dim=1) + self.position
        if self.condition is not None:
            x = x + self.condition(condition).unsqueeze(1)
        features: Tensor = self.trunk(x)
        return features

    def _walk(self, rows: int, condition: Tensor | None) -> TransformerState:
        return TransformerState(self, rows, condition)

    @property
    def _rows_at_once(self) -> int:
        return max(1, _CACHE_BYTES // self.trunk.bytes_per_row())


@final
class TransformerState:
    """A ``IncrementalState``: one token a step through the blocks, with a cache of keys and values."""

    def __init__(self, prior: TransformerPrior, rows: int, condition: Tensor | None) -> None:
        self._cache = KeyValueCache(prior.trunk, rows)
        self._embedding = prior.embedding
        self._start = prior.start.expand(rows, -1)
        self._positions = prior.position.unbind()
        self._condition = None if prior.condition is None else prior.condition(condition)

    def features(self, position: int, previous: Tensor | None) -> Tensor:
        """See ``IncrementalState.features``."""
        token = self._start if previous is None else embed_indices(previous, self._embedding)
        token = token + self._positions[position]
        return self._cache.step(token if self._condition is None else token + self._condition, position)

    def window(self, start: int, end: int, items: Tensor) -> Tensor:
        """See ``WindowState.window``."""
        tokens = embed_indices(items[:, max(0, start - 1) : end - 1], self._embedding)
        if start == 0:
            tokens = torch.cat([self._start.unsqueeze(1), tokens], dim=1)
        tokens = tokens + torch.stack(self._positions[start:end])
        if self._condition is not None:
            tokens = tokens + self._condition.unsqueeze(1)
        return self._cache.window(tokens, start)

    def reach(self, start: int) -> int:
        """See ``WindowState.reach``: the whole grid."""
        del start
        return len(self._positions)


def check_axes(grid: Sequence[int]) -> None:
    """Raise ``ConfigError`` for a grid of more axes than a transformer reads."""
    if len(grid) > _MOST_AXES:
        raise ConfigError(
            f"grid={list(grid)}: a transformer reads grids of 0 to {_MOST_AXES} axes; {len(grid)} axes need another "
            "prior"
        )
