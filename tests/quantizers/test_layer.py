"""A quantizer as a plain layer: unpacking, channel-last latents, masks and any number of axes, for every quantizer."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from vqkit import VQVAE
from vqkit.quantizers import (
    QUANTIZERS,
    ChannelsLast,
    EMAVectorQuantizer,
    FiniteScalarQuantizer,
    LookupFreeQuantizer,
    Quantizer,
    build_quantizer,
    whole_batch,
)

CASES = [
    *((name, 1, "product") for name in QUANTIZERS),
    ("ema", 2, "product"),
    ("ema", 2, "residual"),
    ("fsq", 2, "residual"),
]
GRIDS: list[tuple[int, ...]] = [(), (7,), (3, 4), (2, 3, 2), (2, 1, 2, 3)]


def quantizer(name: str, count: int, stacking: str) -> Quantizer:
    torch.manual_seed(0)
    return build_quantizer(name, 16, 8, {}, count, stacking)


def latents(grid: tuple[int, ...], seed: int = 1) -> Tensor:
    return torch.randn(5, 8, *grid, generator=torch.Generator().manual_seed(seed))


def step(layer: Any, x: Tensor, mask: Tensor | None = None) -> tuple[Any, Tensor]:
    x = x.clone().requires_grad_()
    torch.manual_seed(3)  # Gumbel noise
    found = layer(x, mask)
    weights = torch.linspace(-1, 1, found.quantized.shape[-1])
    (found.quantized * weights).sum().add(found.loss).backward()
    assert x.grad is not None
    return found, x.grad


def same_state(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    mine, theirs = first.state_dict(), second.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize(("name", "count", "stacking"), CASES)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_channels_last_is_channels_first_permuted(name: str, count: int, stacking: str, grid: tuple[int, ...]) -> None:
    first = quantizer(name, count, stacking).train()
    last = ChannelsLast(copy.deepcopy(first)).train()
    x = latents(grid)
    torch.manual_seed(3)
    quantized, indices, loss = first(x)
    torch.manual_seed(3)
    found = last(x.movedim(1, -1).contiguous())
    assert torch.equal(found.indices, indices)
    assert indices.shape == (5, *grid, count)[: 1 + len(grid) + (count > 1)]
    torch.testing.assert_close(found.quantized, quantized.movedim(1, -1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.loss, loss, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(dict(first.state_dict()), dict(last.quantizer.state_dict()), rtol=1e-5, atol=1e-6)
    last.eval()
    assert torch.equal(last.lookup(last.encode(x.movedim(1, -1))), last(x.movedim(1, -1)).quantized)


@pytest.mark.parametrize(("name", "count", "stacking"), CASES)
def test_it_unpacks_as_quantized_indices_and_the_sum_of_the_losses(name: str, count: int, stacking: str) -> None:
    layer = quantizer(name, count, stacking).train()
    found = layer(latents((4,)))
    quantized, indices, loss = found
    assert quantized is found.quantized
    assert indices is found.indices
    assert loss.ndim == 0
    assert float(loss) == pytest.approx(sum(float(each) for each in found.losses.values()), abs=1e-6)


@pytest.mark.parametrize(("name", "count", "stacking"), CASES)
@pytest.mark.parametrize("grid", [(6,), (3, 4)], ids=str)
def test_what_is_masked_changes_nothing(name: str, count: int, stacking: str, grid: tuple[int, ...]) -> None:
    layer = quantizer(name, count, stacking).train()
    layer(latents(grid, 2))  # its first codebook
    other = copy.deepcopy(layer)
    mask = torch.rand(5, *grid, generator=torch.Generator().manual_seed(5)) < 0.6
    x = latents(grid)
    y = torch.where(mask.unsqueeze(1), x, 3 * latents(grid, 9))
    (found, gradient), (again, _) = step(layer, x, mask), step(ChannelsLast(other), y.movedim(1, -1), mask)
    assert torch.equal(found.loss, again.loss)
    assert same_state(layer, other)
    assert torch.equal(found.indices[mask], again.indices[mask])
    assert torch.isfinite(gradient).all()


def test_latents_of_another_layout_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[batch, \*grid, 8\].*second axis"):
        ChannelsLast(EMAVectorQuantizer(16, 8))(torch.zeros(2, 8, 5))


@pytest.mark.parametrize("name", ["ema", "fsq"])
def test_latents_whose_second_and_last_axis_fit_are_not_taken_in_silence(name: str) -> None:
    layer = build_quantizer(name, 15 if name == "fsq" else 16, 2, {"levels": [5, 3]} if name == "fsq" else {})
    for ambiguous in (torch.randn(9, 2, 2), torch.randn(9, 2, 5, 2)):
        for use in (layer, layer.encode):
            with pytest.warns(UserWarning, match=r"second and the last axis.*ChannelsLast\(layer\)") as caught:
                use(ambiguous)
            assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(torch.randn(2, 2))  # one axis only
        layer(torch.randn(9, 2, 5))
        layer(torch.randn(9, 2, 2), channel_last=False)
        layer(torch.randn(9, 2, 2), channel_last=True)
        assert not layer.channels_first  # said of these calls only
        ChannelsLast(copy.deepcopy(layer))(torch.randn(9, 2, 2))
        layer.channels_first = True
        layer(torch.randn(9, 2, 2))
        layer.encode(torch.randn(9, 2, 2))


@pytest.mark.parametrize(("name", "count", "stacking"), CASES)
def test_models_and_compositions_know_their_layout(name: str, count: int, stacking: str) -> None:
    model = VQVAE(
        16, code_dim=8, channels=1, hidden_channels=8, residual_channels=4, quantizer=name, num_codebooks=count,
        stacking=stacking,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for side in (32, 16):  # a grid of 8 x 8, and vectors of 8 numbers; 4 x 4, and parts of 4
            x = torch.rand(2, 1, side, side)
            model.train()(x)
            model.eval().decode(model.encode(x))


def test_the_layout_is_also_asked_for_when_a_network_is_compiled() -> None:
    torch._dynamo.reset()
    layer = EMAVectorQuantizer(16, 4)
    layer(torch.randn(16, 4))
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    with pytest.warns(UserWarning, match="second and the last axis"):
        compiled(torch.randn(9, 4, 4))
    before = layer.codebook.clone()
    compiled(torch.randn(9, 4, 7), update=False)
    assert torch.equal(layer.codebook, before)


@pytest.mark.parametrize(("name", "count", "stacking"), CASES)
def test_a_call_with_the_last_axis_is_that_of_channels_last(name: str, count: int, stacking: str) -> None:
    first = quantizer(name, count, stacking).train()
    last = ChannelsLast(copy.deepcopy(first)).train()
    x = latents((3, 4)).movedim(1, -1)
    torch.manual_seed(3)
    found = first(x, channel_last=True)
    torch.manual_seed(3)
    wanted = last(x)
    assert torch.equal(found.quantized, wanted.quantized)
    assert torch.equal(found.indices, wanted.indices)
    with pytest.raises(ValueError, match=r"expected \[batch, \*grid, 8\]"):
        first(latents((3, 4)), channel_last=True)
    with pytest.raises(ValueError, match=r"in the last axis: ChannelsLast\(layer\)"):
        first(x)


@pytest.mark.parametrize(("name", "count", "stacking"), [*CASES, ("ema", 1, "behind a map")])
def test_a_call_may_leave_the_statistics_as_they_are(name: str, count: int, stacking: str) -> None:
    if stacking == "behind a map":
        layer = build_quantizer("fsq", 15, 8, {"levels": [5, 3]})
    else:
        layer = quantizer(name, count, stacking)
    layer.train()
    fresh = copy.deepcopy(layer)
    layer(latents((6,), 2))
    for each in (layer, fresh):
        before = copy.deepcopy(each)
        step(lambda x, mask, each=each: each(x, mask, update=False), latents((6,)))
        assert same_state(each, before)
        assert not any(getattr(part, "frozen", False) for part in each.modules())
        for mine, theirs in zip(each.parameters(), before.parameters(), strict=True):
            assert mine.requires_grad == theirs.requires_grad
    before = copy.deepcopy(layer)
    last = ChannelsLast(layer)
    last(latents((6,)).movedim(1, -1), update=False)
    assert same_state(layer, before)
    layer(latents((6,)))
    assert same_state(layer, before) == (name in ("gumbel", "gaussian"))  # others have counts, or a map's averages


def test_without_an_update_the_codewords_still_receive_their_gradient() -> None:
    layer = quantizer("gradient", 1, "product").train()
    layer(latents((6,)), update=False).loss.backward()
    assert layer.codebook.grad is not None  # type: ignore[union-attr]
    assert layer.codebook.grad.abs().sum() > 0  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "count", "stacking"), [case for case in CASES if case[0] not in ("gumbel",)])
def test_parts_of_a_batch_teach_as_the_whole_batch(name: str, count: int, stacking: str) -> None:
    """Gradient accumulation in a network of one's own: the statistics move once, by the whole batch."""
    layer = quantizer(name, count, stacking).train()
    layer(latents((6,), 2))
    parts = copy.deepcopy(layer)
    network = torch.nn.ModuleList([ChannelsLast(parts)])
    x = torch.cat([latents((6,), 3), latents((6,), 4)])
    _, gradient = step(layer, x)
    own = x.clone().requires_grad_()
    with whole_batch(network):
        for piece in own.chunk(2):
            found = parts(piece)
            weights = torch.linspace(-1, 1, found.quantized.shape[-1])
            ((found.quantized * weights).sum() + found.loss / 2).backward()
    torch.testing.assert_close(parts.state_dict(), layer.state_dict(), rtol=1e-5, atol=1e-6)
    if name not in ("lfq", "bsq", "ibq"):  # an entropy of the whole batch is no mean of its parts'
        torch.testing.assert_close(own.grad, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cast", ["bfloat16", "half"])
@pytest.mark.parametrize(("name", "count", "stacking"), CASES)
def test_running_averages_stay_float32_in_a_network_of_half_precision(
    cast: str, name: str, count: int, stacking: str
) -> None:
    layer = quantizer(name, count, stacking).train()
    layer(latents((6,), 2))
    network = torch.nn.Sequential(copy.deepcopy(layer))
    getattr(network, cast)()
    buffers = {key: value for key, value in network[0].named_buffers() if value.is_floating_point()}
    assert all(value.dtype == torch.float32 for value in buffers.values())
    for key, value in layer.named_buffers():
        assert not value.is_floating_point() or torch.equal(value, buffers[key])
    low = getattr(latents((6,)), cast)()
    if name == "ema":  # whose codewords are such averages: it learns as in float32
        network[0](low)
        layer(low.float())
        assert same_state(layer, network[0])


def test_freezing_a_channel_last_layer_freezes_what_learns_without_a_gradient() -> None:
    layer = ChannelsLast(EMAVectorQuantizer(16, 8))
    layer(latents(()))
    before = copy.deepcopy(layer)
    assert layer.freeze() is layer
    layer(latents((6,)).movedim(1, -1))
    assert same_state(layer, before)
    layer.unfreeze()
    layer(latents((6,)).movedim(1, -1))
    assert not same_state(layer, before)


def test_arguments_of_another_library_are_answered_with_ours() -> None:
    for arguments in ({"dim": 8, "codebook_size": 16}, {"codebook_size": 16, "code_dim": 8, "channel_last": True}):
        with pytest.raises(TypeError, match=r"EMAVectorQuantizer: .*it takes: codebook_size, code_dim, beta, decay"):
            EMAVectorQuantizer(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"since code_dim=8$"):
        EMAVectorQuantizer(16, 8)(torch.zeros(8))


peer = pytest.importorskip("vector_quantize_pytorch", reason="vector-quantize-pytorch is not installed")


def test_a_masked_sequence_agrees_with_the_peer() -> None:
    theirs = peer.VectorQuantize(dim=6, codebook_size=24, decay=0.9, commitment_weight=0.25, rotation_trick=False)
    ours = ChannelsLast(EMAVectorQuantizer(24, 6, decay=0.9, decay_warmup=False, restart_below=0))
    start = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
    theirs._codebook.embed.data.copy_(start[None])
    theirs._codebook.embed_avg.data.copy_(start[None])
    theirs._codebook.cluster_size.data.fill_(1.0)
    ours.quantizer.set_codebook(start)
    for number in range(5):
        x = torch.randn(4, 10, 6, generator=torch.Generator().manual_seed(number))
        mask = torch.arange(10) < torch.tensor([10, 3, 7, 1])[:, None]
        quantized, indices, loss = ours(x, mask)
        expected, numbers, penalty = theirs(x, mask=mask)
        assert torch.equal(indices[mask], numbers[mask])
        assert torch.allclose(quantized[mask], expected[mask], atol=1e-5)
        assert torch.allclose(loss, penalty.sum(), rtol=1e-4, atol=1e-6)
        assert torch.allclose(ours.quantizer.codebook, theirs._codebook.embed[0], rtol=1e-4, atol=1e-5)


def test_scalar_and_binary_codewords_agree_with_the_peers() -> None:
    x = torch.randn(4, 10, 3, generator=torch.Generator().manual_seed(1))
    quantized, _, loss = ChannelsLast(FiniteScalarQuantizer(7 * 5 * 5, 3, levels=[7, 5, 5]))(x)
    assert torch.allclose(quantized, peer.FSQ([7, 5, 5])(x)[0], atol=1e-5)
    assert float(loss) == 0
    binary, _, _ = ChannelsLast(LookupFreeQuantizer(8, 3))(x)
    assert torch.equal(binary.sign(), peer.LFQ(codebook_size=8, dim=3)(x)[0].sign())


def test_a_layer_says_its_sizes_and_options() -> None:
    assert repr(EMAVectorQuantizer(32, 8)) == "EMAVectorQuantizer(codebook_size=32, code_dim=8, decay=0.99)"
    layer = EMAVectorQuantizer(32, 8, decay=0.9, cosine=True)
    assert repr(layer) == "EMAVectorQuantizer(codebook_size=32, code_dim=8, decay=0.9, cosine=True)"
    assert "codebook_size=16, code_dim=4" in repr(QUANTIZERS["simvq"](16, 4))


@pytest.mark.parametrize("name", ["ema", "gradient", "simvq", "ibq"])
def test_a_frozen_layer_keeps_its_codes_and_an_unfrozen_one_learns(name: str) -> None:
    torch.manual_seed(0)
    layer = QUANTIZERS[name](16, 4)
    x = torch.randn(64, 4, 9)
    layer(x)
    assert layer.freeze() is layer
    assert layer.frozen
    assert "frozen=True" in repr(layer)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    out = layer(x.clone().requires_grad_())
    out.loss.backward() if out.loss.requires_grad else None
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    layer.unfreeze()
    assert not layer.frozen
    assert all(parameter.requires_grad for parameter in layer.parameters())
    layer(x + 1)
    assert int(layer.updates) > int(before["updates"])


@pytest.mark.parametrize("name", sorted(QUANTIZERS))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_network_in_half_precision_trains_through_the_layer_and_its_restarts(name: str, dtype: torch.dtype) -> None:
    network = torch.nn.ModuleList([torch.nn.Linear(8, 16), build_quantizer(name, 64, 16, {}), torch.nn.Linear(16, 8)])
    encoder, layer, decoder = network.to(dtype)
    torch.manual_seed(0)
    for _ in range(21):
        quantized, indices, loss = layer(encoder(torch.randn(32, 8, dtype=dtype)))
        (decoder(quantized).float().square().mean() + loss.float()).backward()
    assert quantized.dtype == dtype
    assert indices.dtype == torch.int64
    layer.eval()
    latents = torch.randn(32, 16, dtype=dtype)
    quantized, indices, _ = layer(latents)
    assert torch.equal(layer.lookup(indices).to(dtype), quantized)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(latents).quantized, layer.lookup(indices))


def test_a_layer_of_ones_own_may_call_its_arguments_as_it_likes() -> None:
    class Plain(EMAVectorQuantizer):
        def forward(self, z, scale=1.0):  # type: ignore[no-untyped-def, override]
            return super().forward(scale * z)

    layer = Plain(8, 4).eval()
    latents = torch.randn(2, 4, 3)
    expected = layer(latents, 2.0).indices
    assert torch.equal(layer(z=latents, scale=2.0).indices, expected)
    assert torch.equal(layer(latents.movedim(1, -1), 2.0, channel_last=True).indices, expected)
    seen: list[int] = []
    layer.register_forward_pre_hook(lambda module, given: seen.append(len(given)))
    layer(latents)
    assert seen == [1]


@pytest.mark.parametrize("name", ["ema", "fsq"])
def test_a_layer_is_exported_with_a_grid_of_any_size(name: str) -> None:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = build_quantizer(name, 64, 3, {})

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x).indices

    network = Network().eval()
    exported = torch.export.export(network, (torch.randn(2, 3, 6),), dynamic_shapes=({2: torch.export.Dim("n")},))
    for size in (3, 5):
        x = torch.randn(2, 3, size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert torch.equal(exported.module()(x), network(x))
