"""Models whose decoder is autoregressive: teacher forcing, draws, bits, saving and resuming."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vqkit
from tests.training.cases import StopAfter
from vqkit.errors import ConfigError, TrainingInterrupted
from vqkit.networks import AutoregressiveNetwork

WAVENET = {"type": "wavenet", "config": {"layers": 3}}
SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "residual_blocks": 1}
QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}


def vqvae(**options: Any) -> vqkit.VQVAE:
    torch.manual_seed(0)
    sizes = {"axes": 1, "channels": 1, "code_dim": 4, "downsampling": 4, "encoder": "seanet", "decoder": WAVENET}
    return vqkit.VQVAE(8, **{**sizes, **SMALL, **options}).eval()


def sounds(count: int = 16, length: int = 128, rate: float = 0.3) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(0)
    phase, pitch = generator.uniform(0, 6.3, (count, 1, 1)), rate * generator.choice([1.0, 2.0], (count, 1, 1))
    return (0.5 * np.sin(pitch * np.arange(length) + phase)).astype(np.float32)


def test_the_likelihood_of_all_signals_sums_to_one() -> None:
    model = vqvae(downsampling=2)
    levels = model.likelihood.values(model._unit(), torch.zeros(1))
    pairs = torch.cartesian_prod(levels, levels).view(-1, 1, 2)
    codes = torch.full((1, 1), 3)
    model.double()
    with torch.no_grad():
        first = model.parameters_of(pairs[:1], codes)
        total = torch.zeros(())
        for part in pairs.split(1 << 13):
            raw = model.parameters_of(part, codes.expand(len(part), -1))
            assert torch.equal(raw[:, :, 0], first[:, :, 0].expand(len(part), -1))  # of the first sample: of z alone
            total = total + model.log_likelihood_of(part, raw).exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-9)


def test_log_likelihood_is_that_of_the_emitted_parameters() -> None:
    model, x = vqvae(), torch.from_numpy(sounds(3, 70))
    codes = model.encode(x)
    with torch.no_grad():
        raw = model.parameters_of(x, codes)
    assert torch.allclose(model.log_likelihood(x, codes), model.log_likelihood_of(x, raw), rtol=1e-12)
    nats = float(model(x).metrics["reconstruction_loss"])
    assert nats == pytest.approx(-float(model.log_likelihood(x, codes).sum()) / x.numel(), rel=1e-5)


@pytest.mark.parametrize("likelihood", [None, "gaussian"])
def test_a_draw_is_what_the_parameters_say_of_it(likelihood: str | None) -> None:
    """Each drawn value is the draw from the parameters that the whole network emits for the drawn signal."""
    model = vqvae(likelihood=likelihood)
    codes = torch.randint(8, (2, 9), generator=torch.Generator().manual_seed(1))
    drawn = model.decode(codes, temperature=0)
    with torch.no_grad():
        raw = model.parameters_of(drawn, codes)
    likeliest = model.likelihood.draw(raw, torch.full((2, 1, 36), 0.5), model._unit(), 0.0)
    assert torch.equal(likeliest.clamp(-1, 1), drawn)


def test_an_item_decodes_to_the_same_signal_in_any_batch_and_every_time() -> None:
    model = vqvae()
    codes = torch.randint(8, (5, 9), generator=torch.Generator().manual_seed(1))
    drawn = model.decode(codes, (35,))
    assert drawn.shape == (5, 1, 35)
    assert torch.equal(model.decode(codes, (35,)), drawn)
    assert torch.equal(model.decode(codes[3:4], (35,)), drawn[3:4])
    assert torch.equal(model.decode_latents(model.quantizer.lookup(codes), (35,)), drawn)
    one, two, again = (model.decode(codes, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)
    assert not torch.equal(one, model.decode(codes, generator=torch.Generator().manual_seed(1), temperature=0.1))
    assert len(model.sample(3, size=(16,), generator=torch.Generator().manual_seed(1)).unique(dim=0)) == 3


def test_padding_behind_an_item_changes_nothing_of_its_loss() -> None:
    model = vqvae()
    x = torch.from_numpy(sounds(2, 64))
    mask = torch.ones(2, 64, dtype=torch.bool)
    mask[1, 40:] = False
    other = x.clone()
    other[1, :, 40:] = 0.9
    with torch.no_grad():
        assert torch.equal(model(x, mask).loss, model(other, mask).loss)


def test_training_lowers_the_bits_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    data = vqkit.load_source(sounds(), kind="sound")
    settings = {"steps": 40, "batch_size": 8, "evaluations": 2, "learning_rate": 1e-2, "warmup_steps": 0, **QUIET}
    made = {"code_dim": 4, "encoder": "seanet", "decoder": WAVENET, "downsampling": 4, "seed": 0, **SMALL}

    def model() -> vqkit.VQVAE:
        return vqkit.VQVAE.for_source(data, 8, **made)

    run = vqkit.train(
        model(), data, out=tmp_path / "whole", average_decay=0.9, best_by="likelihood_bits_per_dim", **settings
    )
    with pytest.raises(TrainingInterrupted):
        vqkit.train(
            model(), data, out=tmp_path / "part", callbacks=StopAfter(20), checkpoint_seconds=0, average_decay=0.9,
            best_by="likelihood_bits_per_dim", **settings,
        )  # fmt: skip
    resumed = vqkit.resume(tmp_path / "part", data=data, **QUIET)
    weights = [(each.path / "model" / "model.safetensors").read_bytes() for each in (run, resumed)]
    assert weights[0] == weights[1]
    bits = run.evaluation["bits_per_dim"]
    assert bits["distortion"] == run.evaluation["likelihood_bits_per_dim"] < 7
    assert bits["rate"] == pytest.approx(3 / 4)
    assert {"si_sdr_db", "mse", "usage"} <= run.evaluation.keys()
    loaded, codes = run.model(), torch.zeros(1, 4, dtype=torch.int64)
    assert torch.equal(loaded.decode(codes), vqkit.load_model(tmp_path / "whole").decode(codes))
    assert loaded.config["likelihood"] == "categorical"
    assert "wavenet" in (run.path / "model" / "config.json").read_text()


def test_an_evaluation_counts_codes_and_samples() -> None:
    model, data = vqvae(), vqkit.load_source(sounds(6), kind="sound")
    result = vqkit.evaluate(model, data)
    x = torch.from_numpy(sounds(6))
    bits = -float(model.log_likelihood(x, model.encode(x)).sum()) / math.log(2) / x.numel()
    assert result.bits_per_dim is not None
    assert result.bits_per_dim.distortion == pytest.approx(bits, rel=1e-9)
    assert result.bits_per_dim.total == pytest.approx(bits + 3 / 4, rel=1e-9)
    assert result.mse == pytest.approx(float((model.decode(model.encode(x)) - x).square().mean()), rel=1e-5)


class RowByRow(AutoregressiveNetwork):
    """Of images of 4x4: a masked linear map of the values before each, and the latents."""

    def __init__(self, in_channels: int = 4, out_channels: int = 256, downsampling: int = 2) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.downsampling = in_channels, out_channels, downsampling
        self.before = nn.Linear(16, 16, bias=False)
        self.mix = nn.Conv2d(1 + in_channels, out_channels, 1)

    def forward(self, latents: Tensor, signal: Tensor) -> Tensor:
        known = nn.functional.linear(signal.flatten(1), self.before.weight.tril(-1)).view(-1, 1, 4, 4)
        return self.mix(torch.cat([known, nn.functional.interpolate(latents, scale_factor=2.0)], dim=1))


def test_any_network_of_images_may_be_autoregressive() -> None:
    torch.manual_seed(0)
    model = vqkit.VQVAE(
        8, channels=1, code_dim=4, downsampling=2, decoder=RowByRow(), likelihood="categorical", hidden_channels=8
    ).eval()
    codes = torch.randint(8, (3, 2, 2))
    drawn = model.decode(codes, temperature=0)
    with torch.no_grad():
        raw = model.parameters_of(drawn, codes)
    assert torch.equal(model.likelihood.draw(raw, torch.full((3, 1, 4, 4), 0.5), model._unit(), 0.0), drawn)
    model.train()
    model(torch.rand(2, 1, 4, 4)).loss.backward()
    assert model.decoder.before.weight.grad is not None
    assert float(model.decoder.before.weight.grad.abs().sum()) > 0


def test_a_vae_and_an_autoencoder_have_such_a_decoder_too() -> None:
    x = torch.from_numpy(sounds(2, 32))
    for kind in (vqkit.VAE, vqkit.Autoencoder):
        torch.manual_seed(0)
        model = kind(
            4, latent="grid", axes=1, channels=1, downsampling=4, encoder="seanet", decoder=WAVENET, **SMALL
        ).eval()
        latents = model.encode(x)
        assert model.decode(latents, (32,)).shape == x.shape
        assert model.log_likelihood(x, latents).shape == (2,)
        assert torch.equal(model.decode(latents[1:], (32,)), model.decode(latents, (32,))[1:])


def test_the_condition_reaches_the_drawn_signal() -> None:
    model = vqvae(classes=2, class_names=["anna", "ben"])
    codes = torch.randint(8, (2, 9), generator=torch.Generator().manual_seed(1))
    both = model.decode(codes, condition=["anna", "ben"])
    assert torch.equal(model.decode(codes, condition="ben")[1], both[1])
    assert not torch.equal(model.decode(codes, condition="anna")[1], both[1])


def test_what_does_not_go_together_is_refused() -> None:
    model, codes = vqvae(), torch.zeros(1, 4, dtype=torch.int64)
    with pytest.raises(ConfigError, match=r"depends on the signal.*parameters_of\(x, codes\)"):
        model.decode_parameters(codes)
    with pytest.raises(ConfigError, match="draws values, which have no gradient"):
        model.decode(codes, gradient=True)
    with pytest.raises(ConfigError, match=r"temperature -1 of the decoder: give 0 or more"):
        model.decode(codes, temperature=-1)
    plain = vqvae(decoder="seanet")
    with pytest.raises(ConfigError, match=r"temperature 0\.5 of the decoder: it draws nothing"):
        plain.decode(codes, temperature=0.5)
    with pytest.raises(ConfigError, match="no linear path"):
        vqvae(linear_path=True)
    with pytest.raises(ConfigError, match="latent='grid'"):
        vqkit.VAE(4, size=(32,), axes=1, channels=1, downsampling=4, encoder="seanet", decoder=WAVENET, **SMALL)
    with pytest.raises(ConfigError, match="is for signals of 1 axis"):
        vqkit.VQVAE(8, decoder="wavenet", **SMALL)
    with pytest.raises(ConfigError, match="reads the signal that it decodes"):
        model.stream()


def test_a_block_says_the_temperature_of_what_decodes_in_it() -> None:
    model = vqvae(classes=2, class_names=["anna", "ben"])
    x = torch.from_numpy(sounds(2, 32))
    warm = vqkit.convert(model, x, to="ben")
    with model.drawing_at(0):
        cold = vqkit.convert(model, x, to="ben")
        assert torch.equal(model.decode(model.encode(x), (32,), condition="ben", temperature=1), warm)  # a call's own
        with model.drawing_at(None):
            assert torch.equal(vqkit.convert(model, x, to="ben"), cold)
    assert torch.equal(cold, model.decode(model.encode(x), (32,), condition="ben", temperature=0))
    assert not torch.equal(cold, warm)
    assert torch.equal(vqkit.convert(model, x, to="ben"), warm)  # over with the block
    with pytest.raises(ConfigError, match="temperature nan of the decoder: give 0 or more"), model.drawing_at(math.nan):
        pass
    plain = vqvae(decoder="seanet")
    with pytest.raises(ConfigError, match=r"it draws nothing.*decoder='wavenet'"), plain.drawing_at(0.5):
        pass


@pytest.mark.parametrize("likelihood", ["logistic", "logistic_mixture"])
def test_levels_that_sound_has_not_are_refused_with_those_that_it_has(likelihood: str) -> None:
    with pytest.raises(ConfigError, match=f"likelihood='{likelihood}'.*likelihood='categorical'.* mu-law"):
        vqvae(likelihood=likelihood)
