"""Next-scale prediction (VAR: Tian et al. 2024, arXiv 2404.02905): all indices of a scale, given the coarser ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqkit.errors import ConfigError
from vqkit.priors.filtering import guided
from vqkit.priors.sampling import SamplingParams
from vqkit.priors.scales.groups import check_levels, token_groups, token_places
from vqkit.priors.stepwise import Steps, StepwisePrior, begun
from vqkit.priors.transformer.blocks import Block, Trunk
from vqkit.priors.transformer.prior import CONDITION_STD, POSITION_STD, check_axes
from vqkit.priors.transformer.rotary import rotate
from vqkit.recording import recorded

_CACHE_BYTES = 1 << 30
Kept = list[tuple[Tensor, Tensor]]
"""Keys and values of each block."""


@final
class NextScalePrior(StepwisePrior):
    """Transformer over levels of indices, coarse to fine, one step a level (VAR, arXiv 2404.02905).

    For the indices of quantizers with levels (``multiscale``, ``hierarchical``, ``wavelet``), whose positions are the
    coarsest grid and whose codebooks are the levels within a cell. Indices come in groups: of the first level 1, 1, 2,
    4 ... positions, spread over the grid; then each level at once. Those of a group are independent of each other given
    all groups before, so the probability is exact and normalized, and ``sample`` draws from it in as many passes as
    there are groups.

    Every index is there twice in the sequence: as what is asked for (where it lies, and the sum of the embeddings of
    its own cell's coarser indices) and as what is known. Attention is block-causal: what is known sees what is known of
    its own group and earlier ones; what is asked for sees what is known of earlier groups, and the others of its group.
    In sampling keys and values of what is known are kept. Where VAR feeds the decoder's features back, this reads
    indices only; its levels are not resized, so a grid of any size has them.

    Untrained it gives exactly log K nats per index.

    Args:
        codebook_size: K; indices lie in [0, K).
        grid: positions on each axis, 0 to 3 axes.
        num_codebooks: C, indices at each position, the last axis of the indices when above 1.
        levels: indices of each level in a cell, coarse to fine, C together; None: as of scales 1, 2, 4 ... where C is
            such a number, else each codebook is a level.
        parts: groups of each level below the first. More take more time and assume less independence.
        classes: the number of classes that the grids are conditioned on; None: without.
        class_names: their names, in this order, kept with the prior; None: they go by their numbers.
        condition_dim: length of the vector that each grid is conditioned on, instead of a class; None: without.
        condition_dropout: probability of training a grid without its condition (see ``Conditions``).
        hidden_channels: width of the blocks; even.
        layers: blocks.
        heads: of attention, a divisor of half the width; None: as many as make heads of about 64 numbers.
        dropout: probability of dropping a number that a block adds, in training.

    Raises:
        ConfigError: a value out of range, or a grid of 4 or more axes.

    Example:
        >>> import torch
        >>> from vqkit.priors import NextScalePrior
        >>> prior = NextScalePrior(16, (2, 2), num_codebooks=5, hidden_channels=16, layers=1, heads=2).eval()
        >>> prior.sample(3).shape, [len(group) for group in prior.groups]  # 4 codes of the whole, 4 x 4 of the detail
        (torch.Size([3, 2, 2, 5]), [1, 1, 2, 16])
    """

    model_type: ClassVar[str] = "next_scale"
    guides: ClassVar[bool] = True
    sequence: Tensor
    level: Tensor
    sees: Tensor

    def __init__(
        self,
        codebook_size: int,
        grid: Sequence[int],
        *,
        num_codebooks: int = 1,
        levels: Sequence[int] | None = None,
        parts: int = 1,
        classes: int | None = None,
        class_names: Sequence[str] | None = None,
        condition_dim: int | None = None,
        condition_dropout: float = 0.0,
        hidden_channels: int = 256,
        layers: int = 6,
        heads: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(recorded(NextScalePrior.__init__, locals()))
        check_axes(self.grid)
        self.levels = check_levels(levels, num_codebooks, len(self.grid))
        if parts < 1:
            raise ConfigError(f"parts={parts}: give 1 or more groups for each level")
        self.parts = parts
        self._sizes = [len(group) for group in token_groups(self.grid, self.levels, parts)]
        self.register_constants()
        places, longest = token_places(self.grid, self.levels)
        places = places[self.sequence]
        both = torch.cat([places[: self._known], places])
        self.trunk = Trunk(
            hidden_channels, layers, heads, dropout, queries=both, keys=both, longest=longest, causal=False
        )
        depth = len(self.levels)
        self.embedding = nn.Parameter(torch.randn(depth, codebook_size, hidden_channels))
        self.gain = nn.Parameter(torch.randn(num_codebooks, hidden_channels).sign())
        self.asked = nn.Parameter(torch.randn(num_codebooks, hidden_channels))
        self.place = nn.Parameter(torch.randn(num_codebooks, hidden_channels) * POSITION_STD)
        self.position = nn.Parameter(torch.randn(self.positions, hidden_channels) * POSITION_STD)
        self.condition = self.conditions.layer(hidden_channels, CONDITION_STD)
        self.last = nn.Parameter(torch.zeros(depth, hidden_channels, codebook_size))
        self.last_bias = nn.Parameter(torch.zeros(depth, codebook_size))

    def constants(self) -> dict[str, Tensor]:
        """See ``SteadyBuffers.constants``: the sequence, each codebook's level, and what sees what."""
        groups = token_groups(self.grid, self.levels, self.parts)
        number = torch.repeat_interleave(torch.arange(len(groups)), torch.tensor([len(each) for each in groups]))
        known = number[: len(number) - len(groups[-1])]
        of_known = torch.cat([known[:, None] >= known, torch.zeros(len(known), len(number), dtype=torch.bool)], dim=1)
        of_asked = torch.cat([number[:, None] > known, number[:, None] == number], dim=1)
        return {
            "sequence": torch.cat(groups),
            "level": torch.repeat_interleave(torch.arange(len(self.levels)), torch.tensor(self.levels)),
            "sees": torch.cat([of_known, of_asked]),
        }

    @property
    def groups(self) -> list[Tensor]:
        """The indices of each step, ``position * C + codebook``, in the order in which they are drawn."""
        return list(self.sequence.split(self._sizes))

    @property
    def order(self) -> Tensor:
        """The positions of the first level in the order in which they are drawn, int64 ``[n]``."""
        return self.sequence[: self.positions * self.levels[0] : self.levels[0]] // self.num_codebooks

    def logits(self, indices: Tensor, condition: Tensor | None = None) -> Tensor:
        """Unnormalised log-probabilities ``[batch, *grid, K]`` or ``[batch, *grid, codebooks, K]``.

        Those of an index depend on the groups before its own. Arguments and errors as ``log_prob``.
        """
        items = self._checked_items(indices)
        features = self._features(items, self._checked_condition(condition, len(items)))
        found = features.new_zeros(len(items), self.indices_per_item, self.codebook_size)
        for where, logits in self._by_level(features, self.sequence):
            found[:, self.sequence[where]] = logits
        return found.view(*indices.shape, self.codebook_size)

    def _tokens(self, items: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """What is known and what is asked for of every index, each ``[batch, n * C, H]``, in reading order."""
        own = self.embedding[self.level, items]  # [batch, n, C, H]
        where = self.position[:, None] + self.place
        if self.condition is not None:
            where = where + self.condition(condition)[:, None, None]
        bound = torch.stack([part.sum(dim=2) for part in (own * self.gain).split(self.levels, dim=2)], dim=2)
        before = bound.cumsum(dim=2) - bound  # of the coarser levels of a cell
        count = torch.tensor([0, *itertools.accumulate(self.levels)][:-1], device=items.device).clamp_min(1)
        before = (before * count.to(before.dtype).rsqrt()[:, None])[:, :, self.level]
        return (own + where).flatten(1, 2), (before * self.gain + self.asked + where).flatten(1, 2)

    def _features(self, items: Tensor, condition: Tensor | None) -> Tensor:
        """``[batch, n * C, H]`` of each index given the groups before, in the order of the sequence."""
        known, asked = (each[:, self.sequence] for each in self._tokens(items, condition))
        x = torch.cat([known[:, : self._known], asked], dim=1)
        return self._run(x, slice(None), self.sees)[0][:, self._known :]

    @property
    def _known(self) -> int:
        """Indices that anything else is drawn after."""
        return self.indices_per_item - self._sizes[-1]

    def _run(self, x: Tensor, here: Any, sees: Tensor, past: Kept | None = None, keep: int = 0) -> tuple[Tensor, Kept]:
        """Features of tokens ``[batch, t, H]``, and the keys and values so far, with those of the first ``keep``.

        Args:
            x: the tokens.
            here: their places in the sequence of what is known and what is asked for.
            sees: bool ``[t, past + t]``.
            past: of earlier steps.
            keep: tokens that later steps see.
        """
        trunk, kept = self.trunk, Kept()
        cos, sin = trunk.cos[here].to(x.dtype), trunk.sin[here].to(x.dtype)
        for number, block in enumerate(trunk.each_block()):
            x, pair = _through(block, x, cos, sin, sees, None if past is None else past[number], keep)
            kept.append(pair)
        return trunk.norm(x), kept

    def _by_level(self, features: Tensor, tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
        """``(which of the tokens, logits [batch, m, K])`` of each level that is among them."""
        level, found = self.level[tokens % self.num_codebooks], []
        for number, (last, bias) in enumerate(zip(self.last, self.last_bias, strict=True)):
            where = (level == number).nonzero()[:, 0]
            if len(where):
                found.append((where, features[:, where] @ last + bias))
        return found

    def _token_nats(self, items: Tensor, condition: Tensor | None) -> Tensor:
        """``-log p`` of every index, ``[batch, n * C]``, in reading order."""
        features, flat = self._features(items, condition), items.flatten(1)
        nats = features.new_zeros(flat.shape)
        for where, logits in self._by_level(features, self.sequence):
            tokens = self.sequence[where]
            each = F.cross_entropy(logits.flatten(0, 1), flat[:, tokens].flatten(), reduction="none")
            nats = nats.index_copy(1, tokens, each.view(len(items), -1).to(nats.dtype))
        return nats

    def _log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        return -self._token_nats(items, condition).sum(dim=1)

    def _position_log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        return -self._token_nats(items, condition).view(len(items), self.positions, -1).sum(dim=2)

    def _sample_steps(self, request: SamplingParams) -> Steps:
        items, filled = begun(request, self.positions, self.num_codebooks, self.device)
        yield items, filled
        past: Kept | None = None
        before, start = self.sequence[:0], 0
        flat, full = items.view(request.count, -1), filled.view(request.count, -1)
        for group in self.groups:
            rows = items if request.copies == 1 else items.repeat(2, 1, 1)
            known, asked = self._tokens(rows, request.conditions)
            x = torch.cat([known[:, before], asked[:, group]], dim=1)
            end = start + len(group)
            here = torch.cat([torch.arange(start - len(before), start), self._known + torch.arange(start, end)])
            rows_seen = torch.cat([torch.arange(start), self._known + torch.arange(start, end)])
            here, rows_seen = here.to(x.device), rows_seen.to(x.device)
            found, past = self._run(x, here, self.sees[here][:, rows_seen], past, keep=len(before))
            for where, every in self._by_level(found[:, len(before) :], group):
                both = every.unflatten(0, (request.copies, -1))
                logits = every if request.copies == 1 else guided(both[0], both[1], request.guidance)
                drawn = request.draw(logits.flatten(0, 1)).view(request.count, -1)
                tokens = group[where]
                flat[:, tokens] = torch.where(full[:, tokens], flat[:, tokens], drawn)
                full[:, tokens] = True
            before, start = group, end
            yield items, filled

    @property
    def _rows_at_once(self) -> int:
        return max(1, _CACHE_BYTES // self.trunk.bytes_per_row())


def _through(
    block: Block, x: Tensor, cos: Tensor, sin: Tensor, sees: Tensor, past: tuple[Tensor, Tensor] | None, keep: int
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    attention = block.attention
    qkv = attention.qkv(block.attention_norm(x)).unflatten(-1, (3, attention.heads, -1))
    q, k = (each.transpose(1, 2) for each in rotate(qkv[:, :, :2], cos, sin).unbind(2))
    v = qkv[:, :, 2].transpose(1, 2)
    kept = k[:, :, :keep], v[:, :, :keep]
    if past is not None:
        kept = cast("tuple[Tensor, Tensor]", tuple(torch.cat(pair, dim=2) for pair in zip(past, kept, strict=True)))
        k, v = (torch.cat(pair, dim=2) for pair in zip(past, (k, v), strict=True))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=sees)
    x = x + block.dropout(attention.out(mixed.transpose(1, 2).flatten(2)))
    return x + block.dropout(block.mlp(block.mlp_norm(x))), kept
