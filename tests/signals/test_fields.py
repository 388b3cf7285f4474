"""Fields: layouts, types, scaling, gaps, and errors in units, through models, tokens and files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.codec.compressor import Compressor
from vqkit.codec.signals import Signal
from vqkit.coding.gaps import join_gaps, pack_gaps, split_gaps, unpack_gaps
from vqkit.errors import BitstreamError, ConfigError, DataError
from vqkit.likelihoods import Gaussian, LogisticMixture, Unit
from vqkit.likelihoods.logistic import Logistic
from vqkit.models.channels import channel_moments
from vqkit.objectives import mean_of
from vqkit.signals import Field, signal_kind
from vqkit.signals.fields.field import TYPES
from vqkit.signals.fields.layouts import GRIDS, arranged, guessed_layout, layout_axes, restored
from vqkit.signals.fields.options import field_named
from vqkit.tokens import detokenize, load_tokens

SMALL: dict[str, Any] = {"codebook_size": 16, "code_dim": 4, "hidden_channels": 8, "residual_channels": 4}
LAYOUTS = ["NCT", "NTC", "CT", "NT", "T", "NCHW", "NHWC", "CHW", "HWC", "NHW", "HW", "NCDHW", "NDHWC", "WHCN"]


def gappy(count: int = 6, *, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Integers of two channels in different units, -9999 where there is a gap, and where that is."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 2, 12, 16)) * [[[3.0]], [[200.0]]] + [[[0.0]], [[1e4]]]
    gaps = rng.random(values.shape) < 0.2
    gaps[1], gaps[2, 0] = True, True  # a whole item, a whole channel
    found = values.round().astype(np.int16)
    found[gaps] = -9999
    return found, gaps


def models(source: Any) -> list[Any]:
    grid = {key: value for key, value in SMALL.items() if key not in ("codebook_size", "code_dim")}
    return [
        vqkit.VQVAE.for_source(source, **SMALL, seed=0),
        vqkit.VAE.for_source(source, 4, **grid, seed=0),
        vqkit.Autoencoder.for_source(source, 4, **grid, seed=0),
        vqkit.PCA.for_source(source, 3),
    ]


# ---- layouts


@given(st.sampled_from(LAYOUTS), st.data())
def test_every_layout_comes_back(layout: str, data: st.DataObject) -> None:
    shape = [data.draw(st.integers(1, 5)) for _ in layout]
    array = np.arange(np.prod(shape)).reshape(shape)
    standard = arranged(array, layout)
    assert standard.ndim == 2 + layout_axes(layout)
    assert (restored(standard, layout) == array).all()
    for letter, side in zip(layout, shape, strict=True):  # the oracle: each letter's length
        assert standard.shape[("NC" + GRIDS[layout_axes(layout)]).index(letter)] == side


def test_what_stands_out_is_guessed_and_what_does_not_is_refused(tmp_path: Path) -> None:
    assert guessed_layout((4, 101, 100, 13), None, "a") == "NHWC"
    assert guessed_layout((4, 2, 16, 16), 2, "a") == "NCHW"
    assert guessed_layout((9, 3, 8, 32, 32), None, "a") == "NCDHW"
    assert guessed_layout((1000, 2, 64), 1, "a") == "NCT"
    with pytest.raises(DataError, match=r"4 items of 20 channels, 21x22; or as NHWC 4 items of 22 channels, 20x21"):
        guessed_layout((4, 20, 21, 22), None, "a")
    with pytest.raises(DataError, match=r"as NHW 3 items of 1 channel, 241x480.*as CHW 1 item of 3 channels"):
        guessed_layout((3, 241, 480), None, "a")
    with pytest.raises(DataError, match=r"shape \[2, 2, 2, 2, 2, 2\]"):
        guessed_layout((2,) * 6, None, "a")
    source = vqkit.load_source(np.zeros((4, 40, 41, 5)), kind="field")
    assert (source.channels, source.size) == (5, (40, 41))
    assert "NHWC [4, 40, 41, 5] (guessed" in source.notes[0]
    with pytest.raises(DataError, match=r"shape \[4, 40, 41, 5\], 4 axes; the layout NCT says 3"):
        vqkit.load_source(np.zeros((4, 40, 41, 5)), kind="field@NCT")
    for wrong in ("NCX", "NCHHW", "NC", "abc", "7"):
        with pytest.raises(ConfigError, match="field@"):
            signal_kind(f"field@{wrong}") if wrong in ("abc", "7") else signal_kind(f"field@{wrong},field@")
    with pytest.raises(ConfigError, match="layout 'NCX'"):
        Field(layout="NCX")


@given(
    st.sampled_from([None, "NHWC", "NCT"]),
    st.sampled_from([None, *TYPES]),
    st.sampled_from(["standard", "robust"]),
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_the_name_says_all_that_the_kind_holds(layout: Any, dtype: Any, scaling: str, nodata: Any) -> None:
    kind = Field(layout=layout, dtype=dtype, scaling=scaling, nodata=nodata)
    assert signal_kind(kind.name) == kind
    assert ":" not in kind.name


# ---- types and units


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_files_come_back_in_their_type_and_layout(dtype: str, layout: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    array = rng.uniform(0, 100, (5, 2, 9, 10)).astype(dtype)
    array = array if layout == "NCHW" else np.moveaxis(array, 1, 3)
    np.save(tmp_path / "a.npy", array)
    source = vqkit.load_source(tmp_path / "a.npy", kind=f"field@{layout}")
    items = source.gather(range(5))
    assert items.dtype == (np.float64 if dtype in ("int32", "uint32", "float64") else np.float32)
    back = source.kind.as_written(items)
    assert back.dtype == array.dtype
    assert (back == array).all()
    mapped = vqkit.load_source(tmp_path / "a.npy", kind=f"field@{layout}", memory_limit=10)
    assert not mapped.in_memory  # type: ignore[attr-defined]
    assert (mapped.gather([3, 1]) == items[[3, 1]]).all()
    source.kind.write(items[2], tmp_path / "one.npy")
    assert (np.load(tmp_path / "one.npy") == array[2]).all()


def test_large_offsets_keep_their_spread() -> None:
    values = (1_000_000_000 + np.arange(4 * 16 * 16).reshape(4, 1, 16, 16) % 7).astype(np.int32)
    source = vqkit.load_source(values, kind="field@NCHW")
    model = vqkit.PCA.for_source(source, 3)
    model.fit(lambda: [torch.from_numpy(source.gather(range(4)))])
    assert float(model.signal_std) == pytest.approx(2.0, rel=0.01)
    made = source.kind.as_values(model.reconstruct(source.gather(range(4))).numpy())
    assert made.dtype == np.int32
    assert np.abs(made.astype(np.int64) - values).max() <= 1


def test_integers_are_rounded_cut_and_no_number_becomes_a_gap() -> None:
    kind = Field(2, dtype="uint8", nodata=0)
    made = kind.as_values(np.array([-5.0, 0.2, 1.6, 300.0, np.nan]))
    assert made.dtype == np.uint8
    assert made.tolist() == [1, 1, 2, 255, 0]
    plain = Field(2, dtype="int16").as_values(np.array([1.4, np.nan]))
    assert plain.dtype == np.float32  # integers have no number for it
    assert np.isnan(plain[1])


def test_each_channel_has_its_own_scale(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    array = (rng.normal(size=(32, 3, 16, 16)) * [[[0.01]], [[1.0]], [[1e4]]] + [[[5.0]], [[0.0]], [[-1e5]]]).astype(
        "f4"
    )
    for model in models(vqkit.load_source(array, kind="field@2")):
        model.prepare([torch.from_numpy(array)])
        assert np.allclose(model.signal_mean.flatten(), array.mean(axis=(0, 2, 3)), rtol=1e-3, atol=1e-3)
        assert np.allclose(model.signal_std.flatten(), array.std(axis=(0, 2, 3)), rtol=1e-3)
    outliers = array.copy()
    outliers[0, 0] = 1e6
    mean, deviation = channel_moments([torch.from_numpy(outliers)], robust=True)
    assert float(mean[0]) == pytest.approx(5.0, abs=0.01)
    assert float(deviation[0]) == pytest.approx(0.01, rel=0.1)
    model = vqkit.VQVAE.for_source(vqkit.load_source(outliers, kind="field@2,robust"), **SMALL)
    model.prepare([torch.from_numpy(outliers)])
    assert float(model.signal_std.flatten()[0]) == pytest.approx(0.01, rel=0.1)
    model.save_pretrained(tmp_path / "model")
    again = vqkit.load_model(tmp_path / "model")
    assert again.kind.name == "field@2,robust"
    assert torch.equal(again.signal_std, model.signal_std)


# ---- gaps


def test_what_lies_under_a_gap_changes_nothing() -> None:
    values, gaps = gappy()
    floats = torch.from_numpy(values.astype(np.float32))
    hidden = floats.clone()
    hidden[torch.from_numpy(gaps)] = 12_345.0
    nan = torch.where(torch.from_numpy(gaps), torch.nan, floats)
    for model in models(vqkit.load_source(values, kind="field@NCHW,nodata=-9999")):
        model.prepare([nan])
        if isinstance(model, vqkit.PCA):
            model.fit(lambda: [nan])
        model.eval()
        first = model(nan)
        assert torch.isfinite(first.loss)
        assert torch.isfinite(first.reconstruction).all()
        assert torch.equal(model.encode(nan), model.encode(values))  # nodata is a gap, too
        assert torch.equal(model.reconstruct(nan).isnan(), torch.from_numpy(gaps))
        if isinstance(model, vqkit.PCA):
            continue
        for shown in (floats, hidden):
            second = model(shown, torch.from_numpy(~gaps))
            assert torch.equal(first.loss, second.loss)
            assert all(torch.equal(first.metrics[name], second.metrics[name]) for name in first.metrics)
            assert torch.equal(model.encode(shown, torch.from_numpy(~gaps)), model.encode(nan))


def test_means_and_moments_are_of_what_is_there() -> None:
    values, gaps = gappy()
    nan = np.where(gaps, np.nan, values).astype(np.float64)
    found = mean_of(torch.from_numpy(values.astype(np.float64)), torch.from_numpy(~gaps))
    assert float(found) == pytest.approx(np.nanmean(nan))  # the oracle
    mean, deviation = channel_moments([torch.from_numpy(nan[:2]), torch.from_numpy(nan[2:])])
    assert np.allclose(mean, np.nanmean(nan, axis=(0, 2, 3)))
    assert np.allclose(deviation, np.nanstd(nan, axis=(0, 2, 3)))


def test_codebook_statistics_leave_out_positions_without_any_value() -> None:
    values, _ = gappy()
    whole = torch.from_numpy(values.astype(np.float32))[[0, 3, 4, 5]]
    more = torch.cat([whole, torch.full((4, *whole.shape[1:]), torch.nan)])
    states = []
    for batch in (whole, more):
        model = vqkit.VQVAE.for_source(vqkit.load_source(values, kind="field@2,nodata=-9999"), **SMALL, seed=0)
        model.prepare([batch])
        model.train()
        model(batch)
        states.append(model.state_dict())
    for name, value in states[0].items():
        if "quantizer" in name or "signal" in name:
            assert torch.allclose(value.float(), states[1][name].float(), atol=1e-6), name


def test_errors_are_of_what_is_there_in_units() -> None:
    values, gaps = gappy()
    source = vqkit.load_source(values, kind="field@NCHW,nodata=-9999")
    model = vqkit.VQVAE.for_source(source, **SMALL, seed=0)
    model.prepare([torch.from_numpy(source.gather(range(6)))])
    found = vqkit.evaluate(model, source, peak=50.0)
    assert found.fields is not None
    assert found.fields.gaps == pytest.approx(gaps.mean())
    made = model.eval().reconstruct(source.gather(range(6))).numpy().astype(np.float64)
    for channel, each in enumerate(found.fields.channels):  # the oracle: NumPy over what is no gap
        kept = ~gaps[:, channel]
        wanted = values[:, channel][kept].astype(np.float64)
        error = made[:, channel][kept] - wanted
        assert each.values == kept.sum()
        assert each.rmse == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
        assert each.nmse == pytest.approx((error**2).mean() / wanted.var(), rel=1e-5)
        assert each.max_error == pytest.approx(np.abs(error).max(), rel=1e-5)
        assert each.psnr_db == pytest.approx(10 * np.log10(2500 / (error**2).mean()), rel=1e-5)
    assert found.nmse == pytest.approx(np.mean([each.nmse for each in found.fields.channels]))
    assert found.bits_per_dim is not None  # of integers
    assert vqkit.evaluate(model, source).psnr_db is None
    with pytest.raises(ConfigError, match="peak"):
        vqkit.evaluate(vqkit.VQVAE(16, hidden_channels=8), np.zeros((2, 3, 16, 16), np.uint8), peak=1.0)


def test_gaps_come_back_out_of_tokens_and_files(tmp_path: Path) -> None:
    values, gaps = gappy()
    source = vqkit.load_source(values, kind="field@NCHW,nodata=-9999")
    model = vqkit.VQVAE.for_source(source, **SMALL, seed=0).eval()
    model.prepare([torch.from_numpy(source.gather(range(6)))])
    tokens = vqkit.tokenize(model, source, tmp_path / "tokens")
    assert tokens.gaps(1) is not None
    assert all((tokens.gaps(number) == gaps[number]).all() for number in range(6))
    detokenize(model, tokens, tmp_path / "decoded")
    (file,) = (tmp_path / "decoded").iterdir()
    decoded = np.load(file)
    assert decoded.dtype == np.int16
    assert ((decoded == -9999) == gaps).all()
    blob = vqkit.Codec(model).compress(source)
    back = vqkit.Codec(model).decompress(blob)
    assert (back.isnan().numpy() == gaps).all()
    assert (model.kind.as_values(back.numpy()) == decoded).mean() > 0.999
    (tmp_path / "tokens" / "gaps-00000.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match="gaps-00000"):
        load_tokens(tmp_path / "tokens").gaps(0)


@pytest.mark.parametrize("at_once", [True, False])
def test_gaps_come_back_out_of_archives(at_once: bool, tmp_path: Path) -> None:
    values, gaps = gappy()
    source = vqkit.load_source(values, kind="field@NCHW,nodata=-9999")
    model = vqkit.VQVAE.for_source(source, **SMALL, seed=0).eval()
    items = torch.from_numpy(source.gather(range(6)))
    model.prepare([items])
    names = [f"{number}.npy" for number in range(6)]
    if at_once:  # one group of several signals, to which others are added
        with (tmp_path / "all.vqk").open("wb") as file:
            Compressor(model).write(file, (Signal(each.numpy(), name) for each, name in zip(items, names, strict=True)))
    archive = vqkit.open_archive(tmp_path / "all.vqk", model)
    assert archive.add(items, names).same == (names if at_once else [])
    other = items[3].clone()
    other[0, 0, 0] = math.nan if not items[3, 0, 0, 0].isnan() else 0.0
    with pytest.raises(ConfigError, match=r"3\.npy"):
        archive.add([other], ["3.npy"])
    for number, name in enumerate(names):
        assert (archive[name].isnan().numpy() == gaps[number]).all()
    back = vqkit.Codec(model).decompress((tmp_path / "all.vqk").read_bytes())
    assert (back.isnan().numpy() == gaps).all()


def test_long_series_keep_their_gaps_in_parts() -> None:
    series = np.sin(np.arange(300_000) / 50).astype(np.float32)
    series[1000:1200] = series[262_000:262_300] = np.nan
    source = vqkit.load_source(series, kind="field@T")
    model = vqkit.VQVAE.for_source(source, **SMALL, seed=0).eval()
    model.prepare([torch.from_numpy(source.gather([0])[:, :, :5000])])
    back = vqkit.Codec(model).decompress(vqkit.Codec(model).compress(source))
    assert (back[0, 0].isnan().numpy() == np.isnan(series)).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1,), (2, 3), (2, 5, 7), (1, 3, 4, 5)]), st.floats(0, 1))
def test_packed_gaps_are_exact(seed: int, shape: tuple[int, ...], share: float) -> None:
    gaps = np.random.default_rng(seed).random(shape) < share
    packed = pack_gaps(gaps)
    found = unpack_gaps(packed, shape)
    assert (found is None) == (not gaps.any())
    assert found is None or (found == gaps).all()
    assert split_gaps(join_gaps([packed, b"", packed]).tobytes(), 3) == [packed, b"", packed]


@given(st.binary(max_size=40))
def test_damaged_gaps_are_refused(data: bytes) -> None:
    for read in (lambda: unpack_gaps(b"x" + data, (3, 5)), lambda: split_gaps(data, 3)):
        try:
            read()
        except BitstreamError:
            continue
    with pytest.raises(BitstreamError, match="damaged"):
        unpack_gaps(pack_gaps(np.ones((4, 9), bool)), (4, 8))


def test_masked_arrays_and_infinity() -> None:
    values, gaps = gappy()
    masked = np.ma.masked_equal(values, -9999)
    assert (np.isnan(vqkit.load_source(masked, kind="field@NCHW,nodata=-9999").gather(range(6))) == gaps).all()
    bad = values.astype(np.float32)
    bad[4, 0, 0, 0] = np.inf
    with pytest.raises(DataError, match="row 4 holds infinity"):
        vqkit.load_source(bad, kind="field@2")
    model = vqkit.VQVAE.for_source(vqkit.load_source(values, kind="field@2"), **SMALL)
    with pytest.raises(DataError, match="infinity"):
        model.encode(bad)
    for wrong in (values.astype(np.int64), values > 0, values.astype(np.complex64)):
        with pytest.raises(DataError, match=r"int64|bool|complex64"):
            vqkit.load_source(wrong, kind="field@2")


# ---- likelihoods of integers


@pytest.mark.parametrize("likelihood", [Gaussian(2), Logistic(2), LogisticMixture(2, components=3)])
def test_probabilities_of_integers_add_up_and_gaps_are_left_out(likelihood: Any) -> None:
    unit = Unit(torch.tensor([[3.0], [8.0]]).double(), torch.tensor([[2.0], [1.5]]).double(), None, 1.0, (0.0, 15.0))
    raw = torch.randn(1, likelihood.outputs, 1, generator=torch.Generator().manual_seed(0)).double()
    pairs = torch.cartesian_prod(torch.arange(16.0), torch.arange(16.0)).double().T[None]
    raw = raw.expand(1, likelihood.outputs, pairs.shape[2])
    assert float(likelihood.log_prob(raw, pairs, unit).exp().sum()) == pytest.approx(1.0, abs=1e-6)
    known = torch.tensor([True, False])[None, :, None].expand(1, 2, pairs.shape[2])
    alone = likelihood.log_prob_known(raw, pairs, unit, known)
    assert float(alone.exp().sum()) == pytest.approx(16.0, abs=1e-4)  # the second is left out, 16 times
    hidden = pairs.clone()
    hidden[:, 0] = 7.0
    second = [likelihood.log_prob_known(raw, each, unit, known.flip(1)) for each in (pairs, hidden)]
    assert torch.equal(*second)  # what the first would be moves nothing


# ---- deep pictures


def test_pictures_of_16_bits_keep_them(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 65536, (3, 12, 14), dtype=np.uint16)
    for number, plane in enumerate(deep):
        Pillow.fromarray(plane).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    source = vqkit.load_source(tmp_path, kind="field")
    assert source.kind.name == "field@2,uint16"
    assert (source.gather(range(3))[:, 0] == deep).all()
    assert [each.name for each in source.skipped] == ["broken.png"]
    bands = tmp_path / "bands"
    bands.mkdir()
    tifffile.imwrite(bands / "a.tif", rng.integers(0, 65536, (5, 12, 14), dtype=np.uint16), photometric="minisblack")
    tifffile.imwrite(bands / "b.tif", rng.normal(size=(5, 12, 14)).astype(np.uint16), photometric="minisblack")
    assert vqkit.load_source(bands, kind="field").channels == 5
    (tmp_path / "c.tif").write_bytes(b"II*\0nothing")
    with pytest.raises(DataError, match=r"c\.tif"):
        signal_kind("field").read(tmp_path / "c.tif")


def test_data_of_gaps_alone_are_refused() -> None:
    nothing = np.full((8, 2, 16, 16), np.nan, np.float32)
    model = vqkit.VQVAE.for_source(vqkit.load_source(nothing, kind="field@2"), **SMALL)
    with pytest.raises(DataError, match="every value of the training signals is a gap"):
        model.prepare([torch.from_numpy(nothing)])
    with pytest.raises(DataError, match=r"\[0, 2, 8, 8\], which holds no values"):
        vqkit.load_source(np.zeros((0, 2, 8, 8), np.float32), kind="field")


def test_options_say_the_kind() -> None:
    assert field_named("field", layout="NHWC", nodata=-9999).name == "field@NHWC,nodata=-9999"  # type: ignore[union-attr]
    assert field_named(None, scaling="robust").name == "field@robust"  # type: ignore[union-attr]
    assert field_named("sound") == signal_kind("sound")
    assert field_named(None) is None
    with pytest.raises(ConfigError, match="are of fields"):
        field_named("image", nodata=0)
    with pytest.raises(ConfigError, match=r"8 \(as pictures\), or 16"):
        field_named(None, depth=12)


# ---- from the command line


@pytest.mark.parametrize("model", ["vqvae", "pca"])
def test_a_user_goes_all_the_way(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values, gaps = gappy(12)
    np.save("winds.npy", np.moveaxis(values, 1, 3))
    run = CliRunner().invoke
    small = ["--hidden-channels", "8", "-k", "16", "--steps", "3"] if model == "vqvae" else ["--latent-dim", "3"]
    told = ["--kind", "field", "--layout", "NHWC", "--nodata", "-9999"]
    done = run(app, ["train", "winds.npy", *told, "-m", model, *small, "-o", "run", "--no-tensorboard"])
    assert done.exit_code == 0, done.output
    done = run(app, ["eval", "run", "winds.npy", "--json", "e.json", "--peak", "100"])
    assert done.exit_code == 0, done.output
    assert "channel 1" in done.output
    assert "as those that the model was made for" in done.output
    assert run(app, ["eval", "run"]).exit_code == 0
    if model == "pca":
        return
    assert run(app, ["encode", "run", "winds.npy", "--out", "tokens"]).exit_code == 0
    assert run(app, ["decode", "run", "tokens", "--out", "decoded"]).exit_code == 0
    (file,) = Path("decoded").iterdir()
    decoded = np.load(file)
    assert decoded.shape == (12, 12, 16, 2)
    assert decoded.dtype == np.int16
    assert ((np.moveaxis(decoded, 3, 1) == -9999) == gaps).all()
    assert run(app, ["compress", "winds.npy", "--model", "run", "-o", "w.vqk"]).exit_code == 0
    assert run(app, ["decompress", "w.vqk", "--model", "run", "-o", "back"]).exit_code == 0
    back = np.load(sorted(Path("back").iterdir())[3])
    assert ((np.moveaxis(back, 2, 0) == -9999) == gaps[3]).all()


def test_volumes_train(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 200, (3, 1, 16, 16, 16)).astype(np.int16)
    source = vqkit.load_source(values, kind="field@NCDHW")
    model = vqkit.VQVAE.for_source(source, 8, hidden_channels=8, residual_channels=4)
    run = vqkit.train(model, source, out=tmp_path, steps=2, batch_size=2, quiet=True, tensorboard=False)
    assert run.evaluation is not None
    assert run.evaluation["channels"]
