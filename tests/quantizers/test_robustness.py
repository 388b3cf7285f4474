"""Quantizers where things go wrong elsewhere: compiled restarts, empty batches, NaN, tiny vectors, odd dtypes."""

from __future__ import annotations

import copy
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from vqkit.cli.commands.study.main import _names
from vqkit.data import load_source
from vqkit.models import VQVAE
from vqkit.ops import codebook_histograms, kmeans, nearest_code, on_sphere, rotation
from vqkit.quantizers import QUANTIZERS, Quantizer, build_quantizer

CODES, DIM = 64, 12
TABLES = ["ema", "gradient", "simvq", "ibq"]


def latents(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(kind: str, count: int = 1, stacking: str = "product", **options: Any) -> Quantizer:
    return build_quantizer(kind, CODES, DIM, options, count, stacking).train()


def total(out: Any) -> Tensor:
    return out.quantized.square().sum() + sum(out.losses.values(), torch.zeros(()))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ema", {"cosine": True, "entropy_weight": 0.1}),
        ("gradient", {"gradient": "rotation", "cosine": True}),
        ("ibq", {}),
        ("simvq", {"entropy_weight": 0.1, "restart_below": 0.5}),
        ("fsq", {}),
    ],
)
def test_compiled_steps_with_restarts_have_the_gradients_of_eager_ones(kind: str, options: dict[str, Any]) -> None:
    """By the partitioner that the default backend has too, which makes cheap tensors anew in the backward pass."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    if kind != "fsq":
        options = {"restart_every": 1, "restart_below": 0.5, **options}
    eager = build(kind, **options)
    eager(latents(64, DIM, 4))
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, backend="aot_eager_decomp_partition", fullgraph=True)
    for step in range(12):
        z, other = (latents(8, DIM, 4, seed=step).requires_grad_() for _ in range(2))
        total(eager(z)).backward()
        total(compiled(other)).backward()
        torch.testing.assert_close(other.grad, z.grad, rtol=1e-4, atol=1e-5)
    assert kind == "fsq" or eager.restarts > 0
    for (name, mine), theirs in zip(eager.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, mine.grad, rtol=1e-4, atol=1e-4, msg=name)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_compiling_before_the_first_codebook_runs_it_once_outside_the_graph() -> None:
    torch._dynamo.reset()
    q = build("ema")
    compiled = torch.compile(q, backend="aot_eager")
    compiled(latents(64, DIM, 4))
    assert q.initialized


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("options", [{"cosine": True}, {"entropy_weight": 0.1}, {"gradient": "rotation"}])
def test_restarts_between_forward_and_backward(kind: str, options: dict[str, Any]) -> None:
    if kind == "ibq" and "gradient" in options:
        pytest.skip("IBQ has a gradient of its own")
    q = build(kind, restart_every=1, restart_below=0.9, **options)
    for step in range(5):
        z = latents(20, DIM, 4, seed=step).requires_grad_()
        total(q(z)).backward()
        assert z.grad is not None
        assert torch.isfinite(z.grad).all()
    assert q.restarts > 0


SEARCH = """
import os, sys, torch
from vqkit.ops import nearest_code
for setting in sys.argv[1:]:
    if child := os.fork():  # each in a process of its own, of which none has multiplied before
        if os.waitpid(child, 0)[1]:
            sys.exit(setting)
        continue
    try:
        exec(setting)
    except AttributeError:
        os._exit(0)
    g = torch.Generator().manual_seed(0)
    x, c = torch.randn(300, 5, generator=g), torch.randn(90, 5, generator=g)
    wanted = (x.double()[:, None] - c.double()[None]).square().sum(-1).argmin(1)
    os._exit(not torch.equal(nearest_code(x, c), wanted))
"""


def test_the_search_is_exact_however_torch_multiplies() -> None:
    settings = [
        "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
        "torch.backends.fp32_precision = 'tf32'",
        "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'",
        "torch.set_float32_matmul_precision('medium')",
    ]
    subprocess.run([sys.executable, "-c", SEARCH, *settings], check=True, timeout=120)


@pytest.mark.parametrize("kind", list(QUANTIZERS))
@pytest.mark.parametrize(("count", "stacking"), [(1, "product"), (2, "product"), (2, "residual")])
def test_batches_of_nothing_cost_nothing_and_change_nothing(kind: str, count: int, stacking: str) -> None:
    q = build(kind, count, stacking)
    none, padded = latents(0, DIM, 4), latents(3, DIM, 4)
    mask = torch.zeros(3, 4, dtype=torch.bool)
    for _ in range(2):  # before the first codebook, and after it
        before = {name: tensor.clone() for name, tensor in q.state_dict().items() if "updates" not in name}
        for z, kept in ((none, None), (padded, mask)):
            out = q(z.requires_grad_(), kept)
            assert all(float(loss.detach()) == 0 for loss in out.losses.values()), out.losses
            total(out).backward()
        for name, tensor in q.state_dict().items():
            assert "updates" in name or torch.equal(tensor, before[name]), name
        q(latents(40, DIM, 4))


@pytest.mark.parametrize("dropout", [0.5, 1.0])
def test_quantizer_dropout_initializes_and_restarts_every_stage(dropout: float) -> None:
    for seed in range(4):
        torch.manual_seed(seed)
        q = build("ema", 3, "residual", quantizer_dropout=dropout, restart_every=1)
        for step in range(12):
            q(latents(1 if step else 2, DIM, 9, seed=step))
        assert q.initialized


def test_indices_that_are_left_out_are_counted_nowhere() -> None:
    indices = torch.tensor([[0, 3, -1], [1, -1, -1], [1, 3, 2]])
    counts = codebook_histograms(indices, 4, 3)
    assert counts.tolist() == [[1, 2, 0, 0], [0, 0, 0, 2], [0, 0, 1, 0]]


@pytest.mark.parametrize("kind", list(QUANTIZERS))
def test_under_autocast_codes_are_those_of_the_forward_pass(kind: str) -> None:
    source = load_source("digits")
    model = VQVAE.for_source(source, 64, hidden_channels=8, residual_channels=4, downsampling=2, quantizer=kind)
    x = torch.from_numpy(source.gather(range(20)))
    model.train()(x)
    model.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(x)
        assert torch.equal(model.decode(model.encode(x)), out.reconstruction)
        quantizer: Any = model.quantizer
        z = latents(4, 64, 3)
        assert torch.equal(quantizer.lookup(quantizer.encode(z)), quantizer(z).quantized)


@pytest.mark.parametrize("kind", list(QUANTIZERS))
def test_float64_latents_and_backward_under_autocast(kind: str) -> None:
    q = build(kind)
    q(latents(40, DIM, 4))
    z = latents(6, DIM, 4).double().requires_grad_()
    total(q(z)).backward()
    assert z.grad is not None
    assert z.grad.dtype == torch.float64
    q.eval()
    assert torch.equal(q.lookup(q.encode(z)), q(z).quantized)
    q.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total(q(latents(6, DIM, 4).requires_grad_())).backward()


def test_gradients_of_tiny_vectors_are_bounded() -> None:
    tiny = torch.zeros(1, 8).requires_grad_()
    (gradient,) = torch.autograd.grad(on_sphere(tiny).sum(), tiny)
    assert float(gradient.abs().max()) <= 1e3 * (1 + 1e-6)
    for size in (0.0, 1e-9, 1e-5, 1e-3, 1.0):
        z = (size * latents(50, 8)).requires_grad_()
        push = latents(50, 8, seed=2)
        (gradient,) = torch.autograd.grad((rotation(z, latents(50, 8, seed=1)) * push).sum(), z)
        assert float((gradient.norm(dim=1) / push.norm(dim=1)).max()) <= 101


@pytest.mark.parametrize("kind", list(QUANTIZERS))
@pytest.mark.parametrize("projection", [None, 4])
def test_nan_in_padding_reaches_nothing(kind: str, projection: int | None) -> None:
    options = {} if projection is None or kind in ("fsq", "lfq", "bsq") else {"projection_dim": projection}
    q = build(kind, **options)
    mask = torch.tensor([True, True, False, True]).expand(20, 4)
    for value in (torch.nan, torch.inf):
        z = latents(20, DIM, 4)
        z[:, :, 2] = value
        z.requires_grad_()
        out = q(z, mask)
        assert all(bool(torch.isfinite(loss)) for loss in out.losses.values())
        (torch.where(mask.unsqueeze(1), out.quantized, 0).square().sum() + sum(out.losses.values())).backward()
        for name, parameter in q.named_parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
        assert z.grad is not None
        assert torch.isfinite(z.grad).all()
    for name, tensor in q.state_dict().items():
        assert torch.isfinite(tensor).all(), name


@pytest.mark.parametrize("kind", TABLES)
def test_one_nan_does_not_destroy_a_codebook(kind: str) -> None:
    q = build(kind)
    for step in range(3):  # the first codebook too
        z = latents(40, DIM, 4, seed=step)
        z[3, 5, 1] = torch.nan
        q(z)
    for name, tensor in q.state_dict().items():
        assert torch.isfinite(tensor).all(), name


def test_a_projection_of_latents_in_few_dimensions_does_not_magnify_noise() -> None:
    flat = latents(3, 1, 200) * torch.ones(1, DIM, 1)
    for z in (flat, torch.ones(3, DIM, 200)):
        q: Any = build("fsq")
        q(z)
        assert float(q.project_in.weight.detach().abs().max()) < 1000
        near = (q.encode(z) == q.encode(z + 1e-4 * latents(*z.shape))).float().mean()
        assert float(near) > 0.9


def test_kmeans_of_too_few_points_makes_no_two_centres_equal() -> None:
    for points, distinct in ((5 + latents(1, 8), 64), (latents(4, 8), 64), (torch.ones(30, 8), 64 - 30 + 1)):
        centers, _ = kmeans(points, 64, generator=torch.Generator().manual_seed(0))
        assert len(torch.unique(centers, dim=0)) == distinct


def test_restarts_put_no_two_codes_on_one_latent() -> None:
    q: Any = build_quantizer("ema", 256, 6, {"restart_every": 1, "restart_below": 0.9, "reservoir": 0}).train()
    for step in range(40):
        q(latents(16, 6, seed=step))
    assert q.restarts > 0
    assert len(torch.unique(q.codebook, dim=0)) == 256


@pytest.mark.parametrize("kind", ["fsq", "lfq", "bsq", "ema"])
def test_residual_stages_of_every_kind_go_on_reducing_the_error(kind: str) -> None:
    z = latents(400, QUANTIZERS[kind].own_dim(CODES, {}) or DIM, 4)
    q: Any = build_quantizer(kind, CODES, z.shape[1], {}, 4, "residual")
    q.train()(z)
    q.eval()
    indices = q.encode(z)
    start = z if kind != "fsq" else q.stages[0].residual_start(z)
    errors = [float((q.lookup(indices[..., : m + 1]) - start).square().mean()) for m in range(4)]
    factor = 0.95 if kind == "ema" else 0.6
    assert all(after < factor * before for before, after in pairwise(errors)), errors


def test_the_search_at_the_ends_of_its_range() -> None:
    x, c = latents(200, 6), latents(50, 6, seed=1)
    wanted = (x.double()[:, None] - c.double()[None]).square().sum(-1).argmin(1)
    for scale in (2.0**-49, 2.0**49):
        assert torch.equal(nearest_code(scale * x, scale * c), wanted)


def test_names_with_brackets_stay_whole() -> None:
    assert _names("ema, fsq:levels=[8,8],ema:beta=1") == ["ema", "fsq:levels=[8,8]", "ema:beta=1"]
