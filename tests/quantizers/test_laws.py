"""Every quantizer alone, cut into parts, stacked, and behind a projection: the laws that all of them keep."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.quantizers import QUANTIZERS, Quantizer, build_quantizer
from vqkit.quantizers.binary import BinaryQuantizer
from vqkit.quantizers.codebook.base import CodebookQuantizer

CODES, DIM = 64, 12
STACKS = [(1, "product"), (2, "product"), (3, "residual")]
FIXED = {"fsq", "lfq", "bsq"}


def build(kind: str, count: int = 1, stacking: str = "product", **options: Any) -> Quantizer:
    return build_quantizer(kind, CODES, DIM, options, count, stacking)


def latents(*shape: int, seed: int = 0) -> Tensor:
    return 1.5 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def trained(kind: str, count: int = 1, stacking: str = "product", **options: Any) -> Quantizer:
    """A quantizer that has seen three batches."""
    q = build(kind, count, stacking, **options).train()
    for step in range(3):
        q(latents(16, DIM, 4, 4, seed=10 + step))
    return q


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", list(QUANTIZERS))
@pytest.mark.parametrize(("count", "stacking"), STACKS)
@pytest.mark.parametrize("projection", [None, 4])
def test_indices_give_the_forward_pass_bit_for_bit(
    kind: str, count: int, stacking: str, projection: int | None
) -> None:
    options = {} if projection is None or kind in FIXED else {"projection_dim": projection}
    q = trained(kind, count, stacking, **options)
    z = latents(5, DIM, 3, 7)
    q.eval()
    out = q(z)
    assert out.indices.shape == ((5, 3, 7) if count == 1 else (5, 3, 7, count))
    assert out.indices.dtype == torch.int64
    assert out.quantized.shape == z.shape
    assert torch.equal(q.lookup(out.indices), out.quantized)
    assert torch.equal(q.encode(z), out.indices)


@pytest.mark.parametrize("kind", list(QUANTIZERS))
@pytest.mark.parametrize("stacking", ["product", "residual"])
def test_in_training_too_indices_give_the_forward_pass(kind: str, stacking: str) -> None:
    options: dict[str, Any] = {"quantizer_dropout": 0.5} if stacking == "residual" else {}
    q = trained(kind, 2, stacking, **options)
    if kind == "ema":
        before = copy.deepcopy(q)
    out = q(latents(8, DIM, 3))
    for module in q.modules():
        assert not isinstance(module, CodebookQuantizer) or module.restarted is None
    assert torch.equal((before if kind == "ema" else q).lookup(out.indices), out.quantized)


@pytest.mark.parametrize("kind", list(QUANTIZERS))
@pytest.mark.parametrize(("count", "stacking"), STACKS)
def test_gradients_are_finite_and_reach_the_latents(kind: str, count: int, stacking: str) -> None:
    q = trained(kind, count, stacking)
    z = latents(6, DIM, 5).requires_grad_()
    out = q(z)
    (out.quantized.square().mean() + sum(out.losses.values(), torch.zeros(()))).backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert (z.grad != 0).any(dim=1).float().mean() > 0.9
    for name, parameter in q.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("kind", [kind for kind in QUANTIZERS if kind not in ("gumbel", "ibq")])
@pytest.mark.parametrize(("count", "stacking"), [(1, "product"), (3, "residual")])
def test_the_gradient_is_that_of_the_projections_or_the_identity(kind: str, count: int, stacking: str) -> None:
    q = build_quantizer(kind, 64, _own(kind), {}, count, stacking).train()
    q(latents(32, _own(kind), 4))
    z = latents(6, _own(kind), 5).requires_grad_()
    push = latents(6, _own(kind), 5, seed=3)
    (gradient,) = torch.autograd.grad((q(z).quantized * push).sum(), z)
    inner = z.detach().requires_grad_()
    expected = push
    if kind == "fsq":  # through tanh, by the definition of the bound
        first: Any = q if count == 1 else q.stages[0]  # type: ignore[index, union-attr]
        reach, half, shift = first._reach, first._half, first._shift
        (expected,) = torch.autograd.grad(
            ((torch.tanh(inner + shift[:, None]) * reach[:, None] / half[:, None]) * push).sum(),
            inner,  # type: ignore[index]
        )
    if kind == "bsq" and count == 1:
        unit = inner / inner.norm(dim=1, keepdim=True) * _own(kind) ** 0.5
        (expected,) = torch.autograd.grad((unit * push).sum(), inner)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)


def _own(kind: str) -> int:
    return QUANTIZERS[kind].own_dim(CODES, {}) or DIM


@pytest.mark.parametrize("kind", list(QUANTIZERS))
@pytest.mark.parametrize(("count", "stacking"), STACKS)
def test_padded_positions_count_nowhere(kind: str, count: int, stacking: str) -> None:
    if kind == "gumbel":
        pytest.skip("noise is drawn for padded positions too, so the batches draw differently")
    one = trained(kind, count, stacking)
    other = copy.deepcopy(one)
    z = latents(6, DIM, 4)
    padded = torch.cat([z, 1e3 * latents(6, DIM, 3, seed=8)], dim=2)
    mask = torch.tensor([True] * 4 + [False] * 3).expand(6, 7)
    first, second = one(z), other(padded, mask)
    assert torch.equal(first.indices, second.indices[:, :4])
    for name in first.losses:
        torch.testing.assert_close(second.losses[name], first.losses[name], rtol=1e-5, atol=1e-7)
    for (name, mine), theirs in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(theirs, mine, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("kind", list(QUANTIZERS))
def test_a_batch_twice_has_the_same_losses(kind: str) -> None:
    q = trained(kind).eval()
    z = latents(6, DIM, 4)
    once, twice = q(z).losses, q(torch.cat([z, z])).losses
    for name in once:
        torch.testing.assert_close(twice[name], once[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", list(QUANTIZERS))
@pytest.mark.parametrize(("count", "stacking"), STACKS)
def test_state_survives_saving_and_copies_go_their_own_way(kind: str, count: int, stacking: str) -> None:
    q = trained(kind, count, stacking)
    kept = io.BytesIO()
    torch.save(q.state_dict(), kept)
    kept.seek(0)
    fresh = build(kind, count, stacking)
    fresh.load_state_dict(torch.load(kept))
    assert fresh.initialized == q.initialized
    z = latents(4, DIM, 3)
    assert torch.equal(fresh.eval().encode(z), q.eval().encode(z))
    twin = copy.deepcopy(q).train()
    before = {name: tensor.clone() for name, tensor in q.state_dict().items()}
    twin(latents(16, DIM, 4, seed=77))
    for name, tensor in q.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("kind", list(QUANTIZERS))
def test_autocast_changes_nothing(kind: str) -> None:
    q = trained(kind).eval()
    z = latents(6, DIM, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lower = q(z)
    higher = q(z)
    assert lower.quantized.dtype == torch.float32
    assert torch.equal(lower.indices, higher.indices)
    assert torch.equal(lower.quantized, higher.quantized)
    for name in higher.losses:
        assert torch.equal(lower.losses[name], higher.losses[name])


@pytest.mark.parametrize(
    ("kind", "count", "stacking"),
    [*((kind, 1, "product") for kind in QUANTIZERS), ("ema", 2, "residual")],
)
def test_a_compiled_training_step_is_one_graph_and_learns_the_same(kind: str, count: int, stacking: str) -> None:
    torch._dynamo.reset()
    eager = trained(kind, count, stacking, **({} if kind in FIXED else {"projection_dim": 6}))
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    for step in range(2):
        z = latents(8, DIM, 4, seed=step)
        mask = latents(8, 4, seed=50 + step) > -1
        torch.manual_seed(step)
        one = eager(z.requires_grad_(), mask)
        torch.manual_seed(step)
        other = compiled(z.detach().requires_grad_(), mask)
        if kind != "gumbel":  # its seed comes from another generator in a graph
            assert torch.equal(one.indices, other.indices)
            for name in one.losses:
                torch.testing.assert_close(other.losses[name], one.losses[name], rtol=1e-5, atol=1e-6)
        sum(other.losses.values(), other.quantized.sum()).backward()
    if kind != "gumbel":
        for (name, mine), theirs in zip(eager.state_dict().items(), twin.state_dict().values(), strict=True):
            torch.testing.assert_close(theirs, mine, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("kind", "count", "stacking"),
    [*((kind, 1, "product") for kind in QUANTIZERS), *((kind, 2, "residual") for kind in ("ema", "simvq", "fsq"))],
)
def test_both_ways_export(kind: str, count: int, stacking: str) -> None:
    q = trained(kind, count, stacking).eval()
    z = latents(2, DIM, 3)

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q = q

        def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
            indices = self.q.encode(z)
            return indices, self.q.lookup(indices)

    indices, codes = torch.export.export(Both(), (z,), strict=False).module()(z)
    assert torch.equal(indices, q.encode(z))
    assert torch.equal(codes, q.lookup(indices))


@pytest.mark.parametrize("kind", list(QUANTIZERS))
def test_indices_out_of_range_are_refused(kind: str) -> None:
    q = build(kind)
    for bad in (torch.tensor([[CODES]]), torch.tensor([[-1]]), torch.tensor([[0.5]])):
        with pytest.raises(ValueError, match="indices"):
            q.lookup(bad)
    with pytest.raises(ValueError, match="latents"):
        q.encode(torch.zeros(2, DIM + 1, 3))


@pytest.mark.parametrize("kind", list(QUANTIZERS))
def test_nan_latents_give_valid_indices(kind: str) -> None:
    q = trained(kind).eval()
    z = latents(3, DIM, 4)
    z[1] = float("nan")
    found = q.encode(z)
    assert ((found >= 0) & (found < CODES)).all()


@pytest.mark.parametrize(
    ("kind", "size", "options", "count", "stacking", "sentence"),
    [
        ("fsq", 53 * 59, {}, 1, "product", "codebook_size=3125"),
        ("fsq", 64, {"levels": [8, 7]}, 1, "product", "codebook_size=56"),
        ("fsq", 64, {"levels": [1, 64]}, 1, "product", "3 or more values"),
        ("lfq", 100, {}, 1, "product", "give 64 or 128"),
        ("bsq", 64, {"temperature": 0.0}, 1, "product", "above 0"),
        ("lfq", 2**16, {}, 1, "product", "code_dim=12"),
        ("ibq", 64, {"temperature": -1.0}, 1, "product", "above 0"),
        ("gumbel", 1, {}, 1, "product", "2 or more"),
        ("gumbel", 64, {"kl_weight": -1.0}, 1, "product", "0 or more"),
        ("ema", 64, {"projection_dim": 13}, 1, "product", "projection_dim=13"),
        ("ema", 64, {"projection_dim": 0}, 1, "product", "projection_dim=0"),
        ("fsq", 64, {"projection_dim": 5}, 1, "product", "leave projection_dim out"),
        ("ema", 64, {"quantizer_dropout": 0.5}, 2, "product", "residual"),
        ("ema", 64, {"quantizer_dropout": 1.5}, 2, "residual", "quantizer_dropout=1.5"),
        ("ema", 64, {"rate_weight_range": [0.1, 1.0]}, 2, "product", r"rate_weight_range=\[0.1, 1.0\] is for"),
        ("ema", 64, {"rate_weight_range": [1.0, 0.1]}, 2, "residual", "the lowest and the highest"),
        ("ema", 64, {"rate_weight_range": [0.0, 0.1]}, 2, "residual", "both above 0"),
        ("ema", 64, {"rate_weight_range": [0.1]}, 2, "residual", "both above 0"),
        ("fsq", 64, {"rate_weight_range": [0.1, 1.0]}, 2, "residual", "no codebook that could weigh bits"),
        ("ema", 64, {"cosine": True}, 2, "residual", "cosine"),
        ("ema", 64, {}, 2, "sum", "stacking='sum'"),
        ("ema", 64, {}, 0, "product", "num_codebooks=0"),
        ("ema", 64, {"entropy_weight": -0.1}, 1, "product", "entropy_weight=-0.1"),
        ("ema", 64, {"gradient": "none"}, 1, "product", "straight_through, rotation"),
        ("ema", 64, {"reservoir": -1}, 1, "product", "reservoir=-1"),
        ("fsq", 64, {"beta": 0.25}, 1, "product", "levels"),
    ],
)
def test_settings_that_cannot_be_are_named(
    kind: str, size: int, options: dict[str, Any], count: int, stacking: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        build_quantizer(kind, size, DIM, options, count, stacking)


def test_binary_codes_beyond_any_table_are_fine() -> None:
    q = build_quantizer("bsq", 2**36, 36, {})
    assert isinstance(q, BinaryQuantizer)
    z = latents(4, 36, 5).requires_grad_()
    out = q(z)
    sum(out.losses.values()).backward()  # type: ignore[union-attr]
    assert torch.equal(q.lookup(out.indices), torch.where(z > 0, 1.0, -1.0))
    assert torch.isfinite(z.grad).all()  # type: ignore[arg-type]
