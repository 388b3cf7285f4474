"""Each quantizer against its own definition, written out the long way."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.ops import on_sphere, rotation
from vqkit.quantizers import (
    EMAVectorQuantizer,
    FiniteScalarQuantizer,
    IndexBackpropQuantizer,
    LookupFreeQuantizer,
    Projected,
    ResidualQuantizer,
    SimVQ,
    VectorQuantizer,
    build_quantizer,
    levels_for,
)


def latents(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# finite scalar


@pytest.mark.parametrize("levels", [[8, 5, 5], [3, 3], [4, 7], [16], [8, 8, 8, 5, 5, 5]])
def test_fsq_is_the_papers_listing(levels: list[int]) -> None:
    q = FiniteScalarQuantizer(math.prod(levels), len(levels), levels=levels)
    z = 2 * latents(500, len(levels))
    size = np.array(levels)
    half = (size - 1) * (1 + 1e-3) / 2
    offset = np.where(size % 2 == 0, 0.5, 0.0)
    whole = np.round(np.tanh(z.double().numpy() + np.arctanh(offset / half)) * half - offset)
    out = q(z)
    assert np.allclose(out.quantized.numpy(), whole / (size // 2), atol=1e-7)
    basis = np.concatenate([[1], np.cumprod(size[:-1])])
    assert (out.indices.numpy() == ((whole + size // 2) * basis).sum(1).astype(int)).all()


@pytest.mark.parametrize("levels", [[8, 5, 5], [3, 4, 6]])
def test_fsq_reaches_every_code_and_numbers_each_once(levels: list[int]) -> None:
    size = math.prod(levels)
    q = FiniteScalarQuantizer(size, len(levels), levels=levels)
    every = torch.arange(size)
    codes = q.lookup(every)
    assert len(torch.unique(codes, dim=0)) == size
    found = q.encode(6 * (torch.rand(200_000, len(levels), generator=torch.Generator().manual_seed(1)) - 0.5))
    assert len(torch.unique(found)) == size
    assert codes.abs().max() <= 1


def test_fsq_codes_are_the_same_numbers_from_bfloat16_latents() -> None:
    """Half of the codes were lost where the rounding ran in bfloat16."""
    q = FiniteScalarQuantizer(16**3, 3, levels=[16, 16, 16])
    z = (6 * torch.rand(200_000, 3, generator=torch.Generator().manual_seed(1)) - 3).bfloat16()
    assert torch.equal(q.encode(z), q.encode(z.float()))
    assert len(torch.unique(q.encode(z))) > 0.98 * 16**3


@pytest.mark.parametrize("size", [4, 8, 64, 100, 128, 256, 512, 1000, 1024, 4096, 8192, 15360, 65536, 2**20])
def test_levels_multiply_to_the_size(size: int) -> None:
    levels = levels_for(size)
    assert math.prod(levels) == size
    assert all(3 <= level <= 16 for level in levels)
    assert levels == sorted(levels, reverse=True)


def test_levels_are_five_to_eight_where_they_can_be() -> None:
    assert levels_for(64) == [8, 8]
    assert levels_for(8 * 5 * 5 * 5) == [8, 5, 5, 5]
    with pytest.raises(ConfigError, match="codebook_size=16"):
        levels_for(17)


# binary


def test_lfq_entropies_are_those_of_the_softmax_over_all_codes() -> None:
    q = LookupFreeQuantizer(64, 6, temperature=2.0, entropy_weight=0.3, diversity=0.7, beta=0.2)
    z = latents(40, 6, 3).requires_grad_()
    out = q(z)
    corners = q.lookup(torch.arange(64))
    flat = z.movedim(1, -1).reshape(-1, 6)
    distances = (flat[:, None] - corners[None]).square().sum(-1)
    p = torch.softmax(-distances / 2.0, dim=1)
    entropy = -(p * p.log()).sum(1).mean()
    mean = p.mean(0)
    spread = math.log(64) + (mean * mean.log()).sum()
    torch.testing.assert_close(out.losses["entropy_loss"], 0.3 * entropy)
    torch.testing.assert_close(out.losses["diversity_loss"], 0.3 * 0.7 * spread)
    torch.testing.assert_close(out.losses["commitment_loss"], 0.2 * (z - torch.where(z > 0, 1.0, -1.0)).square().mean())
    mine, theirs = (
        torch.autograd.grad(each, z, retain_graph=True)[0]
        for each in (out.losses["entropy_loss"] + out.losses["diversity_loss"], 0.3 * entropy + 0.21 * spread)
    )
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-7)
    assert torch.equal(out.indices.reshape(-1), distances.reshape(40, 3, 64).argmin(2).reshape(-1))


def test_groups_of_bits_bound_the_entropy_of_their_mean_from_above() -> None:
    """Beyond 20 bits the entropies of groups are added: never less than that of all bits together, and near to it."""
    bits = 22
    q = LookupFreeQuantizer(2**bits, bits, entropy_weight=1.0)
    z = latents(8, bits)
    loss = float(q(z).losses["diversity_loss"])
    on = torch.sigmoid(4 * z.movedim(1, -1).reshape(-1, bits).double() / q.temperature)

    def entropy(group: slice) -> float:
        """Of the mean over the latents of p(code of these bits), every code listed."""
        mean = torch.zeros((), dtype=torch.float64)
        for bit_chances in on[:, group]:
            codes = torch.ones(1, dtype=torch.float64)
            for chance in bit_chances:
                codes = torch.outer(codes, torch.stack([1 - chance, chance])).flatten()
            mean = mean + codes / len(on)
        return float(-torch.special.xlogy(mean, mean).sum())

    added = entropy(slice(0, 11)) + entropy(slice(11, 22))
    assert loss == pytest.approx(bits * math.log(2) - added, rel=1e-5)
    assert entropy(slice(0, bits)) < added


# index back-propagation


def test_ibq_gradients_are_those_of_the_dense_estimator() -> None:
    q = IndexBackpropQuantizer(20, 5, temperature=0.3, entropy_weight=0.0, beta=0.0, restart_below=0)
    q.set_codebook(latents(20, 5, seed=1))
    z = latents(30, 5, seed=2).requires_grad_()
    push = latents(30, 5, seed=3)
    out = q.train()(z)
    mine = torch.autograd.grad((out.quantized * push).sum(), [z, q.codebook])
    table = q.codebook
    logits = -(z[:, None] - table[None]).square().sum(-1) / (2 * 0.3 * 5)
    p = logits.softmax(1)
    hard = functional.one_hot(logits.argmax(1), 20).float()
    estimate = (hard + p - p.detach()) @ table.detach() + hard @ (table - table.detach())
    theirs = torch.autograd.grad((estimate * push).sum(), [z, table])
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert (mine[1] != 0).all(dim=1).float().mean() > 0.9  # codes that were not chosen move too


def test_the_entropy_penalty_composes_with_every_codebook() -> None:
    q = EMAVectorQuantizer(20, 5, entropy_weight=0.5, temperature=0.8, restart_below=0)
    q.set_codebook(latents(20, 5, seed=1))
    z = latents(30, 5, seed=2)
    out = q.eval()(z)
    p = torch.softmax(-(z[:, None] - q.codebook[None]).square().sum(-1) / 1.6, dim=1)
    torch.testing.assert_close(out.losses["entropy_loss"], -0.5 * (p * p.log()).sum(1).mean())
    mean = p.mean(0)
    torch.testing.assert_close(out.losses["diversity_loss"], 0.5 * (math.log(20) + (mean * mean.log()).sum()))


# gradient estimators and spheres


def test_rotation_is_the_matrix_that_takes_the_latent_to_its_code() -> None:
    z, codes, push = (latents(50, 6, seed=seed).double() for seed in (1, 2, 3))
    z.requires_grad_()
    out = rotation(z, codes)
    assert torch.equal(out, codes)
    (gradient,) = torch.autograd.grad((out * push).sum(), z)
    for number in range(50):
        a, b = z[number].detach(), codes[number]
        scale = b.norm() / a.norm()
        a, b = a / a.norm(), b / b.norm()
        middle = (a + b) / (a + b).norm()
        matrix = scale * (torch.eye(6).double() - 2 * torch.outer(middle, middle) + 2 * torch.outer(b, a))
        torch.testing.assert_close(matrix @ z[number].detach(), codes[number])
        torch.testing.assert_close(gradient[number], matrix.t() @ push[number])


def test_rotation_copies_the_gradient_where_it_is_not_defined() -> None:
    z = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1e-9, 0.0]], requires_grad=True)
    codes = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    rotation(z, codes).sum().backward()
    assert z.grad is not None
    assert torch.equal(z.grad, torch.ones(3, 2))


@pytest.mark.parametrize("kind", [EMAVectorQuantizer, VectorQuantizer, SimVQ, IndexBackpropQuantizer])
def test_cosine_codes_are_the_nearest_by_angle_and_stay_on_their_sphere(kind: type[EMAVectorQuantizer]) -> None:
    q = kind(16, 5, cosine=True).train()
    z = 3 * latents(300, 5)
    for _ in range(3):
        q(z)
    q.eval()
    table = q.table()
    torch.testing.assert_close(table.norm(dim=1), torch.full((16,), math.sqrt(5)))
    angle = functional.normalize(z, dim=1) @ functional.normalize(table, dim=1).t()
    assert torch.equal(q.encode(z), angle.argmax(1))
    assert torch.equal(q.encode(7 * z), q.encode(z))
    torch.testing.assert_close(on_sphere(z).square().mean(1), torch.ones(300))


# SimVQ


def test_simvq_trains_its_map_only_and_moves_every_code() -> None:
    q = SimVQ(50, 4, restart_below=0).train()
    z = latents(200, 4) * torch.tensor([3.0, 1.0, 1.0, 0.1]) + 5
    out = q(z)
    assert {name for name, _ in q.named_parameters()} == {"map.weight", "map.bias"}
    before = q.table().detach().clone()
    torch.testing.assert_close(before.mean(0), z.mean(0), rtol=0.2, atol=0.3)  # begins with the latents' scale
    sum(out.losses.values()).backward()  # type: ignore[union-attr]
    with torch.no_grad():
        for parameter in q.parameters():
            parameter -= 0.1 * parameter.grad  # type: ignore[operator]
    assert ((q.table() - before).abs() > 0).any(dim=1).all()


def test_simvq_restarts_land_on_latents() -> None:
    q = SimVQ(64, 4, restart_below=0.5, restart_every=1).train()
    far = latents(200, 4) * 0.01 + 9
    q(latents(400, 4))
    for _ in range(200):
        q(far)
    assert q.restarts > 0
    gap = (q.table().detach()[:, None] - far[None]).norm(dim=2).min(dim=1).values
    assert (gap < 0.05).float().mean() > 0.5


# stacks, projections, reservoirs


@pytest.mark.parametrize("kind", ["ema", "fsq", "bsq", "lfq"])
def test_each_further_residual_code_brings_the_sum_nearer(kind: str) -> None:
    dim = 6
    q = build_quantizer(kind, 64, dim if kind == "ema" else 2 if kind == "fsq" else 6, {}, 4, "residual").train()
    z = latents(2000, q.code_dim) * 0.5
    for _ in range(10 if kind == "ema" else 1):
        q(z)
    q.eval()
    indices = q.encode(z)
    aim = torch.tanh(z) if kind == "fsq" else z
    errors = [float((aim - q.lookup(indices[:, :m])).square().mean()) for m in range(1, 5)]
    if kind == "ema":
        assert all(later < 0.75 * sooner for sooner, later in itertools.pairwise(errors))
    full = q(z)
    assert torch.equal(full.quantized, q.lookup(indices))


def test_quantizer_dropout_leaves_out_the_last_codebooks_of_some_signals() -> None:
    torch.manual_seed(0)
    q = build_quantizer("ema", 16, 4, {"quantizer_dropout": 0.5}, 4, "residual").train()
    assert isinstance(q, ResidualQuantizer)
    out = q(latents(400, 4, 3))
    left_out = (out.indices == -1).sum(dim=-1)
    assert (left_out == left_out[:, :1]).all()  # one number of codebooks for a whole signal
    used = 4 - left_out[:, 0]
    assert set(used.tolist()) == {1, 2, 3, 4}
    assert 0.4 < float((used < 4).float().mean()) < 0.6
    for signal, count in enumerate(used.tolist()):
        assert (out.indices[signal, :, count:] == -1).all()
        assert (out.indices[signal, :, :count] >= 0).all()
    assert (q.eval()(latents(40, 4, 3)).indices >= 0).all()


def test_a_range_of_rate_weights_is_drawn_once_a_batch_evenly_in_octaves() -> None:
    torch.manual_seed(0)
    options = {"rate_weight_range": [0.25, 4.0], "rate_weight": 0.5}
    q = build_quantizer("ema", 16, 4, options, 3, "residual").train()
    assert isinstance(q, ResidualQuantizer)
    seen: list[float] = []
    for stage in q.stages:
        stage.register_forward_hook(lambda it, *_: seen.append(it.rate_weight))
    for _ in range(200):
        q(latents(4, 4, 3))
    weights = torch.tensor(seen).view(200, 3)
    assert bool((weights == weights[:, :1]).all())  # one for all stages
    octaves = weights[:, 0].log2()
    assert float(octaves.min()) >= -2
    assert float(octaves.max()) <= 2
    assert abs(float(octaves.mean())) < 0.3
    assert 0.9 < float(octaves.std()) < 1.4  # a uniform one of width 4 has 1.15
    assert {stage.rate_weight for stage in q.stages} == {0.5}
    state = torch.get_rng_state()
    q.eval()(latents(4, 4, 3))
    assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn in evaluation


def test_a_projection_begins_as_the_principal_components() -> None:
    basis = torch.linalg.qr(latents(12, 12, seed=4))[0][:, :3]
    z = latents(4000, 3, seed=5) * torch.tensor([4.0, 2.0, 1.0]) @ basis.t() + 2.0
    q = Projected(EMAVectorQuantizer(256, 3, restart_below=0), 12).train()
    out = q(z)
    lost = (out.quantized - z).square().sum() / (z - z.mean(0)).square().sum()
    assert lost < 0.05  # all the variance lies in three directions
    scaled = Projected(FiniteScalarQuantizer(64, 2), 12)
    scaled.initialize(z)
    seen = functional.linear(z, scaled.project_in.weight, scaled.project_in.bias)
    torch.testing.assert_close(seen.std(0), torch.ones(2), rtol=1e-3, atol=1e-3)


def test_the_reservoir_keeps_the_latest_latents_and_restarts_draw_from_it() -> None:
    q = EMAVectorQuantizer(8, 2, restart_below=0.9, restart_every=1, reservoir=32).train()
    for step in range(40):
        q(latents(16, 2, seed=step) + 10 * step)
    assert int(q.remembered) == 40 * 2  # a sixteenth of its size in each step
    assert float(q.reservoir.mean()) / 10 == pytest.approx(31.5, abs=1.0)  # the last 16 of the steps 0 to 39
    small = EMAVectorQuantizer(8, 2, reservoir=64).train()
    small(latents(2, 2))
    assert int(small.remembered) == 2  # never more than the batch holds


def test_a_restarted_code_is_told_until_the_next_update() -> None:
    q = EMAVectorQuantizer(8, 2, restart_below=0.9, restart_every=2).train()
    q.set_codebook(torch.cat([torch.zeros(1, 2), torch.full((7, 2), 100.0)]))
    z = latents(64, 2)
    q(z)
    assert q.restarted is None
    for _ in range(9):
        q(z)
    assert q.restarted is not None
    assert set(q.restarted.tolist()) <= set(range(8))
    q(z)
    assert q.restarted is None
