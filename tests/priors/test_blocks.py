"""What priors are made of: rotary positions, the transformer against a slow one, packed products, waiting."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.priors.cases import SEQUENTIAL, SMALL, named, randomised, seeded
from vqkit.priors import TransformerPrior
from vqkit.priors.sampling import SamplingParams
from vqkit.priors.transformer import packed_linear as packing
from vqkit.priors.transformer.blocks import Block, Trunk
from vqkit.priors.transformer.rotary import grid_positions, rotate, rotations


def slow_rotation(x: list[float], coordinates: list[float], longest: int) -> list[complex]:
    """Pair i as a complex number, turned by its axis's coordinate times its frequency."""
    half, axes = len(x) // 2, len(coordinates)
    found = []
    for pair in range(half):
        value = complex(x[pair], x[pair + half])
        if axes:
            axis, number = pair % axes, pair // axes
            last = len(range(axis, half, axes)) - 1
            frequency = longest ** -(number / last if last else 0.0)
            value *= complex(math.cos(frequency * coordinates[axis]), math.sin(frequency * coordinates[axis]))
        found.append(value)
    return found


@pytest.mark.parametrize("grid", [[], [5], [3, 4], [2, 3, 2]], ids=str)
def test_rotations_turn_pairs_of_numbers(grid: list[int]) -> None:
    positions = grid_positions(grid)
    assert positions.tolist() == [list(map(float, each)) for each in itertools.product(*map(range, grid))]
    longest = max(grid, default=1)
    cos, sin = (each.double() for each in rotations(positions, 14, longest))
    x = torch.randn(len(positions), 14, generator=seeded(0), dtype=torch.float64)
    turned = rotate(x, cos, sin)
    for row, coordinates, found in zip(x.tolist(), positions.tolist(), turned.tolist(), strict=True):
        for pair, value in enumerate(slow_rotation(row, coordinates, longest)):
            assert found[pair] == pytest.approx(value.real, abs=1e-6)
            assert found[pair + 7] == pytest.approx(value.imag, abs=1e-6)


def test_scores_depend_on_the_offset_only() -> None:
    positions = grid_positions([4, 4])
    cos, sin = (each.double() for each in rotations(positions, 16, 4))
    q, k = torch.randn(2, 1, 16, generator=seeded(0), dtype=torch.float64)
    scores = rotate(q.expand(16, -1), cos, sin) @ rotate(k.expand(16, -1), cos, sin).T
    by_offset: dict[tuple[float, ...], list[float]] = {}
    for a, b in itertools.product(range(16), repeat=2):
        by_offset.setdefault(tuple((positions[a] - positions[b]).tolist()), []).append(float(scores[a, b]))
    for values in by_offset.values():
        assert max(values) - min(values) < 1e-5
    assert len({round(values[0], 4) for values in by_offset.values()}) == 49, "every offset has a score of its own"


def slow_block(block: Block, x: Tensor, positions: list[list[Tensor]], longest: int, causal: bool) -> Tensor:
    """A block on one grid ``[n, channels]``, one pair of positions at a time, from the paper's formulas."""

    def norm(row: Tensor, weight: Tensor) -> Tensor:
        return row / (row**2).mean().sqrt() * weight

    n, heads = len(x), block.attention.heads
    rows = [block.attention.qkv.weight @ norm(row, block.attention_norm.weight) for row in x]
    attended = []
    for i in range(n):
        parts = []
        for head in range(heads):
            size = x.shape[1] // heads
            of = [[part.view(heads, size)[head] for part in row.chunk(3)] for row in rows]
            query = slow_rotation(of[i][0].tolist(), positions[i][0].tolist(), longest)
            scores = []
            for j in range(i + 1 if causal else n):
                key = slow_rotation(of[j][1].tolist(), positions[j][1].tolist(), longest)
                real = sum((a * b.conjugate()).real for a, b in zip(query, key, strict=True))
                scores.append(real / math.sqrt(size))
            weights = [math.exp(each - max(scores)) for each in scores]
            parts.append(sum(w * each[2] for w, each in zip(weights, of, strict=False)) / sum(weights))
        attended.append(block.attention.out.weight @ torch.cat(parts))  # type: ignore[arg-type]
    x = x + torch.stack(attended)
    out = []
    for row in x:
        a, b = (block.mlp.up.weight @ norm(row, block.mlp_norm.weight)).chunk(2)
        out.append(row + block.mlp.down.weight @ (a * torch.sigmoid(a) * b))
    return torch.stack(out)


@pytest.mark.parametrize("causal", [True, False])
def test_the_trunk_agrees_with_a_slow_one(causal: bool) -> None:
    places = grid_positions([2, 3])
    keys = torch.cat([places[:1], places[:-1]]) if causal else places
    trunk = Trunk(12, 2, 2, 0.0, queries=places, keys=keys, longest=3, causal=causal).double().eval()
    with torch.no_grad():
        for each in trunk.parameters():
            each.normal_(std=0.5, generator=seeded(each.numel()))
        x = torch.randn(1, 6, 12, generator=seeded(1), dtype=torch.float64)
        slow = x[0]
        for block in trunk.each_block():
            slow = slow_block(block, slow, list(zip(places, keys, strict=True)), 3, causal)  # type: ignore[arg-type]
        slow = slow / (slow**2).mean(1, keepdim=True).sqrt() * trunk.norm.weight
        assert torch.allclose(trunk(x)[0], slow, atol=1e-5)


def test_heads_are_of_about_64_numbers() -> None:
    for channels, heads in [(512, 8), (256, 4), (64, 1), (8, 1), (200, 2), (130, 1)]:
        assert TransformerPrior(4, [2], hidden_channels=channels, layers=1).trunk.heads == heads


@pytest.mark.parametrize(("inputs", "outputs", "rows"), [(512, 256, 16), (300, 500, 1), (512, 256, 500), (8, 8, 4)])
def test_packed_products_are_products(inputs: int, outputs: int, rows: int) -> None:
    weight = torch.randn(outputs, inputs, generator=seeded(0))
    x = torch.randn(rows, inputs, generator=seeded(1))
    for each in (weight, weight.double()):
        with torch.no_grad():
            found = packing.product(each, rows)(x.to(each.dtype))
        assert found.dtype == each.dtype
        assert torch.allclose(found, F.linear(x.to(each.dtype), each), atol=1e-3)


def test_without_onednn_products_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def __getattr__(self, name: str) -> Any:
            raise AttributeError(name)

    monkeypatch.setattr(torch.ops, "mkldnn", Nothing(), raising=False)
    weight, x = torch.randn(512, 512), torch.randn(4, 512)
    assert torch.equal(packing.product(weight, 4)(x), F.linear(x, weight))


def test_a_wide_transformer_in_float32_agrees_with_its_cache() -> None:
    """Wide enough for packed weights."""
    prior = randomised(TransformerPrior, scale=0.05, codebook_size=16, grid=[3, 3], hidden_channels=256).float()
    indices = torch.randint(16, (4, 3, 3), generator=seeded(0))
    whole = prior.logits(indices).detach()
    assert torch.allclose(prior.stepwise_logits(indices), whole, atol=1e-4 * float(whole.abs().max()))


@pytest.mark.parametrize("kind", SEQUENTIAL, ids=named)
def test_sampling_waits_for_nothing_on_the_device(kind: Any) -> None:
    """On the meta device there are no values: whatever would read one, and so wait for a GPU, raises."""
    options = {"grid": [3, 3], "num_codebooks": 2, "classes": 4, "condition_dropout": 0.1}
    prior = kind(8, **options, **SMALL).eval().to("meta")
    condition = torch.zeros(2, dtype=torch.int64, device="meta")
    known = torch.zeros(2, 9, 2, dtype=torch.int64, device="meta")
    request = SamplingParams(
        2, condition, condition, 0.7, 3, 0.9, 2.0, known=known, keep=torch.zeros(2, 9, dtype=torch.bool, device="meta")
    )
    with torch.no_grad():
        assert prior._sample(request).shape == (2, 9, 2)
