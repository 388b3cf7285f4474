"""The spectral losses for sound against NumPy, and their laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.reference.sound import filters, magnitudes, spectra
from vqkit.errors import ConfigError
from vqkit.likelihoods import Gaussian, Unit
from vqkit.objectives import (
    CompressedObjective,
    Decoded,
    EnvelopeObjective,
    MelObjective,
    Objective,
    STFTObjective,
    build_objective,
)

FLOOR = 1e-5
EVERY = ["mel", "stft", "compressed", "envelope"]


def reconstructed(
    time: int, *, channels: int = 2, batch: int = 3, mask: Tensor | None = None, noise: float = 0.3
) -> Decoded:
    """Noisy versions of noise, in float64; standard deviation .1 and mean .01 in their own units."""
    generator = torch.Generator().manual_seed(time)
    target = torch.randn(batch, channels, time, generator=generator, dtype=torch.float64)
    mean = target + noise * torch.randn(target.shape, generator=generator, dtype=torch.float64)
    mean.requires_grad_()
    unit = Unit(0.01, 0.1, None)
    return Decoded(mean, mean, target, target * unit.std + unit.mean, Gaussian(channels=channels), unit, mask)


def value(objective: Objective, given: Decoded) -> float:
    (loss,) = objective.losses(given).values()
    return loss.item()


def waves(given: Decoded) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of channels in their own units, what is masked left off."""
    found = []
    made, wanted = (numbers.detach().numpy() * 0.1 + 0.01 for numbers in (given.mean, given.target))
    for item in range(len(made)):
        length = made.shape[2] if given.mask is None else int(given.mask[item].sum())
        found += [(made[item, channel, :length], wanted[item, channel, :length]) for channel in range(made.shape[1])]
    return found


def lengths(batch: int, time: int) -> Tensor:
    """A mask of items that are the shorter the later they come."""
    return torch.arange(time) < torch.tensor([time - 37 * item for item in range(batch)])[:, None]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_by_definition(scale: str, masked: bool) -> None:
    given = reconstructed(210, mask=lengths(3, 210) if masked else None)
    means = []
    for window, bands in ((32, 5), (128, 20)):
        bank = filters(8000, window, bands, scale)
        errors = []
        for pair in waves(given):
            logs = [np.log10(np.maximum(bank @ magnitudes(wave, window, window // 4), FLOOR)) for wave in pair]
            errors.append(np.abs(logs[0] - logs[1]))
        means.append(np.concatenate([each.ravel() for each in errors]).mean())
    objective = MelObjective(rate=8000, windows=[32, 128], scale=scale)
    assert value(objective, given) == pytest.approx(np.mean(means), rel=1e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_stft_by_definition(masked: bool) -> None:
    given = reconstructed(210, mask=lengths(3, 210) if masked else None)
    means = []
    for window in (32, 64):
        spectra = [[magnitudes(wave, window, window // 4).ravel() for wave in pair] for pair in waves(given)]
        made, wanted = (np.concatenate([pair[side] for pair in spectra]) for side in (0, 1))
        convergence = np.sqrt(np.square(made - wanted).sum() / np.square(wanted).sum())
        logs = np.abs(np.log(np.maximum(made, FLOOR)) - np.log(np.maximum(wanted, FLOOR))).mean()
        means.append(convergence + logs)
    assert value(STFTObjective(windows=[32, 64]), given) == pytest.approx(np.mean(means), rel=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_compressed_by_definition(masked: bool) -> None:
    given = reconstructed(210, mask=lengths(3, 210) if masked else None)
    means = []
    for window in (32, 64):
        errors, sizes = [], []
        for pair in waves(given):
            first, second = (spectra(wave, window, window // 4) / np.sqrt(0.375 * window) for wave in pair)
            powers = [np.sqrt(np.abs(x) ** 2 + FLOOR**2) for x in (first, second)]
            turned = [x * power ** (0.5 - 1) for x, power in zip((first, second), powers, strict=True)]
            errors.append(0.8 * (powers[0] ** 0.5 - powers[1] ** 0.5) ** 2 + 0.2 * np.abs(turned[0] - turned[1]) ** 2)
            sizes.append(powers[1])
        means.append(np.mean(np.concatenate(errors, 1)) / np.mean(np.concatenate(sizes, 1)))
    objective = CompressedObjective(windows=[32, 64], power=0.5, phase=0.2)
    assert value(objective, given) == pytest.approx(np.mean(means), rel=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_envelope_by_definition(masked: bool) -> None:
    given = reconstructed(210, mask=lengths(3, 210) if masked else None)
    bank = filters(8000, 64, 6, "slaney")
    errors, changes = [], []
    for pair in waves(given):
        first, second = (((bank @ magnitudes(wave, 64, 16)) ** 2 + 1e-8) ** 0.15 for wave in pair)
        errors.append((first - second) ** 2)
        changes.append((second - second.mean(axis=1, keepdims=True)) ** 2)
    wanted = np.mean(np.concatenate(errors, 1)) / np.mean(np.concatenate(changes, 1))
    objective = EnvelopeObjective(rate=8000, windows=[64], bands=[6], floor=1e-4)
    assert value(objective, given) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("text", [*EVERY, "mel(windows=[8, 64], scale='htk')"])
def test_a_padded_clip_has_the_loss_that_it_has_alone(text: str) -> None:
    objective = build_objective(text)
    alone = reconstructed(1001)
    padded = reconstructed(3000, mask=(torch.arange(3000) < 1001).expand(3, -1))
    mean, target = padded.mean.detach().clone(), padded.target.clone()
    mean[..., :1001], target[..., :1001] = alone.mean.detach(), alone.target
    assert value(objective, replace(padded, mean=mean, target=target)) == pytest.approx(value(objective, alone))


def test_ten_times_as_loud_is_a_decade_away() -> None:
    """Exactly, where no filter is empty and nothing is below the floor."""
    given = replace(reconstructed(4000), unit=Unit(0.0, 1.0, None))
    louder = replace(given, mean=10 * given.target)
    assert value(MelObjective(windows=[256, 512], bands=[8, 16]), louder) == pytest.approx(1.0)
    assert value(STFTObjective(), louder) == pytest.approx(9 + np.log(10))


@pytest.mark.parametrize("text", EVERY)
def test_the_loss_grows_with_noise(text: str) -> None:
    found = [value(build_objective(text), reconstructed(2000, noise=noise)) for noise in (0.0, 0.01, 0.1, 1.0)]
    assert found[0] == 0.0
    assert found == sorted(set(found))


@pytest.mark.parametrize("text", EVERY)
@pytest.mark.parametrize("time", [1, 2, 33])
def test_signals_shorter_than_every_window(text: str, time: int) -> None:
    given = reconstructed(time)
    loss = torch.stack(list(build_objective(text).losses(given).values())).sum()
    (gradient,) = torch.autograd.grad(loss, given.mean)
    assert bool(torch.isfinite(gradient).all())
    assert bool(gradient.any())


@pytest.mark.parametrize("text", EVERY)
def test_silence_is_finite(text: str) -> None:
    given = replace(reconstructed(300), unit=Unit(0.0, 0.1, None))
    for mean, target in ((given.mean, 0 * given.target), (0 * given.mean, given.target), (0 * given.mean,) * 2):
        loss = torch.stack(list(build_objective(text).losses(replace(given, mean=mean, target=target)).values())).sum()
        (gradient,) = torch.autograd.grad(loss, given.mean, retain_graph=True)
        assert bool(torch.isfinite(loss))
        assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("text", EVERY)
def test_the_order_of_channels_does_not_matter(text: str) -> None:
    given = reconstructed(500, channels=5)
    turned = replace(given, mean=given.mean.flip(1), target=given.target.flip(1))
    assert value(build_objective(text), turned) == pytest.approx(value(build_objective(text), given))


def test_adaptive_terms_have_gradients_in_fixed_proportions() -> None:
    given = reconstructed(1000)
    losses = build_objective("likelihood + mel(adaptive=true) + 0.25*stft(adaptive=true)").losses(given)
    norms = {
        name: float(torch.autograd.grad(loss, given.parameters, retain_graph=True)[0].norm())
        for name, loss in losses.items()
    }
    assert norms["mel_loss"] == pytest.approx(norms["reconstruction_loss"], rel=1e-5)
    assert norms["stft_loss"] == pytest.approx(0.25 * norms["reconstruction_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("text", "repair"),
    [
        ("mel(rate=0)", "rate=0: give the samples a second"),
        ("mel(scale='bark')", "scale='bark': give 'slaney' or 'htk'"),
        ("mel(windows=[3])", r"windows=\[3\]: give a list of whole numbers from 4 to 65536"),
        ("mel(windows=[])", r"windows=\[\]: give a list of whole numbers"),
        ("mel(windows=[512.5])", "windows"),
        ("mel(windows=[64, 32], bands=[5])", "bands has 1 numbers and windows 2; give one for each"),
        ("mel(bands=[0])", r"bands=\[0\]: give a list of whole numbers from 1"),
        ("stft(floor=0)", "floor=0: give a number between 0 and 1"),
        ("stft(windows=64)", "windows"),
        ("compressed(power=0)", "power=0: give a number above 0 and at most 1"),
        ("compressed(phase=2)", "phase=2: give a number from 0 to 1"),
        ("envelope(power=1.5)", "power=1.5: give a number above 0"),
        ("envelope(windows=[64])", "bands has 3 numbers and windows 1; give one for each"),
        ("envelope(rate=0)", "rate=0: give the samples a second"),
    ],
)
def test_options_out_of_range(text: str, repair: str) -> None:
    with pytest.raises(ConfigError, match=repair) as told:
        build_objective(text)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["mel", "stft"])
def test_what_lies_below_the_floor_is_the_same(text: str) -> None:
    """But for the convergence of ``stft``, which is relative to the floor there."""
    given = replace(reconstructed(300), unit=Unit(0.0, 1e-10, None))
    assert value(build_objective(text), given) < 1e-3
    assert value(build_objective(text.replace("mel", "mel(floor=1e-20)")), given) > 1e-3 or text == "stft"


def test_the_rate_is_that_of_the_signals_unless_it_is_said() -> None:
    given = reconstructed(500)
    assert value(MelObjective(), given) == value(MelObjective(rate=16000), given)
    assert value(MelObjective(), replace(given, rate=8000)) == value(MelObjective(rate=8000), given)
    assert value(MelObjective(rate=8000), given) != value(MelObjective(rate=16000), given)
