"""The WaveNet decoder: a loop by its definition, causality, and sampling with memory to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference import wavenet as reference
from vqkit.errors import ConfigError
from vqkit.networks import AutoregressiveNetwork, WaveNetDecoder

STEP = 3


def decoder(channels: int = 1, outputs: int = 5) -> WaveNetDecoder:
    torch.manual_seed(1)
    return WaveNetDecoder(
        4, outputs, STEP, signal_channels=channels, hidden_channels=6, residual_channels=4, layers=3
    ).eval()


def inputs(channels: int = 1, batch: int = 2, frames: int = 11) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(batch, 4, frames, generator=generator)
    return latents, torch.randn(batch, channels, frames * STEP, generator=generator)


def sampled(network: WaveNetDecoder, latents: Tensor, signal: Tensor) -> Tensor:
    """What is emitted while a signal is drawn sample by sample."""
    seen = []

    def draw(emitted: Tensor, position: int) -> Tensor:
        seen.append(emitted)
        return signal[:, :, position]

    drawn = network.generate(latents, draw)
    assert torch.equal(drawn, signal)
    return torch.stack(seen, dim=2)


def test_it_equals_a_loop_over_samples_and_layers() -> None:
    network = decoder()
    latents, signal = inputs()
    weights = {name: value.detach().double().numpy() for name, value in network.state_dict().items()}
    wide = decoder().double().train()
    found = wide(latents.double(), signal.double())
    rounded = network(latents, signal)
    for item in range(2):
        expected = reference.emitted(
            weights, latents[item].double().numpy(), signal[item, 0].double().numpy(), network.dilations, STEP
        )
        assert np.abs(found[item].detach().numpy() - expected).max() < 1e-12
        assert np.abs(rounded[item].detach().numpy() - expected).max() < 2e-3  # fixed point of steps of 3e-5
        assert np.abs(expected).std() > 0.01


@pytest.mark.parametrize("channels", [1, 2])
@torch.no_grad()
def test_no_sample_changes_what_is_emitted_for_it_or_for_earlier_ones(channels: int) -> None:
    network = decoder(channels)
    latents, signal = inputs(channels, batch=1)
    before = network(latents, signal)
    for time in (0, 7, 20):
        other = signal.clone()
        other[:, -1, time] += 1.0
        changed = (network(latents, other) != before).any(dim=1)[0]
        assert not changed[: time + 1].any()
        assert changed[time + 1]
        assert changed.nonzero().max() <= time + network.receptive_field


@torch.no_grad()
def test_each_frame_of_latents_conditions_its_samples() -> None:
    network = decoder()
    latents, signal = inputs(batch=1)
    other = latents.clone()
    other[:, :, 6] += 1.0
    changed = (network(latents, signal) != network(other, signal)).any(dim=1)[0]
    assert not changed[: 4 * STEP].any()  # two convolutions see a frame further each
    assert changed[6 * STEP : 7 * STEP].all()


@pytest.mark.parametrize("channels", [1, 2])
@torch.no_grad()
def test_sampling_with_memory_equals_the_whole_network_to_the_last_bit(channels: int) -> None:
    network = decoder(channels)
    latents, signal = inputs(channels, batch=5, frames=17)
    whole = network(latents, signal)
    assert torch.equal(sampled(network, latents, signal), whole)
    assert torch.equal(sampled(network, latents[3:4], signal[3:4]), whole[3:4])  # alone as in a batch
    assert torch.equal(network(latents[:2], signal[:2]), whole[:2])


@torch.no_grad()
def test_parts_are_the_whole_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    network = decoder()
    latents, signal = inputs(batch=2, frames=17)
    monkeypatch.setattr("vqkit.networks.sound.wavenet.decoder._BLOCK", 4 * STEP * 2)
    parts = list(network.in_parts(latents, signal))
    assert [part.shape[2] for part in parts] == [4 * STEP] * 4 + [STEP]
    assert torch.equal(torch.cat(parts, dim=2), network(latents, signal))


@torch.no_grad()
def test_drawing_by_whole_passes_gives_the_same() -> None:
    network = decoder()
    latents, _ = inputs(frames=3)

    def draw(emitted: Tensor, position: int) -> Tensor:
        return emitted[:, :1].tanh() + 0.1 * (position % 2)

    assert torch.equal(AutoregressiveNetwork.generate(network, latents, draw), network.generate(latents, draw))


def test_the_functions_of_numpy_and_torch_round_to_the_same_fixed_point() -> None:
    grid = np.arange(0, 12 << 15, dtype=np.float64)
    for scale, units in ((2.0**-15, 2.0**15), (2.0**-16, 2.0**14)):  # of tanh(x) and of (1 + tanh(x / 2)) / 2
        of_numpy, of_torch = np.tanh(grid * scale), torch.from_numpy(grid * scale).tanh().numpy()
        assert np.array_equal(np.rint(of_numpy * units), np.rint(of_torch * units))
        assert np.abs((of_numpy * units) % 1 - 0.5).min() > 1e-10  # four units in the last place are 2e-11 at most


def test_large_activations_are_bounded_alike() -> None:
    network = decoder()
    with torch.no_grad():
        for layer in network.residual:
            layer.convolution.weight.mul_(3000.0)
    latents, signal = inputs()
    with torch.no_grad():
        assert torch.equal(sampled(network, latents, signal), network(latents, signal))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axes": 2}, "axes=2: a WaveNetDecoder is for signals of 1 axis"),
        ({"layers": 17}, "layers=17.*16 or fewer"),
        ({"residual_blocks": 0}, "residual_blocks=0: give 1 or more"),
        ({"downsampling": 0}, "downsampling=0: give a whole number of 1 or more"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WaveNetDecoder(4, 5, **options)
