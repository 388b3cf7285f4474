"""Scores of items: other formulas, the same bits in any batch, percentiles, and bits that add up to those of files."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import vqkit
from tests.models.cases import RUNGS, ready, signals
from vqkit.codec import Compressor, Signal, entropy_model
from vqkit.data.arrays.memory import ArraySource
from vqkit.errors import DataError
from vqkit.models import PCA, VAE, IndexModel, LatentScores, ScoreReference, Scores
from vqkit.models.scoring.scorer import score_batches
from vqkit.priors import PRIORS, HistogramPrior, Prior, position_log_prob
from vqkit.quantizers import QUANTIZERS

AXES = [(rung, axes) for rung in RUNGS for axes in ((0, 1, 2, 3) if rung in ("pca", "vqvae", "vae vector") else (2,))]


def columns(scores: Scores) -> dict[str, Any]:
    return {"channel_mse": scores.channel_mse, **scores.columns()}


def same(a: Scores, b: Scores, rows: Any = slice(None)) -> bool:
    own, other = columns(a), columns(b)
    return own.keys() == other.keys() and all(
        np.array_equal(own[name][rows], other[name], equal_nan=True) for name in own
    )


@pytest.mark.parametrize(("rung", "axes"), AXES)
def test_errors_are_those_of_the_reconstruction(rung: str, axes: int) -> None:
    model, x = ready(rung, axes), signals(21, 2, axes, seed=3)
    scores = model.score(x)
    apart = (model.reconstruct(x).double() - x.double()).square().numpy().reshape(21, 2, -1)
    np.testing.assert_allclose(scores.channel_mse, apart.mean(axis=2), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(scores.mse, apart.mean(axis=(1, 2)), rtol=1e-4, atol=1e-9)
    if axes:
        np.testing.assert_allclose(
            scores.psnr_db, [vqkit.evaluation.psnr_db(each, scores.peak or 0) for each in scores.mse]
        )
    assert (scores.distance_mean is not None) == model.discrete
    assert (scores.bits is not None) == isinstance(model, VAE)


@pytest.mark.parametrize(("rung", "axes"), AXES)
def test_scores_are_the_same_bits_with_any_batch_size_and_of_an_item_in_any_company(rung: str, axes: int) -> None:
    model, x = ready(rung, axes), signals(21, 2, axes, seed=3)
    if isinstance(model, IndexModel):
        grid = model.grid(x.shape[2:])
        model.use_prior(vqkit.TransformerPrior(
            model.codebook_size, grid, num_codebooks=model.num_codebooks, hidden_channels=16, layers=1, heads=2
        ).eval())  # fmt: skip
        assert model.score(x).bits is not None
    whole = model.score(x)
    source = ArraySource(x.numpy())
    for size in (1, 5, 64):
        assert same(whole, model.score(source, batch_size=size)), size
    order = np.random.default_rng(0).permutation(21)
    for part in (order, slice(0, 1), slice(4, 9), slice(2, 20)):
        other = columns(model.score(x[torch.from_numpy(part) if isinstance(part, np.ndarray) else part]))
        for name, values in columns(whole).items():
            np.testing.assert_allclose(other[name], values[part], rtol=1e-4, atol=1e-7, err_msg=name)


def test_a_model_keeps_its_mode() -> None:
    model = ready("vqvae").train()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    model.score(signals(3, 2, 2))
    assert model.training
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


@pytest.mark.parametrize("name", sorted(QUANTIZERS))
def test_distances_are_to_the_codewords_that_were_chosen(name: str) -> None:
    torch.manual_seed(0)
    options = {"quantizer": name, "hidden_channels": 8, "channels": 1, "downsampling": 2}
    size = {"fsq": 240, "lfq": 256, "bsq": 256}.get(name, 16)
    dim = {"fsq": 3, "lfq": 8, "bsq": 8}.get(name, 4)
    model = vqkit.VQVAE(size, code_dim=dim, **options).eval()
    x = torch.rand(5, 1, 6, 6)
    scores = model.score(x, maps=True)
    if not model.quantizer.follows_latents:
        assert scores.distance_mean is None
        assert scores.distance_max is None
        return
    latents = model.quantizer.place(model.latents(x)).double()
    codewords = model.quantizer.lookup(model.encode(x)).double()
    apart = torch.linalg.vector_norm(latents - codewords, dim=1).flatten(1).detach()
    np.testing.assert_allclose(scores.distance_mean, apart.mean(dim=1).numpy(), rtol=1e-4)
    np.testing.assert_allclose(scores.distance_max, apart.amax(dim=1).numpy(), rtol=1e-4)
    assert scores.maps is not None
    np.testing.assert_allclose(scores.maps[3].distance.reshape(-1), apart[3].numpy(), rtol=1e-4)
    assert (scores.distance_max >= scores.distance_mean).all()


def test_a_residual_stack_of_bounded_stages_is_compared_where_it_compares() -> None:
    """The sum of the stages' codewords lies in [-1, 1] or near; so must what it is compared with."""
    torch.manual_seed(0)
    model = vqkit.VQVAE(
        240, code_dim=3, quantizer="fsq", num_codebooks=3, stacking="residual", channels=1, hidden_channels=8
    ).eval()
    x = torch.rand(2, 1, 8, 8)
    far = model.quantizer.place(100 * model.latents(x)).detach()
    assert float(far.abs().max()) <= 1.1
    assert float(model.score(x).distance_max.max()) < 0.5


def test_bits_of_a_vae_are_its_divergence() -> None:
    model, x = ready("vae grid"), signals(9, 2, 2)
    assert isinstance(model, VAE)
    scores = model.score(x, maps=True)
    mean, log_variance = model.posterior(x)
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    nats = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).flatten(1).sum(dim=1)
    np.testing.assert_allclose(scores.bits, nats.detach().numpy() / math.log(2), rtol=1e-5)
    assert scores.maps is not None
    np.testing.assert_allclose([each.bits.sum() for each in scores.maps], scores.bits, rtol=1e-5)


def small_prior(name: str, codebooks: int) -> Prior:
    torch.manual_seed(1)
    small: dict[str, Any] = {} if name == "histogram" else {"hidden_channels": 16, "layers": 1}
    small |= {"heads": 2} if name in ("transformer", "masked") else {}
    prior: Prior = PRIORS.get_part(name)(5, (3, 3), num_codebooks=codebooks, **small)
    if isinstance(prior, HistogramPrior):
        prior.count(torch.randint(0, 5, (20, *prior.item_shape)))
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return prior.eval()


@pytest.mark.parametrize("codebooks", [1, 3])
@pytest.mark.parametrize("name", sorted(PRIORS))
def test_bits_of_positions_add_up_to_those_of_the_item_and_these_to_the_evaluation(name: str, codebooks: int) -> None:
    model, prior = ready("vqvae" if codebooks == 1 else "vqvae of 3"), small_prior(name, codebooks)
    assert isinstance(model, IndexModel)
    x = signals(18, 2, 2, seed=4)
    indices = model.encode(x)
    nats = position_log_prob(prior, indices)
    assert nats is not None
    assert nats.shape == (18, 3, 3)
    torch.testing.assert_close(nats.sum(dim=(1, 2)).double(), prior.log_prob(indices).double(), rtol=1e-5, atol=1e-5)
    assert len(set(nats[0].flatten().tolist())) > 1  # they are told apart
    model.use_prior(prior)
    scores = model.score(x, maps=True)
    np.testing.assert_allclose(scores.bits, -prior.log_prob(indices).detach().numpy() / math.log(2), rtol=1e-5)
    assert scores.maps is not None
    np.testing.assert_allclose([each.bits.sum() for each in scores.maps], scores.bits, rtol=1e-5)
    assert vqkit.evaluate(model, ArraySource(x.numpy())).rate.prior_bits == pytest.approx(
        float(scores.bits.sum()), rel=1e-6
    )


def test_bits_of_a_position_are_those_of_its_own_index() -> None:
    """Another index at one position changes the bits there, by the change of its probability."""
    prior = small_prior("histogram", 1)
    indices = torch.zeros(1, 3, 3, dtype=torch.int64)
    other = indices.clone()
    other[0, 1, 2] = 4
    a, b = (position_log_prob(prior, each) for each in (indices, other))
    assert a is not None
    assert b is not None
    assert (a != b).nonzero().tolist() == [[0, 1, 2]]


def test_bits_are_those_of_the_file_within_the_coder() -> None:
    """Of the context prior to the last bit; the file's indices have at most 16 bytes a group and a thousandth more."""
    model, prior = ready("vqvae", 2), small_prior("context", 1)
    assert isinstance(model, IndexModel)
    x = signals(300, 2, 2, seed=7)
    model.use_prior(prior)
    bits = model.score(x).bits
    file = io.BytesIO()
    report = Compressor(model, entropy_model(prior, model.codebook_size)).write(
        file, (Signal(each.numpy()) for each in x)
    )
    assert report.model_bits["context"] == pytest.approx(float(bits.sum()), rel=1e-12)
    groups = 1  # of items of one size, 65,536 indices or so
    assert 0 <= 8 * report.index_bytes - bits.sum() <= 128 * groups + bits.sum() / 1000
    assert len(file.getvalue()) == report.file_bytes > report.index_bytes


def test_a_prior_of_another_grid_does_not_know_the_bits() -> None:
    model = ready("vqvae", 2)
    assert isinstance(model, IndexModel)
    model.use_prior(HistogramPrior(5, (2, 2)))
    scores = model.score(signals(2, 2, 2), against=model.score(signals(5, 2, 2)), maps=True)
    assert np.isnan(scores.bits).all()
    assert np.isnan(scores.percentiles["bits"]).all()
    assert scores.maps is not None
    assert scores.maps[0].bits is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=30),
       st.floats(allow_nan=False, allow_infinity=False, width=32))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_percentiles_are_counts_of_what_is_below_and_half_of_what_is_equal(values: list[float], x: float) -> None:
    usual = ScoreReference.of([{"mse": np.array(values)}])
    for wanted in (x, values[0]):
        expected = 100 * sum(1.0 if each < wanted else 0.5 if each == wanted else 0.0 for each in values) / len(values)
        assert usual.percentile("mse", np.array([wanted]))[0] == pytest.approx(expected, abs=1e-9)  # type: ignore[index]


@pytest.mark.parametrize("rung", ["pca", "vae grid", "vqvae"])
def test_what_the_reference_is_made_of_has_evenly_spread_percentiles(rung: str) -> None:
    model, x = ready(rung), signals(40, 2, 2, seed=9)
    scores = model.score(x, against=ArraySource(x.numpy()))
    assert set(scores.percentiles) == set(scores.measures())
    for name, found in scores.percentiles.items():
        if len(set(scores.measures()[name])) == 40:
            np.testing.assert_allclose(np.sort(found), (np.arange(40) + 0.5) * 2.5, err_msg=name)
    assert same(scores, model.score(x, against=model.score(x)))
    assert same(scores, model.score(x).against(model.score(x)))


def test_what_is_worse_has_a_higher_percentile() -> None:
    usual = ScoreReference.of([{"mse": np.array([1.0, 2.0])}, {"mse": np.array([np.nan, 3.0])}])
    assert usual.items == 4
    found = usual.percentile("mse", np.array([0.0, 1.5, 2.0, 9.0, np.nan]))
    np.testing.assert_allclose(found, [0, 100 / 3, 50, 100, np.nan])  # type: ignore[arg-type]
    assert usual.percentile("bits", np.array([1.0])) is None
    with pytest.raises(DataError, match="no items"):
        ScoreReference.of([])


def test_what_was_changed_is_found_where_it_was_changed() -> None:
    """A pattern over the upper half of one of the digits: it is the item of the largest error, and there."""
    digits = vqkit.load_source("builtin:digits")
    model = PCA.for_source(digits, 24)
    model.fit(lambda: [torch.as_tensor(digits[:1000])])
    x = torch.as_tensor(digits[1000:1050]).float() / 255
    x[7, 0, :4, ::2] = 1 - x[7, 0, :4, ::2]
    scores = model.score(x, against=digits.subset(range(1000, 1797)), maps=True)
    assert int(scores.mse.argmax()) == 7
    assert scores.percentiles["mse"][7] > 99
    assert scores.maps is not None
    error = scores.maps[7].error[0]
    row, column = np.unravel_index(int(error.argmax()), error.shape)
    assert row < 4
    assert column % 2 == 0


def test_items_of_several_sizes_keep_their_order_and_their_names(tmp_path: Any) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for number, side in enumerate((8, 6, 8, 7)):
        Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(tmp_path / f"{number}.png")
    model = vqkit.VQVAE(16, hidden_channels=8, downsampling=2).eval()
    scores = model.score(tmp_path)
    assert scores.names == ["0.png", "1.png", "2.png", "3.png"]
    each = [model.score(tmp_path / f"{number}.png") for number in range(4)]
    assert scores.mse.tolist() == [float(one.mse[0]) for one in each]
    assert list(scores.columns())[:5] == ["mse", "psnr_db", "mse_0", "mse_1", "mse_2"]
    assert "Scores" in scores._repr_html_()


def test_labels_are_told_to_a_decoder_that_reads_them() -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(20))
    model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8, conditional=True, seed=1).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    labels = digits.labels
    assert labels is not None
    x = torch.as_tensor(digits[:20])
    own = model.score(digits)
    assert same(own, model.score(x, condition=torch.as_tensor(labels)))
    assert not same(own, model.score(x, condition=3))


def test_nothing_and_what_is_no_signal_is_refused() -> None:
    model = ready("vqvae")
    with pytest.raises(DataError, match="no empty axis"):
        model.score(torch.zeros(0, 2, 6, 5))
    with pytest.raises(DataError, match="NaN"):
        model.score(torch.full((1, 2, 6, 5), math.nan))


def test_a_model_of_ones_own_says_what_it_knows() -> None:
    class Mine(PCA):
        def score_latents(self, x: Tensor, *, positions: bool = False) -> LatentScores:
            found = super().score_latents(x, positions=positions)
            found.bits = found.codes.double().square().sum(dim=1)
            return found

    model = Mine(2, channels=1, size=(4, 4))
    model.fit(lambda: [torch.rand(30, 1, 4, 4)])
    assert "bits" in model.score(torch.rand(3, 1, 4, 4)).columns()


@pytest.mark.parametrize("size", [1, 5, 16, 64, 100])
def test_scores_come_in_parts_of_one_size_whatever_is_read_at_a_time(size: int) -> None:
    model = ready("vqvae")
    found = list(score_batches(model, ArraySource(signals(100, 2, 2).numpy()), batch_size=size))
    assert [len(scores) for _, scores in found] == [16] * 6 + [4]
    assert np.concatenate([numbers for numbers, _ in found]).tolist() == list(range(100))
