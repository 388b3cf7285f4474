"""ConvNeXt for sound: its layers against torch's, and the laws that SEANet keeps: lengths, halo, exact pieces."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import vqkit
from vqkit.errors import ConfigError
from vqkit.networks import ConvNeXtDecoder, ConvNeXtEncoder, StreamState
from vqkit.networks.sound.blocks import Block, DepthwiseConvolution, RMSNorm
from vqkit.networks.sound.convnext import split_downsampling
from vqkit.networks.sound.fixed_point import on_grid
from vqkit.networks.sound.layers import Convolution, Upsampling
from vqkit.networks.sound.orthogonal import make_orthogonal
from vqkit.networks.sound.passes import Pass

FRAME = 30
KINDS = [(causal, activation) for causal in (True, False) for activation in ("elu", "snake", "lapped")]
"""Causal or not, and the activation ("snake": without norms between stages); "lapped": a lapped transform beside."""


def networks(causal: bool, activation: str = "elu", **options: Any) -> tuple[ConvNeXtEncoder, ConvNeXtDecoder]:
    torch.manual_seed(0)
    own = {"lapped": True} if activation == "lapped" else {"activation": activation, "stage_norms": activation == "elu"}
    given = {"strides": [10, 3], "hidden_channels": 16, "causal": causal, **own, **options}
    return ConvNeXtEncoder(1, 8, **given).eval(), ConvNeXtDecoder(8, 1, **given).eval()


def sounds(count: int, length: int) -> Tensor:
    return (torch.rand(count, 1, length, generator=torch.Generator().manual_seed(1)) - 0.5) * 4


def test_norm_is_the_root_mean_square_norm_of_torch_over_channels() -> None:
    x, norm = torch.randn(2, 24, 7), RMSNorm(24)
    with torch.no_grad():
        norm.gain.copy_(torch.rand(24) + 0.5)
    reference = nn.RMSNorm(24, eps=1e-6)
    with torch.no_grad():
        reference.weight.copy_(norm.gain)
    wanted = reference(x.mT).mT
    assert torch.allclose(norm(x, Pass()), wanted, atol=1e-6)
    assert torch.allclose(norm(on_grid(x), Pass(exact=True)).float(), wanted, atol=2e-3)


def test_squares_of_the_norm_add_up_alike_in_any_order() -> None:
    """The widest network with the largest numbers: sums of squares of the full grid would differ here."""
    x = on_grid((torch.rand(1, 2048, 64, generator=torch.Generator().manual_seed(0)) - 0.5) * 2048)
    norm, order = RMSNorm(2048), torch.randperm(2048, generator=torch.Generator().manual_seed(1))
    assert torch.equal(norm(x, Pass(exact=True))[:, order], norm(x[:, order], Pass(exact=True)))


@pytest.mark.parametrize("causal", [True, False])
def test_depthwise_is_the_padded_convolution_of_torch(causal: bool) -> None:
    x, layer = torch.randn(2, 6, 20), DepthwiseConvolution(6, 5, causal=causal)
    sides = (4, 0) if causal else (2, 2)
    wanted = nn.functional.conv1d(nn.functional.pad(x, sides), layer.weight, groups=6)
    assert torch.allclose(layer(x, Pass()), wanted, atol=1e-6)


def test_a_block_adds_to_its_input_what_its_gain_says() -> None:
    torch.manual_seed(0)
    block = Block(64, 7, 4, "elu", causal=True, gain=0.5)
    x = torch.randn(8, 64, 100)
    assert 0.2 < float((block(x, Pass()) - x).std().detach()) < 0.6


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    "layer",
    [
        lambda causal: Convolution(24, 24, 6, stride=3, causal=causal, weight_norm=False),
        lambda causal: Convolution(24, 24, 7, causal=causal, weight_norm=False),
        lambda causal: Upsampling(24, 24, 3, causal=causal, weight_norm=False),
    ],
)
def test_orthogonal_layers_keep_the_power_of_every_direction(layer: Any, causal: bool) -> None:
    torch.manual_seed(0)
    made = layer(causal)
    make_orthogonal(made)
    x = torch.randn(1, 24, 3000)
    y = made(x, Pass())
    assert float(y.square().mean()) == pytest.approx(1.0, rel=0.05)
    spread = torch.linalg.eigvalsh(torch.cov(y[0]))
    assert 0.7 < float(spread.min()) <= float(spread.max()) < 1.4


def test_without_norms_between_stages_all_directions_of_the_latents_vary_at_first() -> None:
    x, found = sounds(4, 200 * FRAME), []
    for stage_norms in (False, True):
        encoder = networks(True, stage_norms=stage_norms, hidden_channels=64)[0]
        values = torch.linalg.eigvalsh(torch.cov(encoder(x).transpose(0, 1).flatten(1)))
        found.append(float(values.sum() ** 2 / values.square().sum()))
    assert found[0] > found[1]


@pytest.mark.parametrize(("causal", "activation"), KINDS)
@pytest.mark.parametrize("strides", [[10, 3], [7], [11, 2, 2], []])
def test_lengths_are_exact_and_the_halo_is_the_receptive_field(
    causal: bool, activation: str, strides: list[int]
) -> None:
    encoder, decoder = networks(causal, activation, strides=strides)
    step, frames = math.prod(strides), 2 * max(encoder.halo, decoder.halo) + 5
    for network, channels, size in ((encoder, 1, step), (decoder, 8, 1)):
        x = torch.randn(1, channels, frames * size)
        changed, middle = x.clone(), frames // 2
        changed[:, :, middle * size : (middle + 1) * size] += 1
        y, other = network(x), network(changed)
        each = y.shape[2] // frames
        assert y.shape == (1, 8 if size == step else 1, frames * (step // size if size == 1 else 1)) or step == 1
        moved = (y != other).any(dim=1)[0].view(frames, each).any(dim=1).nonzero().flatten() - middle
        assert -network.halo <= int(moved.min()) <= int(moved.max()) <= network.halo
        assert int(moved.min()) >= 0 or not causal


@pytest.mark.parametrize(("causal", "activation"), KINDS)
def test_numbers_are_the_same_in_any_batch_and_any_pieces(causal: bool, activation: str) -> None:
    encoder, decoder = networks(causal, activation)
    x, before = sounds(16, 20 * FRAME), torch.get_num_threads()
    latents = encoder(x)
    signal = decoder(latents)
    for item in range(0, 16, 5):
        assert torch.equal(encoder(x[item : item + 1]), latents[item : item + 1])
        assert torch.equal(decoder(latents[item : item + 1]), signal[item : item + 1])
    frames = torch.arange(20) < torch.tensor([[20], [3]])
    assert torch.equal(encoder(x[:2], frames=frames)[1:, :, :3], encoder(x[1:2, :, : 3 * FRAME]))
    try:
        torch.set_num_threads(2)
        assert torch.equal(encoder(x), latents)
        assert torch.equal(decoder(latents), signal)
    finally:
        torch.set_num_threads(before)
    if not causal:
        with pytest.raises(ConfigError, match="causal=True"):
            encoder(x, state=StreamState())
        return
    for count in (1, 7, 20):
        inward, outward = StreamState(), StreamState()
        parts = [encoder(chunk, state=inward) for chunk in x.split(count * FRAME, dim=2)]
        assert torch.equal(torch.cat(parts, dim=2), latents)
        pieces = [decoder(chunk, state=outward) for chunk in latents.split(count, dim=2)]
        assert torch.equal(torch.cat(pieces, dim=2), signal)


@pytest.mark.parametrize(("causal", "activation"), KINDS)
def test_training_and_evaluation_compute_the_same_to_1e_2(causal: bool, activation: str) -> None:
    encoder, decoder = networks(causal, activation)
    x = sounds(2, 10 * FRAME)
    latents = encoder(x)
    assert torch.allclose(encoder.train()(x), latents, atol=1e-2)
    assert torch.allclose(decoder.train()(latents), decoder.eval()(latents), atol=1e-2)
    gradients = []
    for mode in (True, False):
        encoder.train(mode).zero_grad()
        encoder(x).square().mean().backward()
        gradients.append(torch.cat([value.grad.flatten() for value in encoder.parameters() if value.grad is not None]))
    assert torch.allclose(*gradients, atol=1e-2)
    assert gradients[0].abs().max() > 1e-3


def test_by_name_saved_and_loaded_tokens_those_of_the_clip_alone(tmp_path: Any) -> None:
    torch.manual_seed(0)
    encoder = {"type": "convnext", "config": {"strides": [10, 3], "activation": "snake"}}
    model = vqkit.VQVAE(16, axes=1, channels=1, code_dim=8, hidden_channels=16, encoder=encoder, decoder="convnext")
    model.prepare([sounds(8, 20 * FRAME) / 2])
    x, lengths = sounds(3, 600) / 2, [600, 29, 301]
    mask = torch.arange(600) < torch.tensor(lengths)[:, None]
    together = model.eval().encode(x, mask)
    for item, length in enumerate(lengths):
        alone = model.encode(x[item : item + 1, :, :length])
        assert torch.equal(together[item : item + 1, : alone.shape[1]], alone)
    model.save_pretrained(tmp_path / "model")
    loaded = vqkit.load_model(tmp_path / "model")
    assert torch.equal(loaded.encode(x), model.encode(x))
    assert torch.equal(loaded.reconstruct(x), model.reconstruct(x))


def test_strides_of_any_downsampling() -> None:
    assert split_downsampling(320) == [160, 2]
    for downsampling in (1, 2, 3, 7, 12, 22, 97, 240, 441, 640):
        assert math.prod(split_downsampling(downsampling)) == downsampling
        assert ConvNeXtDecoder(8, 1, downsampling, hidden_channels=2).downsampling == downsampling


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": [2, 0]}, r"strides=\[2, 0\]: give whole numbers"),
        ({"kernel": 4}, "kernel=4: give an odd number"),
        ({"activation": "gelu"}, "activation='gelu': choose one of elu, snake"),
        ({"hidden_channels": 0}, "hidden_channels=0: give 1 or more"),
        ({"hidden_channels": 4096}, "hidden_channels=4096: give 2048 or fewer"),
        ({"expansion": 0}, "expansion=0: give 1 or more"),
        ({"axes": 2}, "axes=2: .* 1 axis"),
        ({"downsampling": 0}, "downsampling=0"),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    for network in (ConvNeXtEncoder, ConvNeXtDecoder):
        with pytest.raises(ConfigError, match=message):
            network(**{"in_channels": 1, "out_channels": 8, **options})


@pytest.mark.parametrize(("causal", "activation"), KINDS)
def test_whole_numbers_give_the_bits_of_fixed_point_with_a_gradient(causal: bool, activation: str) -> None:
    encoder, decoder = networks(causal, activation)
    x = sounds(2, 10 * FRAME).repeat(1, 1, 1)
    with torch.no_grad():
        latents = encoder(x)
        signal = decoder(latents)
    with torch.enable_grad():
        assert torch.equal(encoder(x).detach(), latents)
        assert torch.equal(decoder(latents).detach(), signal)


@pytest.mark.parametrize("activation", ["elu", "snake", "lapped"])
def test_a_long_signal_in_blocks_has_the_numbers_of_the_whole(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, decoder = networks(True, activation)
    x = sounds(2, 23 * FRAME)
    with torch.no_grad():
        latents = encoder(x)
        signal = decoder(latents)
        for network in (encoder, decoder):
            monkeypatch.setattr(type(network), "block_samples", 2 * 5 * FRAME)
            calls: list[int] = []
            evaluate = network.layers.evaluate
            monkeypatch.setattr(
                network.layers, "evaluate", lambda x, way, run=evaluate, calls=calls: (calls.append(1), run(x, way))[1]
            )
            given, wanted = (x, latents) if network is encoder else (latents, signal)
            assert torch.equal(network(given), wanted)
            assert len(calls) == 5


@pytest.mark.parametrize("causal", [True, False])
def test_two_channels_alone_have_the_numbers_of_a_batch_and_of_a_gradient(causal: bool) -> None:
    """A channel of one signal lies in memory as no channel of a batch does."""
    for network, channels, size in zip(networks_of_two(causal), (2, 8), (30, 1), strict=True):
        x = torch.randn(1, channels, 12 * size) / 2
        expected = network(x).detach()
        with torch.no_grad():
            assert torch.equal(network(x), expected)
            assert torch.equal(network(torch.cat([x, x]))[:1], expected)
            if causal:
                state = StreamState()
                parts = [network(part, state=state) for part in x.split(size, dim=2)]
                assert torch.equal(torch.cat(parts, dim=2), expected)


def networks_of_two(causal: bool) -> tuple[Any, Any]:
    """Encoder and decoder of a signal of two channels."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"strides": [10, 3], "hidden_channels": 8, "residual_blocks": 1, "causal": causal}
    return ConvNeXtEncoder(2, 8, **options).eval(), ConvNeXtDecoder(8, 2, **options).eval()
