"""Exact layers: the integers that they compute, whatever computes them; gradients; what is derived and when."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.exact import (
    ACTIVATION,
    FAN_IN,
    LOGIT,
    SIGNED,
    STREAM,
    ExactBlock,
    ExactConv,
    ExactEmbedding,
    ExactRescale,
    Format,
    among,
    exact_matmul,
    exponentials,
    frequencies,
    int8_helps,
    neighbours,
    probabilities,
    quantized_activation,
    quantized_parameter,
    reached,
    set_storage_dtype,
    weights_of,
)
from vqkit.exact.formats import weight_bits
from vqkit.exact.layers import ExactLayer
from vqkit.exact.products import INT8_FAN_IN, _passes


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaken(network: Any, seed: int = 0, scale: float = 0.3) -> Any:
    """A network with every parameter away from its start."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=scale, generator=seeded(seed))
    return network


def integers(shape: list[int], low: int, high: int, seed: int = 0) -> Tensor:
    return torch.randint(low, high + 1, shape, generator=seeded(seed)).float()


# ---- the oracle: numpy int64, one tap after another, halves rounded by integer division


def rounded(values: np.ndarray[Any, Any], bits: int, limit: int) -> np.ndarray[Any, Any]:
    """round-half-even(value * 2^bits) by exact fractions."""
    flat = [round(Fraction(float(value)) * 2**bits) for value in values.flatten()]
    return np.array([max(-limit, min(limit, each)) for each in flat], dtype=object).reshape(values.shape)


def reference(layer: ExactConv, x: Tensor) -> np.ndarray[Any, Any]:
    """The layer's integers, ``[batch, outputs, *grid]``."""
    axes, reach = layer.axes, layer.kernel // 2
    weight = rounded(layer.weight.detach().numpy(), layer.weight_bits, 127).astype(np.int64)
    gain = np.array([max(1, 4096 + round(Fraction(float(each)) * 4096)) for each in layer.gain.detach()], dtype=object)
    multiplier = np.minimum(gain, 32767)
    bias = rounded(layer.bias.detach().numpy(), layer.target.bits + 8, 2**31 - 1)
    whole = np.pad(x.numpy().astype(np.int64), [(0, 0), (0, 0)] + [(reach, reach)] * axes)
    sums = np.zeros((len(x), len(weight), *x.shape[2:]), dtype=np.int64)
    for tap in itertools.product(range(layer.kernel), repeat=axes):
        window = whole[(slice(None), slice(None), *(slice(t, t + n) for t, n in zip(tap, x.shape[2:], strict=True)))]
        sums += np.einsum("oi,bi...->bo...", weight[(slice(None), slice(None), *tap)], window)
    shape = (-1, *[1] * axes)
    unit = 2**layer.shift
    doubled = 2 * sums.astype(object) * multiplier.reshape(shape) + 2 * (bias * unit // 256).reshape(shape) + unit
    return np.clip(doubled // (2 * unit), layer.target.low, layer.target.high).astype(np.int64)


LAYERS: list[dict[str, Any]] = [
    {"inputs": 5, "outputs": 7, "axes": 0},
    {"inputs": 4, "outputs": 3, "axes": 1, "kernel": 3, "target": STREAM},
    {"inputs": 6, "outputs": 4, "axes": 2, "kernel": 3},
    {"inputs": 6, "outputs": 4, "axes": 2, "kernel": 1, "target": LOGIT},
    {"inputs": 3, "outputs": 2, "axes": 2, "kernel": 5, "source": SIGNED, "target": SIGNED},
    {"inputs": 4, "outputs": 3, "axes": 3, "kernel": 3, "target": STREAM},
    {"inputs": 48, "outputs": 3, "axes": 3, "kernel": 3, "target": STREAM},
]


@pytest.mark.parametrize("options", LAYERS, ids=str)
@pytest.mark.parametrize("scale", [0.05, 0.3, 30.0])
def test_a_convolution_computes_the_integers_of_the_oracle(options: dict[str, Any], scale: float) -> None:
    layer = shaken(ExactConv(**options), scale=scale).eval()
    x = integers([2, options["inputs"], *[4, 5, 3][: options["axes"]]], layer.source.low, 127)
    wanted = reference(layer, x)
    found = layer(x)
    assert np.array_equal(found.numpy(), wanted)
    assert scale > 1 or len(np.unique(wanted)) > 3
    set_storage_dtype(layer, torch.float64)
    assert np.array_equal(layer(x.double()).numpy(), wanted)
    trained = layer.train()(x).detach()
    difference = (trained - found).abs()
    assert float(difference.max()) <= 1
    assert float((difference > 0).float().mean()) < 0.02, "training sees the network that files see"


def test_float64_and_int64_requantise_alike() -> None:
    for target, shift in ((ACTIVATION, 20), (STREAM, 14), (LOGIT, 25)):
        layer = shaken(ExactConv(4, 300, axes=0, target=target), scale=2.0)
        layer.shift = shift
        affine = layer.integers().affine
        for sums in (integers([50, 300], -(2**24) + 1, 2**24 - 1), integers([50, 300], -9000, 9000, 1)):
            assert torch.equal(affine(sums, torch.float64), affine.by_int64(sums, torch.float64))


def test_the_worst_weights_stay_exact() -> None:
    """All weights and activations at their limits, on both sides of the fan-in that one product may have."""
    for fan_in in (1, 64, FAN_IN, FAN_IN + 1, 3 * FAN_IN + 5):
        rows = torch.full((1, 3, fan_in), 127.0)
        rows[0, 1, ::2] = -127.0
        weight = torch.full((fan_in, 2), 127.0)
        weight[:, 1] = -127.0
        weight[-1, 1] = -126.0
        assert torch.equal(exact_matmul(rows, weight).long(), rows.long() @ weight.long())
        small = exact_matmul(rows.to(torch.int8), weight.to(torch.int8))
        assert int8_helps(rows.device) or small.dtype == torch.int32
        assert torch.equal(small.long(), rows.long() @ weight.long())
    assert FAN_IN * 127 * 127 < 2**24 <= (FAN_IN + 1) * 127 * 127
    assert INT8_FAN_IN * 127 * 127 < 2**31 <= (INT8_FAN_IN + 1) * 127 * 127
    layer = ExactConv(120, 2, axes=2, kernel=3, target=STREAM).eval()
    with torch.no_grad():
        layer.weight[:1], layer.weight[1:] = 1e9, -1e9
        layer.gain.copy_(torch.tensor([1e9, math.inf]))
        layer.bias.copy_(torch.tensor([-1e30, math.nan]))
    x = torch.full((1, 120, 4, 4), 127.0)
    assert np.array_equal(layer(x).numpy(), reference_of_limits(layer, x))


def test_products_of_int8_are_taken_only_where_they_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that adds pairs of products in 16 bits is found out; a fan-in that int32 cannot hold is not tried."""

    def saturating(rows: Tensor, weight: Tensor) -> Tensor:
        """As old instructions have it: rows above 0 as unsigned bytes."""
        products = (rows.long() + 128).unsqueeze(-1) * weight.long()
        pairs = nn.functional.pad(products, (0, 0, 0, products.shape[1] % 2)).unflatten(1, (-1, 2)).sum(dim=2)
        return (pairs.clamp(-(2**15), 2**15 - 1).sum(dim=1) - 128 * weight.long().sum(dim=0)).int()

    device, layer = torch.device("cpu"), ExactConv(8, 3, axes=0).eval()
    plain = layer.integers()
    assert (plain.small is not None) == int8_helps(device)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    monkeypatch.setattr(torch, "_int_mm", saturating)
    _passes.cache_clear()
    try:
        assert not int8_helps(device)
        assert layer.train().eval().integers().small is None
        monkeypatch.setattr(torch, "_int_mm", lambda rows, weight: (rows.long() @ weight.long()).int())
        _passes.cache_clear()
        assert int8_helps(device)
        assert not int8_helps(torch.device("cuda"))
        assert layer.train().eval().integers().small is not None
        wide = ExactConv(INT8_FAN_IN + 1, 1, axes=0).eval()
        assert wide.integers().small is None
    finally:
        _passes.cache_clear()


def reference_of_limits(layer: ExactConv, x: Tensor) -> np.ndarray[Any, Any]:
    """The oracle with NaN and infinity as ``scaled`` has them."""
    tame = copy.deepcopy(layer)
    with torch.no_grad():
        tame.gain.fill_(1e9)
        tame.bias.nan_to_num_()
    return reference(tame, x)


def test_weights_of_any_layer_start_within_their_range() -> None:
    assert [weight_bits(fan_in) for fan_in in (1, 9, 64, 576, 864, 1040)] == [4, 5, 7, 8, 9, 9]
    for axes, kernel, inputs in ((2, 3, 64), (2, 1, 96), (3, 3, 32), (1, 3, 8), (0, 1, 3)):
        layer = ExactConv(inputs, 64, axes=axes, kernel=kernel)
        assert float((layer.weight.abs() * 2**layer.weight_bits > 127).float().mean()) < 0.002
        assert float((layer.weight.detach() * 2**layer.weight_bits).std()) > 10


# ---- the same everywhere


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


SURROUNDINGS = {
    "1 thread": lambda: threads(1),
    "2 threads": lambda: threads(2),
    "without MKL-DNN": lambda: torch.backends.mkldnn.flags(enabled=False),
    "bfloat16 products": lambda: matmul_precision("medium"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


def blocks(axes: int = 2) -> nn.Sequential:
    return shaken(nn.Sequential(*[ExactBlock(32, axes=axes, hidden_channels=24) for _ in range(3)]), scale=0.15).eval()


@pytest.mark.parametrize("surrounding", SURROUNDINGS)
def test_nothing_around_it_changes_an_integer(surrounding: str) -> None:
    network, x = blocks(), integers([4, 32, 9, 7], -4000, 4000)
    with torch.no_grad():
        wanted = network(x)
        with SURROUNDINGS[surrounding]():
            assert torch.equal(network(x), wanted)
        assert torch.equal(torch.cat([network(each[None]) for each in x]), wanted)
        order = torch.randperm(32, generator=seeded(1))
        layer = network[0].wide
        rows = integers([1, 50, 32 * 9], 0, 127)
        flat = layer.integers().weight
        mixed = order.repeat(9) + 32 * torch.arange(9).repeat_interleave(32)
        assert torch.equal(exact_matmul(rows[..., mixed], flat[mixed]), exact_matmul(rows, flat))
        set_storage_dtype(network, torch.float32, int8=not layer.int8)
        assert torch.equal(network(x), wanted)
        set_storage_dtype(network, torch.float64)
        assert torch.equal(network(x.double()).float(), wanted)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])  # g++: 20 s
def test_compiled_it_gives_the_same_integers(backend: str) -> None:
    block = blocks()[0]
    enter, wide, point = block.enter.integers(), block.wide.integers(), block.point.integers()
    table = neighbours((5, 4), 3)

    def forward(rows: Tensor) -> tuple[Tensor, Tensor]:
        logits = point(wide(enter(rows), table))
        return logits, frequencies(logits.abs().long() << 15)

    rows = integers([3, 20, 32], -4000, 4000)
    plain = forward(rows)
    compiled = torch.compile(forward, backend=backend)(rows)
    assert all(torch.equal(a, b) for a, b in zip(plain, compiled, strict=True))


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_rows_of_a_block_are_those_of_its_grid(axes: int) -> None:
    """On all positions, and on a few of them from just the rows that they need."""
    block = shaken(ExactBlock(6, axes=axes), scale=0.4).eval()
    grid = (5, 4, 3)[:axes]
    x = integers([2, 6, *grid], -4000, 4000)
    whole = block(x).flatten(2).mT if axes else block(x).unsqueeze(1)
    rows = (x.flatten(2).mT if axes else x.unsqueeze(1)).contiguous()
    assert torch.equal(block.rows(rows, neighbours(grid, 3)), whole)
    some = torch.arange(0, math.prod(grid), 7)
    needed = reached(grid, 3, some)
    found = block.rows(rows[:, needed], among(grid, 3, some, needed), torch.searchsorted(needed, some))
    assert torch.equal(found, whole[:, some])
    assert axes == 0 or len(needed) < math.prod(grid) or axes == 3


def test_large_gathers_are_cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = blocks(), integers([5, 32, 6, 7], -4000, 4000)
    with torch.no_grad():
        wanted = network(x)
        for most in (1, 3000, 32 * 9 * 42 * 2):
            monkeypatch.setattr("vqkit.exact.integers._GATHERED", most)
            assert torch.equal(network(x), wanted)


# ---- gradients


def test_gradients_pass_the_rounding() -> None:
    parameter = torch.tensor([0.1, -0.26, 9.0, -9.0, 9.0, -9.0], requires_grad=True)
    out = quantized_parameter(parameter, 4, -32, 32)
    assert out.tolist() == [2, -4, 32, -32, 32, -32]
    out.backward(torch.tensor([1.0, 2.0, 1.0, 1.0, -1.0, -1.0]))
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [16, 32, 16, 0, 0, -16], "0 where a step would lead further out"
    x = torch.tensor([-3.0, 0.4, 0.5, 2.7, 126.4, 126.5, 200.0], requires_grad=True)
    y = quantized_activation(x, ACTIVATION)
    assert y.tolist() == [0, 0, 1, 3, 126, 127, 127]
    for sign, wanted in ((1.0, [0, 0, 1, 1, 1, 1, 1]), (-1.0, [0, 0, -1, -1, -1, 0, 0])):
        x.grad = None
        y.backward(torch.full_like(y, sign), retain_graph=True)
        assert x.grad.tolist() == wanted, "back from the clamp, not further beyond it; a ReLU at its lower end"
    x = torch.tensor([-9e4, -5.0, 9e4], requires_grad=True)
    y = quantized_activation(x, STREAM)
    for sign, wanted in ((1.0, [0, 1, 1]), (-1.0, [-1, -1, 0])):
        x.grad = None
        y.backward(torch.full_like(y, sign), retain_graph=True)
        assert x.grad.tolist() == wanted


def learned(seed: int, rate: float) -> float:
    """Mean loss of the last 20 of 220 steps: the sum of a neighbourhood's signs, by blocks that start as identities."""
    torch.manual_seed(seed)
    network = nn.Sequential(*[ExactBlock(16, axes=1) for _ in range(4)])
    head = ExactConv(16, 1, axes=1, source=SIGNED, target=STREAM, zero=True)
    leave = ExactRescale(16, target=SIGNED)
    parameters = [*network.parameters(), *head.parameters(), *leave.parameters()]
    optimizer = torch.optim.Adam(parameters, rate)
    losses = []
    for _ in range(220):
        x = torch.randn(16, 16, 12)
        wanted = nn.functional.conv1d(x[:, :1].sign(), torch.ones(1, 1, 3), padding=1)
        found = head(leave(network((x * 1024).round()))) / 1024
        loss = (found - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses[-20:]) / 20


def test_a_stack_of_blocks_learns() -> None:
    assert learned(0, 2e-3) < 0.95, "3 is what a constant gives, 1.09 a linear map"


def test_a_rate_that_drives_everything_into_the_clamps_leaves_a_way_back() -> None:
    """With a gradient of 0 beyond the clamps the same network stays at a constant's loss, 2.9."""
    assert learned(1, 0.2) < 2.4


# ---- what is derived, and when


def test_the_integers_are_derived_once_and_again_after_a_change() -> None:
    layer, other = ExactConv(3, 4, axes=2, kernel=3), shaken(ExactConv(3, 4, axes=2, kernel=3), 1)
    layer.eval()
    first = layer.integers()
    assert layer.integers() is first
    changes: list[Any] = [
        lambda: layer.load_state_dict(other.state_dict()),
        lambda: torch._foreach_lerp_([layer.weight.detach()], [torch.ones_like(layer.weight)], 0.5),
        lambda: layer.bias.detach().add_(1.0),
        lambda: step_of(layer),
        lambda: setattr(layer, "storage_dtype", torch.float64),
        lambda: layer.double(),
        lambda: layer.train().eval(),
        lambda: setattr(layer, "weight", nn.Parameter(torch.zeros(4, 3, 3, 3))),
    ]
    for change in changes:
        before = layer.integers()
        change()
        assert layer.integers() is not before
        fresh = ExactConv(3, 4, axes=2, kernel=3).to(layer.weight.dtype)
        fresh.load_state_dict(layer.state_dict())
        assert torch.equal(fresh.integers().weight, layer.integers().weight.to(torch.float32))
        assert torch.equal(fresh.integers().affine.bias, layer.integers().affine.bias)
    assert copy.deepcopy(layer)._derived is None


def step_of(layer: ExactLayer) -> None:
    """As training does it: a fused optimiser changes parameters without a word to autograd; the mode tells."""
    layer.train()
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = layer._integers()
    torch.optim.AdamW(layer.parameters(), 0.1, fused=True).step()
    assert layer._integers() is not before
    layer.eval()


def test_doubled_parameters_give_the_same_integers() -> None:
    layer = shaken(ExactConv(3, 4, axes=2, kernel=3)).eval()
    first = layer.integers()
    assert torch.equal(layer.double().integers().weight, first.weight)


def test_an_embedding_is_a_table_of_integers() -> None:
    table = ExactEmbedding(7, 3)
    few, many = torch.tensor([[1, 6]]), torch.arange(70).view(2, 35) % 7
    wanted = (table.weight.detach() * 1024).round()
    for indices in (few, many):
        assert torch.equal(table.train()(indices).detach(), wanted[indices])
        assert torch.equal(table.eval()(indices), wanted[indices])
    table.train()(many).sum().backward()
    assert table.weight.grad is not None
    assert torch.equal(table.weight.grad, torch.full((7, 3), 10 * 1024.0))


def test_from_the_stream_to_int8() -> None:
    for target in (ACTIVATION, SIGNED, Format(6, -100, 100)):
        layer = shaken(ExactRescale(5, target=target), scale=20.0)
        x = integers([3, 5, 4], STREAM.low, STREAM.high)
        shift = 10 - target.bits
        bias = (layer.bias.detach() * 1024).round().clamp(-32767, 32767).long()
        wanted = ((x.long() + bias[:, None] + (1 << (shift - 1))) >> shift).clamp(target.low, target.high)
        assert torch.equal(layer.train()(x).detach().long(), wanted)
        assert torch.equal(layer.eval()(x).long(), wanted)


# ---- probabilities


def test_the_table_of_exponentials() -> None:
    """Against exp by its series in fractions; and pinned, since every file depends on it."""
    table = exponentials()
    assert (table[0], table[64], table[-2], table[-1]) == (1 << 30, 395007542, 1, 0)
    assert len(table) == 1377
    assert all(a > b or a < 130 for a, b in itertools.pairwise(table))
    for d in (1, 2, 63, 64, 500, 1000, 1375, 1376):
        power, term, n = Fraction(0), Fraction(1), 0
        x = Fraction(d, 64)
        while term > Fraction(1, 10**40):  # e^x, all terms positive
            power, n = power + term, n + 1
            term = term * x / n
        assert table[d] == math.floor(Fraction(1 << 30) / power + Fraction(1, 2))


def test_frequencies_by_whole_numbers() -> None:
    for size in (1, 2, 3, 512, 1000):
        logits = integers([6, size], -700, 700, size)
        logits[0] = 5.0
        logits[1, 0] = LOGIT.high
        weights = weights_of(logits)
        if size > 1:
            weights[2, 0], weights[2, 1] = (1 << 30) - 1, 1 << 30  # one frequency, two weights
        found = frequencies(weights)
        assert found.dtype == torch.int64
        assert found.sum(dim=-1).tolist() == [1 << 24] * 6
        assert int(found.min()) >= 1
        for row, got in zip(weights.tolist(), found.tolist(), strict=True):
            each = [1 + w * ((1 << 24) - size) // sum(row) for w in row]
            each[row.index(max(row))] += (1 << 24) - sum(each)
            assert got == each
        exact = (logits.double() / 64).softmax(dim=-1) * ((1 << 24) - size) / (1 << 24) + 2.0**-24
        assert float((found / 2.0**24 - exact).abs()[3:].max()) < (size + 1) * 2.0**-24


def test_frequencies_of_the_largest_codebook() -> None:
    sure = torch.zeros(1, 1 << 16)
    sure[0, 9] = LOGIT.high
    for logits in (torch.zeros(2, 1 << 16), integers([2, 1 << 16], -400, 400), sure):
        found = frequencies(weights_of(logits))
        assert found.sum(dim=-1).tolist() == [1 << 24] * len(logits)
        assert int(found.min()) >= 1
    with pytest.raises(ConfigError, match=r"a distribution over 65,537 values: .* 65,536 at most"):
        frequencies(torch.ones(1, (1 << 16) + 1, dtype=torch.int64))


# ---- neighbours and errors


@pytest.mark.parametrize("grid", [(), (5,), (3, 4), (2, 3, 4), (1, 1)])
def test_neighbours_lie_beside(grid: tuple[int, ...]) -> None:
    table = neighbours(grid, 3)
    n = math.prod(grid)
    assert table.shape == (n, 3 ** len(grid))
    for row, place in enumerate(itertools.product(*map(range, grid))):
        for tap, offset in enumerate(itertools.product((-1, 0, 1), repeat=len(grid))):
            there = [a + b for a, b in zip(place, offset, strict=True)]
            inside = all(0 <= a < length for a, length in zip(there, grid, strict=True))
            wanted = int(np.ravel_multi_index(there, grid)) if inside and grid else (0 if not grid else n)
            assert int(table[row, tap]) == wanted


def test_what_a_convolution_refuses() -> None:
    with pytest.raises(ConfigError, match="axes=4: exact convolutions have 0 to 3 axes"):
        ExactConv(1, 1, axes=4)
    with pytest.raises(ConfigError, match="kernel=2: give an odd number"):
        ExactConv(1, 1, axes=1, kernel=2)


@given(rows=st.integers(1, 4), size=st.integers(1, 300), spread=st.integers(0, 4000), seed=st.integers(0, 10_000))
def test_shares_are_whole_quotients(rows: int, size: int, spread: int, seed: int) -> None:
    """Also where a quotient is whole, or nearly: equal weights, few values, weights in proportion to their sum."""
    logits = torch.randint(0, spread + 1, (rows, size), generator=torch.Generator().manual_seed(seed))
    weights = weights_of(logits.float())
    share = (1 << 24) - size
    wanted = [[weight * share // sum(row) for weight in row] for row in weights.tolist()]
    assert probabilities._shares(weights, share).tolist() == wanted


@pytest.mark.parametrize("total", [3, 255, 4095, (1 << 24) - 5])
def test_shares_near_whole_quotients(total: int) -> None:
    """Weights whose quotients are whole, or one divisor's share below it."""
    share = (1 << 24) - 4
    for first in (1, 2, total // 2, total - 1):
        for scale in (1, (1 << 30) // total):
            weights = torch.tensor([[first * scale, (total - first) * scale, 0, 0]])
            assert probabilities._shares(weights, share).tolist() == [
                [int(each) * share // int(weights.sum()) for each in weights[0]]
            ]
