"""Networks for sound: exact lengths, causality, and numbers that depend on the signal alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import vqkit
from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.networks import SEANetDecoder, SEANetEncoder, StreamState
from vqkit.networks.sound.fixed_point import FRACTION_BITS, on_grid, rounded, rounded_weight, weight_bits
from vqkit.networks.sound.layers import Convolution, Upsampling
from vqkit.networks.sound.passes import Pass
from vqkit.networks.sound.strides import choose_strides
from vqkit.quantizers import QUANTIZERS

STRIDES = [2, 3, 5]
FRAME = 30
TINY: dict[str, Any] = {"strides": STRIDES, "hidden_channels": 16}
KINDS = [(causal, activation) for causal in (True, False) for activation in ("elu", "snake")]


def networks(causal: bool, activation: str = "elu", **options: Any) -> tuple[SEANetEncoder, SEANetDecoder]:
    torch.manual_seed(0)
    given = {**TINY, "causal": causal, "activation": activation, **options}
    return SEANetEncoder(1, 8, **given).eval(), SEANetDecoder(8, 1, **given).eval()


def model_of(causal: bool, quantizer: str = "ema", activation: str = "elu", **options: Any) -> VQVAE:
    encoder, decoder = networks(causal, activation)
    own = {"axes": 1, "channels": 1, "code_dim": 8, **options}
    model = VQVAE(16, quantizer=quantizer, encoder=encoder, decoder=decoder, **own)
    model.prepare([sounds(8, 20 * FRAME)])
    return model.eval()


def sounds(count: int, length: int) -> Tensor:
    return torch.rand(count, 1, length, generator=torch.Generator().manual_seed(1)) - 0.5


# ---- the layers against torch's own


@pytest.mark.parametrize("weight_norm", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_layers_are_the_padded_convolutions_of_torch(causal: bool, weight_norm: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 24)
    strided = Convolution(3, 4, 8, stride=4, causal=causal, weight_norm=weight_norm)
    dilated = Convolution(3, 4, 3, dilation=9, causal=causal, weight_norm=weight_norm)
    up = Upsampling(3, 4, 5, causal=causal, weight_norm=weight_norm)
    for layer, stride, dilation in ((strided, 4, 1), (dilated, 1, 9)):
        weight = nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, layer.weight.shape[2], bias=False)).weight
        assert weight.shape == layer.weight.shape
        total = (layer.weight.shape[2] - 1) * dilation + 1 - stride
        sides = (total, 0) if causal else (total - total // 2, total // 2)
        wanted = functional.conv1d(functional.pad(x, sides), layer.weight, layer.bias, stride, 0, dilation)
        assert torch.allclose(layer(x, Pass()), wanted, atol=1e-6)
    whole = functional.conv_transpose1d(x, up.weight, up.bias, 5)
    start = 0 if causal else 5 // 2
    assert torch.allclose(up(x, Pass()), whole[:, :, start : start + 120], atol=1e-6)


def test_a_weight_is_a_direction_and_a_length() -> None:
    layer = Convolution(3, 4, 5, causal=True, weight_norm=True)
    assert layer.length is not None
    with torch.no_grad():
        layer.length.fill_(2.0)
    reference = nn.Conv1d(3, 4, 5)
    with torch.no_grad():
        reference.weight.copy_(layer.weight)
    nn.utils.parametrizations.weight_norm(reference)
    with torch.no_grad():
        reference.parametrizations.weight.original0.fill_(2.0)  # type: ignore[union-attr, operator]
    x = torch.randn(1, 3, 9)
    padded = functional.pad(x, (4, 0))
    wanted = functional.conv1d(padded, reference.weight, layer.bias)
    assert torch.allclose(layer(x, Pass()), wanted, atol=1e-6)


@pytest.mark.parametrize(("causal", "activation"), KINDS)
@pytest.mark.parametrize("strides", [[2, 3, 5], [7], [11, 2], []])
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
        assert y.shape[2] * size == frames * network.downsampling * (1 if size == 1 else size // step)
        each = y.shape[2] // frames
        moved = (y != other).any(dim=1)[0].view(frames, each).any(dim=1).nonzero().flatten() - middle
        assert -network.halo <= int(moved.min()) <= int(moved.max()) <= network.halo
        assert int(moved.min()) == 0 or not causal


def test_strides_of_any_whole_numbers() -> None:
    assert choose_strides(320) == [2, 4, 5, 8]
    for downsampling in (1, 2, 7, 12, 22, 97, 240, 441, 640):
        assert math.prod(choose_strides(downsampling)) == downsampling
        assert SEANetEncoder(1, 8, downsampling, hidden_channels=2).downsampling == downsampling


# ---- fixed point


def test_sums_are_exact_in_any_order() -> None:
    """The largest numbers that the layer allows: with one bit more the sums below differ."""
    generator = torch.Generator().manual_seed(0)
    x = on_grid((torch.rand(4096, generator=generator) - 0.5) * 3000)
    terms = len(x)
    weight = rounded_weight(torch.rand(terms, generator=generator) + 0.5, terms)
    order = torch.randperm(terms, generator=generator)
    exact = sum(int(a * 2**FRACTION_BITS) * int(w * 2**30) for a, w in zip(x.tolist(), weight.tolist(), strict=True))
    for found in ((x * weight).sum(), (x * weight)[order].sum(), x @ weight, (x * weight).cumsum(0)[-1]):
        assert int(float(found) * 2.0 ** (FRACTION_BITS + 30)) == exact
    assert weight_bits(terms) + math.log2(terms) + FRACTION_BITS + 10 == 53


def test_no_value_of_an_activation_lies_near_a_tie() -> None:
    """Then any library's exp and sine, which err by some 1e-16, round to the same number of the grid."""
    grid = torch.arange(1, 1 << 20, dtype=torch.float64) * 2.0**-FRACTION_BITS
    for values in (torch.expm1(-grid), grid.sin().square()):
        scaled = values * 2.0**FRACTION_BITS
        assert float((scaled - scaled.floor() - 0.5).abs().min()) > 1e-9  # 2^15 * 1e-16 is 3e-12


def test_rounding_passes_the_gradient() -> None:
    x = torch.tensor([0.3, -2.0], requires_grad=True)
    (on_grid(x) * 3).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0]
    y = torch.tensor([0.3, -2.0], dtype=torch.float64, requires_grad=True)
    (rounded(y, 0.5) * 3).sum().backward()
    assert y.grad is not None
    assert y.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(("causal", "activation"), KINDS)
def test_training_and_evaluation_compute_the_same_to_1e_3(causal: bool, activation: str) -> None:
    encoder, decoder = networks(causal, activation)
    x = sounds(2, 10 * FRAME) * 4
    latents = encoder(x)
    assert torch.allclose(encoder.train()(x), latents, atol=1e-3)
    assert torch.allclose(decoder.train()(latents), decoder.eval()(latents), atol=1e-3)
    gradients = []
    for mode in (True, False):
        encoder.train(mode).zero_grad()
        encoder(x).square().mean().backward()
        gradients.append(torch.cat([value.grad.flatten() for value in encoder.parameters() if value.grad is not None]))
    assert torch.allclose(*gradients, atol=1e-3)
    assert gradients[0].abs().max() > 1e-3


# ---- tokens and samples depend on the signal alone


@pytest.mark.parametrize(("causal", "activation"), KINDS)
def test_numbers_of_a_network_are_the_same_in_any_batch_and_any_pieces(causal: bool, activation: str) -> None:
    encoder, decoder = networks(causal, activation)
    x, before = sounds(16, 20 * FRAME) * 4, torch.get_num_threads()
    latents = encoder(x)
    signal = decoder(latents)
    for item in range(0, 16, 5):
        assert torch.equal(encoder(x[item : item + 1]), latents[item : item + 1])
        assert torch.equal(decoder(latents[item : item + 1]), signal[item : item + 1])
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
    for frames in (1, 7, 20):
        inward, outward = StreamState(), StreamState()
        parts = [encoder(chunk, state=inward) for chunk in x.split(frames * FRAME, dim=2)]
        assert torch.equal(torch.cat(parts, dim=2), latents)
        pieces = [decoder(chunk, state=outward) for chunk in latents.split(frames, dim=2)]
        assert torch.equal(torch.cat(pieces, dim=2), signal)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("quantizer", list(QUANTIZERS))
def test_tokens_are_those_of_the_clip_alone(quantizer: str, causal: bool) -> None:
    model = model_of(causal, quantizer)
    lengths = [431, 600, 1, 29, 30, 31, 95, 299, 300, 301, 599, 7, 60, 222, 450, 17]
    x = sounds(16, 600)
    mask = torch.arange(600) < torch.tensor(lengths)[:, None]
    for junk in (0.0, 0.7):
        together = model.encode(torch.where(mask[:, None], x, junk), mask)
        signals = model.decode(together, [600], mask=mask.numpy())
        again = model(torch.where(mask[:, None], x, junk), mask).reconstruction
        for item, length in enumerate(lengths):
            alone = model.encode(x[item : item + 1, :, :length])
            assert torch.equal(together[item : item + 1, : alone.shape[1]], alone), length
            back = model.decode(alone, [length])
            assert back.shape == (1, 1, length)
            assert torch.equal(signals[item : item + 1, :, :length], back), length
            assert torch.equal(again[item : item + 1, :, :length], back), length
    with pytest.raises(ValueError, match=r"the mask has shape \(16, 570\).* on a grid of \(20,\)"):
        model.decode(together, mask=mask[:, :570])


# ---- as a part of a model


def test_by_name_saved_and_loaded(tmp_path: Any) -> None:
    torch.manual_seed(0)
    encoder = {"type": "seanet", "config": {"strides": [5, 8, 8], "activation": "snake", "causal": False}}
    model = VQVAE(16, axes=1, channels=1, code_dim=8, hidden_channels=16, encoder=encoder, decoder="seanet").eval()
    assert (model.downsampling, model.grid([1000])) == (320, (4,))
    x = sounds(2, 1000)
    model.save_pretrained(tmp_path / "model")
    loaded = vqkit.load_model(tmp_path / "model")
    assert torch.equal(loaded.encode(x), model.encode(x))
    assert torch.equal(loaded.reconstruct(x), model.reconstruct(x))
    assert model.reconstruct(x).shape == x.shape


def test_a_decoder_by_name_is_the_mirror_of_the_encoder() -> None:
    own = {"strides": [5, 3, 2], "hidden_channels": 24, "residual_blocks": 1, "kernel": 5, "residual_kernel": 5}
    own |= {"causal": False, "activation": "snake", "weight_norm": False, "exact": False}
    encoder = {"type": "seanet", "config": own}
    arguments: dict[str, Any] = {"axes": 1, "channels": 1, "code_dim": 8, "hidden_channels": 16}
    for given in ("seanet", {"type": "seanet"}):
        model = VQVAE(16, encoder=encoder, decoder=given, **arguments)
        assert model.config["decoder"]["config"] == {
            **model.config["encoder"]["config"],
            "in_channels": 8,
            "out_channels": 1,
        }
        assert VQVAE(**model.config).config == model.config
    said = {"type": "seanet", "config": {"causal": True, "hidden_channels": 8}}
    config = VQVAE(16, encoder=encoder, decoder=said, **arguments).config["decoder"]["config"]
    assert (config["causal"], config["hidden_channels"], config["activation"]) == (True, 8, "snake")
    instance = SEANetEncoder(1, 8, **TINY, activation="snake")
    assert VQVAE(16, axes=1, encoder=instance, decoder="seanet").config["decoder"]["config"]["activation"] == "snake"
    other = {"type": "seanet", "config": {**own, "strides": [4]}}
    assert VQVAE(16, encoder=other, decoder="conv", axes=1, channels=1, code_dim=8).downsampling == 4


def test_it_learns(tmp_path: Any) -> None:
    time = torch.arange(600) / 600
    x = (torch.sin(2 * math.pi * torch.linspace(3, 40, 32)[:, None] * time) * 0.5).unsqueeze(1).numpy()
    data = vqkit.load_source(x, kind="sound")
    networks = {"encoder": {"type": "seanet", "config": {"strides": [2, 5]}}, "decoder": "seanet"}
    model = VQVAE.for_source(data, 32, code_dim=8, hidden_channels=16, seed=0, **networks)
    first = model.train()(torch.from_numpy(x)).metrics["mse"]
    run = vqkit.train(model, data, out=tmp_path / "run", steps=160, batch_size=8, quiet=True, tensorboard=False)
    assert run.finished
    assert model.eval()(torch.from_numpy(x)).metrics["mse"] < 0.6 * first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": [2, 0]}, r"strides=\[2, 0\]: give whole numbers"),
        ({"kernel": 4}, "kernel=4: give an odd number"),
        ({"residual_kernel": 2}, "residual_kernel=2: give an odd number"),
        ({"activation": "gelu"}, "activation='gelu': choose one of elu, snake"),
        ({"hidden_channels": 1}, "hidden_channels=1"),
        ({"widths": [4]}, r"widths=.*there are 3 strides"),
        ({"axes": 2}, "axes=2: .* 1 axis"),
        ({"in_channels": 0}, "in_channels=0: give 1 or more"),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    for network in (SEANetEncoder, SEANetDecoder):
        with pytest.raises(ConfigError, match=message):
            network(**{"in_channels": 1, "out_channels": 8, **TINY, **options})
    with pytest.raises(ConfigError, match="exact arithmetic allows 1048576"):
        weight_bits(1 << 21)
    with pytest.raises(ConfigError, match="downsampling=0"):
        SEANetEncoder(1, 8, 0)
    with pytest.raises(ConfigError, match="axes=1"):
        SEANetEncoder(1, 8, **TINY)(torch.rand(1, 30))
