"""Vector quantizers: oracle, laws, restart, initialization, state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import vector_quantization as reference
from vqkit.errors import ConfigError
from vqkit.quantizers import EMAVectorQuantizer, Quantizer, VectorQuantizer, build_quantizer
from vqkit.quantizers.codebook.base import CodebookQuantizer

KINDS = ["ema", "gradient"]


def quantizer(kind: str, codes: int = 12, dim: int = 5, **options: float) -> CodebookQuantizer:
    built = build_quantizer(kind, codes, dim, {"restart_below": 0, **options})
    assert isinstance(built, CodebookQuantizer)
    built.set_codebook(torch.randn(codes, dim, generator=torch.Generator().manual_seed(3)))
    return built


def latents(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(), (7,), (3, 4), (2, 3, 4)])
def test_forward_encode_and_codes_agree_bit_for_bit(kind: str, grid: tuple[int, ...]) -> None:
    q = quantizer(kind).eval()
    z = latents(6, 5, *grid)
    out = q(z)
    assert out.indices.shape == (6, *grid)
    assert out.quantized.shape == z.shape
    assert torch.equal(q.encode(z), out.indices)
    assert torch.equal(q.lookup(out.indices), out.quantized)
    codebook = q.codebook.detach().double().numpy()
    flat = z.movedim(1, -1).reshape(-1, 5).double().numpy()
    assert (out.indices.reshape(-1).numpy() == reference.nearest(flat, codebook)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_means_and_beta_is_on_the_encoders_term(kind: str) -> None:
    q = quantizer(kind, beta=0.3)
    z = latents(4, 5, 6).requires_grad_()
    codes = q.lookup(q.encode(z)).detach()
    out = q.eval()(z)
    assert out.losses["commitment_loss"].ndim == 0
    error, weighted = reference.losses(z.detach().double().numpy(), codes.double().numpy(), 0.3)
    assert out.losses["commitment_loss"].item() == pytest.approx(weighted, rel=1e-5)
    (gradient,) = torch.autograd.grad(out.losses["commitment_loss"], z, retain_graph=True)
    assert torch.allclose(gradient, 0.3 * 2 * (z - codes) / z.numel(), atol=1e-8)
    if kind == "gradient":
        assert out.losses["codebook_loss"].item() == pytest.approx(error, rel=1e-5)
        assert torch.autograd.grad(out.losses["codebook_loss"], z, allow_unused=True, retain_graph=True) == (None,)
        (of_codebook,) = torch.autograd.grad(out.losses["codebook_loss"], q.codebook, retain_graph=True)
        assert of_codebook.abs().sum() > 0
        assert torch.autograd.grad(out.losses["commitment_loss"], q.codebook, allow_unused=True) == (None,)
    doubled = q(torch.cat([z, z]))
    for name, value in out.losses.items():
        assert float(doubled.losses[name].detach()) == pytest.approx(float(value.detach()), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_straight_through_gradient_is_the_identity(kind: str) -> None:
    q = quantizer(kind)
    z = latents(3, 5, 4).requires_grad_()
    weights = latents(3, 5, 4, seed=9)
    (q(z).quantized * weights).sum().backward()
    assert z.grad is not None
    assert torch.equal(z.grad, weights)
    assert q.codebook.grad is None


def test_ema_equals_its_closed_form() -> None:
    q = EMAVectorQuantizer(7, 4, decay=0.8, decay_warmup=False, epsilon=1e-3, restart_below=0).double()
    start = latents(7, 4, seed=5).double()
    q.set_codebook(start)
    batches = []
    for step in range(12):
        z = latents(5, 4, 6, seed=step).double()
        indices = q(z).indices
        batches.append((z.movedim(1, -1).reshape(-1, 4).numpy(), indices.reshape(-1).numpy()))
    expected = reference.ema_closed_form(batches, start.numpy(), 0.8, 1e-3)
    assert np.allclose(q.codebook.numpy(), expected, rtol=1e-10, atol=1e-12)


def test_ema_warmup_follows_its_formula() -> None:
    q = EMAVectorQuantizer(3, 2, decay=0.6, restart_below=0).double()
    q.set_codebook(torch.eye(3, 2).double())
    expected = torch.ones(3, dtype=torch.float64)
    for step in range(20):
        counts = torch.bincount(q(latents(30, 2, seed=step).double()).indices, minlength=3)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * counts
    assert torch.allclose(q.average_counts, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_eval_mode_changes_no_state(kind: str) -> None:
    q = quantizer(kind).eval()
    before = {name: tensor.clone() for name, tensor in q.state_dict().items()}
    q(latents(3, 5, 4))
    q.encode(latents(3, 5, 4))
    assert all(torch.equal(before[name], tensor) for name, tensor in q.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_permuting_the_codebook_permutes_the_indices(kind: str) -> None:
    q = quantizer(kind)
    z = latents(8, 5, 9)
    before = q.encode(z)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    q.set_codebook(q.codebook.detach()[order].clone())
    assert torch.equal(order[q.encode(z)], before)


@pytest.mark.parametrize("kind", KINDS)
def test_first_batch_initializes_by_kmeans_and_only_once(kind: str) -> None:
    q: Quantizer = build_quantizer(kind, 6, 3, {})
    assert not q.initialized
    truth = latents(6, 3, seed=2) * 30
    z = truth.repeat(20, 1) + 0.01 * latents(120, 3)
    q(z)
    assert q.initialized
    assert len(torch.unique(q.encode(truth))) >= 5
    loaded: Quantizer = build_quantizer(kind, 6, 3, {})
    loaded.load_state_dict(q.state_dict())
    assert loaded.initialized
    assert torch.equal(loaded.encode(z), q.encode(z))


@pytest.mark.parametrize("kind", KINDS)
def test_dead_codes_are_restarted_from_the_batch(kind: str) -> None:
    options = {"restart_below": 0.1, "restart_every": 5}
    if kind == "ema":
        options["decay"] = 0.5
    q = quantizer(kind, 16, 4, **options)
    far = torch.full((16, 4), 1e3)
    far[0] = 0.0
    q.set_codebook(far)  # fifteen codes that no latent will ever choose
    q.uses.fill_(1.0)
    q.uses[1:] = 1e-6
    for step in range(40):
        q(latents(64, 4, seed=step))
    q.eval()
    assert len(torch.unique(q.encode(latents(4000, 4, seed=99)))) == 16
    assert q.restarts > 0


def test_without_restart_dead_codes_stay_dead() -> None:
    q = quantizer("ema", 16, 4, decay_warmup=False)
    far = torch.full((16, 4), 1e3)
    far[0] = 0.0
    q.set_codebook(far)
    for step in range(40):
        q(latents(64, 4, seed=step))
    assert len(torch.unique(q.encode(latents(400, 4, seed=99)))) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_leaves_search_and_statistics_in_float32(kind: str) -> None:
    plain, cast = quantizer(kind), quantizer(kind)
    z = latents(8, 5, 10)
    expected = plain(z.bfloat16().float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = cast(z.bfloat16())
    assert out.quantized.dtype == torch.float32
    assert torch.equal(out.indices, expected.indices)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, cast.state_dict()[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_bad_indices_and_shapes_are_refused(kind: str) -> None:
    q = quantizer(kind)
    with pytest.raises(ValueError, match="12 codes"):
        q.lookup(torch.tensor([0, 12]))
    with pytest.raises(ValueError, match="12 codes"):
        q.lookup(torch.tensor([-1]))
    with pytest.raises(ValueError, match="dtype"):
        q.lookup(torch.tensor([0.5]))
    with pytest.raises(ValueError, match="code_dim=5"):
        q(torch.zeros(3, 4))


@pytest.mark.parametrize(
    "options",
    [
        {"codebook_size": 1},
        {"codebook_size": 0},
        {"code_dim": 0},
        {"beta": -1},
        {"restart_below": 1.5},
        {"restart_every": 0},
    ],
)
def test_bad_settings_are_refused(options: dict[str, float]) -> None:
    for kind in (EMAVectorQuantizer, VectorQuantizer):
        with pytest.raises(ConfigError, match=next(iter(options))):
            kind(**{"codebook_size": 8, "code_dim": 4, **options})  # type: ignore[arg-type]


def test_registry_names_what_it_knows() -> None:
    with pytest.raises(ConfigError, match="ema, gradient"):
        build_quantizer("magic", 8, 4, {})
    with pytest.raises(ConfigError, match="decay"):
        build_quantizer("ema", 8, 4, {"dekay": 0.9})


def test_a_rate_weight_chooses_by_distance_and_bits() -> None:
    torch.manual_seed(0)
    quantizer = EMAVectorQuantizer(5, 3, rate_weight=0.7)
    quantizer.set_codebook(torch.randn(5, 3), torch.tensor([2.5, 1.5, 0.6, 0.3, 0.1]))
    quantizer.eval()
    latents = torch.randn(40, 3, 2)
    bits = -((quantizer.uses + 0.02).double() / 5.1).log2()
    assert torch.allclose(quantizer.code_bits().double(), bits, atol=1e-5)
    flat = latents.movedim(1, -1).reshape(-1, 1, 3).double()
    cost = (flat - quantizer.table().double()).square().sum(-1) + 0.7 * bits
    expected = cost.argmin(dim=1).view(40, 2)
    assert torch.equal(quantizer.encode(latents), expected)
    assert torch.equal(quantizer(latents).indices, expected)
    quantizer.rate_weight = 0.0
    nearest = quantizer.encode(latents)
    assert not torch.equal(nearest, expected)
    assert bits[expected].mean() < bits[nearest].mean()
    with pytest.raises(ConfigError, match="rate_weight=-1: give 0 or more"):
        EMAVectorQuantizer(5, 3, rate_weight=-1)
