"""Rates: settings for given ones, tables of those that a model has, and codebooks that are left out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from vqkit.errors import ConfigError, DataError
from vqkit.models import model_rates, rate_lines
from vqkit.models.rates.plan import plan_rates
from vqkit.quantizers import ResidualQuantizer, build_quantizer
from vqkit.tokens import detokenize

SOUNDS = (np.random.default_rng(0).standard_normal((5, 1, 1280)) * 0.2).clip(-1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def sounds() -> Any:
    return vqkit.load_source(SOUNDS, kind="sound@16000")


@pytest.fixture(scope="module")
def model(sounds: Any) -> vqkit.VQVAE:
    """Of 1.5, 3 and 6 kbps: 62.5 frames a second, 3, 6 and 12 codebooks of 256 codes."""
    small = {"hidden_channels": 4, "residual_blocks": 1, "residual_channels": 4, "code_dim": 4}
    made: vqkit.VQVAE = vqkit.VQVAE.for_source(sounds, kbps=[6, 1.5, 3], seed=0, **small)
    for parameter in (*made.encoder.parameters(), *made.decoder.parameters()):
        parameter.data.mul_(3)  # so that signals reach the other end of networks that have not learned
    made.prepare([torch.randn(128, 1, 1280).clamp(-5, 5) / 5])
    return made.eval()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("kbps", [[6.0], [1.5, 3.0, 6.0], [0.75, 1.5]])
def test_a_plan_has_the_rates_it_was_asked_for(rate: int, kbps: list[float]) -> None:
    plan = plan_rates(kbps, rate)
    got = [count * math.log2(plan.codebook_size) * rate / plan.downsampling / 1000 for count in plan.codebooks]
    assert got == pytest.approx(kbps, rel=0.01)
    assert list(plan.codebooks) == sorted(set(plan.codebooks))


def test_what_is_given_stays() -> None:
    assert plan_rates([1.5, 3], 16000, downsampling=256).downsampling == 256
    assert plan_rates([1.5, 3], 16000, codebook_size=256).codebook_size == 256
    assert plan_rates([1.5, 3], 16000, allowed=lambda factor: factor == 512).downsampling == 512


def test_impossible_rates_name_possible_ones() -> None:
    with pytest.raises(ConfigError, match=r"kbps=\[1.35, 3.15, 5.85\] is near, by 3, 7, 13 codebooks of 512 codes"):
        plan_rates([1.5, 3, 6], 16000, downsampling=320, codebook_size=512)
    assert plan_rates([1.35, 3.15, 5.85], 16000, downsampling=320, codebook_size=512).codebooks == (3, 7, 13)
    with pytest.raises(ConfigError, match=r"0\.45 to 14\.4 kbps in steps of 0\.45"):
        plan_rates([100], 16000, downsampling=320, codebook_size=512)
    for bad in ([0], [-1.0], [math.nan], []):
        with pytest.raises(ConfigError, match="above 0"):
            plan_rates(bad, 16000)


def test_the_highest_rate_is_that_of_all_codebooks_and_dropout_trains_the_others(model: vqkit.VQVAE) -> None:
    assert (model.downsampling, model.codebook_size, model.num_codebooks) == (256, 256, 12)  # conv: a power of two
    stack = next(part for part in model.quantizer.modules() if isinstance(part, ResidualQuantizer))
    assert (stack.dropout, stack.dropout_codebooks) == (0.5, [3, 6])
    rates = model_rates(model, [4.0] * 12)
    assert [(rate.codebooks, rate.nominal, rate.tokens, rate.entropy) for rate in rates] == [
        (3, 1.5, 187.5, 0.75), (6, 3.0, 375.0, 1.5), (12, 6.0, 750.0, 3.0),
    ]  # fmt: skip
    assert rate_lines(rates)[0].split() == ["codebooks", "frames/s", "tokens/s", "nominal", "kbps", "entropy", "kbps"]


@pytest.mark.parametrize("network", ["seanet", {"type": "seanet", "config": {"strides": [4, 8, 8]}}])
def test_the_network_decides_which_downsampling_there_is(sounds: Any, network: Any) -> None:
    made = vqkit.VQVAE.for_source(
        sounds, kbps=[1.5, 3], encoder=network, decoder=network, hidden_channels=4, code_dim=4, seed=0
    )
    assert made.downsampling == (320 if network == "seanet" else 256)
    assert model_rates(made)[-1].nominal == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_codebooks": 3}, "num_codebooks=3 beside kbps=..., which settles it"),
        ({"stacking": "product"}, "stacking='product' beside kbps"),
        ({"quantizer": build_quantizer("ema", 16, 4)}, "an instance has its own codebooks"),
        ({"codebook_size": 512, "downsampling": 1024, "kbps": [1.5]}, "codebook_size=512"),
        ({"kbps": "fast"}, "give rates in kilobits a second"),
    ],
)
def test_settings_that_rates_settle_are_refused_beside_them(sounds: Any, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("...", r"\.\.\.")):
        vqkit.VQVAE.for_source(sounds, **{"kbps": [1.5, 3], **options})


def test_rates_are_for_sound_with_a_sample_rate() -> None:
    with pytest.raises(ConfigError, match="have no sample rate; say it: kind='sound@16000'"):
        vqkit.VQVAE.for_source(vqkit.load_source(SOUNDS, kind="sound"), kbps=3)
    with pytest.raises(ConfigError, match="have no seconds; leave it out"):
        vqkit.VQVAE.for_source("builtin:digits", kbps=3)


def test_the_first_codebooks_are_the_first_indices_and_decode(model: vqkit.VQVAE, sounds: Any) -> None:
    every = model.encode(SOUNDS)
    for used, kbps in ((1, 0.5), (3, 1.5), (11, 5.5), (12, 6)):
        assert torch.equal(model.encode(SOUNDS, codebooks=used), every[..., :used])
        assert torch.equal(model.encode(SOUNDS, kbps=kbps), every[..., :used])
        decoded = model.decode(every[..., :used], [1280])
        assert torch.equal(model.reconstruct(SOUNDS, kbps=kbps), decoded)
        left_out = torch.nn.functional.pad(every[..., :used], (0, 12 - used), value=-1)
        assert torch.equal(model.decode(left_out, [1280]), decoded)
    assert torch.equal(model.reconstruct(sounds, codebooks=3), model.reconstruct(SOUNDS, codebooks=3))
    assert not torch.equal(model.reconstruct(SOUNDS, codebooks=3), model.reconstruct(SOUNDS))


def test_a_stream_uses_as_many(model: vqkit.VQVAE) -> None:
    stream, signals = model.stream(kbps=1.5), torch.from_numpy(SOUNDS[:1])
    parts = [stream.encode(signals[:, :, :100]), stream.encode(signals[:, :, 100:]), stream.encode(last=True)]
    assert torch.equal(torch.cat(parts, dim=1), model.encode(signals, codebooks=3))
    assert stream.decode(torch.cat(parts, dim=1), last=True, size=1280).shape == (1, 1, 1280)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"codebooks": 13}, "codebooks=13: this model has 12"),
        ({"codebooks": 0}, "codebooks=0: this model has 12"),
        ({"codebooks": 3, "kbps": 1.5}, "give one of them"),
        ({"kbps": 2.2}, r"0.5 to 6 kbps in steps of 0.5 \(12 codebooks\); it was trained for 1.5, 3, 6"),
        ({"kbps": 7.0}, "0.5 to 6 kbps"),
        ({"kbps": math.nan}, "0.5 to 6 kbps"),
    ],
)
def test_other_codebooks_and_rates_are_refused(model: vqkit.VQVAE, sounds: Any, asked: Any, message: str) -> None:
    calls = (model.encode, model.reconstruct, lambda _, **given: model.stream(**given),
             lambda _, **given: vqkit.evaluate(model, sounds, **given), lambda _, **given: vqkit.Codec(model, **given),
             lambda _, **given: vqkit.tokenize(model, sounds, "never", **given))  # fmt: skip
    for call in calls:
        with pytest.raises(ConfigError, match=message):
            call(SOUNDS, **asked)
    assert not Path("never").exists()


def test_codebooks_of_a_product_belong_together() -> None:
    product = vqkit.VQVAE(16, code_dim=4, num_codebooks=2, channels=1, hidden_channels=4)
    with pytest.raises(ConfigError, match="stacking=residual makes such as can"):
        product.encode(torch.zeros(1, 1, 8, 8), codebooks=1)
    with pytest.raises(ConfigError, match=r"images have no seconds; give codebooks=\.\.\. \(it has 2\)"):
        product.encode(torch.zeros(1, 1, 8, 8), kbps=1)
    with pytest.raises(ValueError, match=r"and 2 codebooks$"):
        product.decode(torch.zeros(1, 2, 2, 1, dtype=torch.int64))
    with pytest.raises(ConfigError, match="of a model with codebooks, not a PCA"):
        vqkit.evaluate(vqkit.PCA(2, size=(8, 8)), vqkit.load_source("builtin:digits"), codebooks=1)


def test_an_evaluation_judges_what_it_is_asked_for(model: vqkit.VQVAE, sounds: Any) -> None:
    every, some = vqkit.evaluate(model, sounds), vqkit.evaluate(model, sounds, kbps=1.5)
    assert (every.positions, some.positions) == (5 * 5 * 12, 5 * 5 * 3)
    assert some.rate.nominal_bits == every.rate.nominal_bits / 4
    decoded = model.reconstruct(SOUNDS, codebooks=3).numpy()
    assert some.mse == pytest.approx(float(np.square(decoded - SOUNDS).mean()), rel=1e-5)


@pytest.mark.parametrize("used", [1, 3, 12])
def test_tokens_of_fewer_codebooks(model: vqkit.VQVAE, sounds: Any, used: int, tmp_path: Path) -> None:
    tokens = vqkit.tokenize(model, sounds, tmp_path / "tokens", codebooks=used)
    assert tokens.num_codebooks == used
    wanted = model.encode(SOUNDS)[..., :used].numpy()
    assert np.array_equal(np.stack(list(tokens)), wanted if used > 1 else wanted[..., 0])
    assert detokenize(model, tokens, tmp_path / "decoded") == 5
    again = vqkit.tokenize(model, sounds, tmp_path / "tokens", kbps=used / 2)
    assert again.kept == 5
    if used != 12:
        with pytest.raises(ConfigError, match="another number of codebooks"):
            vqkit.tokenize(model, sounds, tmp_path / "tokens")


def test_files_of_a_rate(model: vqkit.VQVAE, sounds: Any) -> None:
    size = {kbps: len(vqkit.Codec(model, kbps=kbps).compress(sounds)) for kbps in (1.5, 6.0)}
    assert size[1.5] < size[6.0] / 2
    decoded = vqkit.Codec(model).decompress(vqkit.Codec(model, kbps=1.5).compress(sounds))
    assert torch.allclose(decoded.float(), model.reconstruct(SOUNDS, kbps=1.5), atol=1e-4)


def test_dropout_draws_from_the_numbers_that_it_was_given() -> None:
    torch.manual_seed(0)
    stack = build_quantizer("ema", 8, 4, {"quantizer_dropout": 0.5, "dropout_codebooks": [2, 1]}, 5, "residual").train()
    used = (stack(torch.randn(400, 4, 2)).indices[:, 0] >= 0).sum(dim=-1)
    counts = torch.bincount(used, minlength=6).tolist()
    assert counts[0] == counts[3] == counts[4] == 0
    assert min(counts[1], counts[2]) > 60
    assert 150 < counts[5] < 250


@pytest.mark.parametrize("bad", [[0], [5], [], [1, 7]])
def test_dropout_to_other_numbers_is_refused(bad: list[int]) -> None:
    with pytest.raises(ConfigError, match="numbers from 1 to 4"):
        build_quantizer("ema", 8, 4, {"quantizer_dropout": 0.5, "dropout_codebooks": bad}, 5, "residual")
    with pytest.raises(ConfigError, match=r"give quantizer_dropout=0\.5 too"):
        build_quantizer("ema", 8, 4, {"dropout_codebooks": [1]}, 5, "residual")
    with pytest.raises(ConfigError, match=r"dropout_codebooks=\[1\] is for num_codebooks of 2 or more"):
        build_quantizer("ema", 8, 4, {"dropout_codebooks": [1]})


def test_a_saved_model_has_the_same_rates(model: vqkit.VQVAE, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    again = vqkit.load_model(tmp_path)
    assert model_rates(again) == model_rates(model)
    with pytest.raises(DataError):
        again.decode(torch.full((1, 2, 3), 256))
