"""The study of rate and distortion: every number out of real files, resumable, and what it says of bad input."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.reference import ms_ssim as reference
from tests.results.cases import check
from tests.studies.test_report import runs_its_own_scripts_alone
from vqkit.cli.main import app
from vqkit.codec import Codec, weight_unit
from vqkit.data import ArraySource, Source, load_source
from vqkit.errors import ConfigError, DataError
from vqkit.models import VQVAE
from vqkit.priors import ContextPrior, HistogramPrior
from vqkit.studies.rate_distortion import bench as bench
from vqkit.studies.rate_distortion import image_codecs as formats
from vqkit.studies.rate_distortion.image_codecs import image_codecs
from vqkit.studies.rate_distortion.measures import MeasureLog, point
from vqkit.studies.rate_distortion.report import write_report
from vqkit.studies.rate_distortion.settings import RateDistortionConfig, default_weights
from vqkit.studies.rate_distortion.study import RateDistortionStudy, bd_rates, nearest_file, rate_distortion

FEW: dict[str, Any] = {"jpeg": [5, 30, 60, 90], "webp": [10, 80], "avif": [40], "jpeg_xl": [2.0], "jpeg_2000": [1.0]}


def photos(count: int = 3, channels: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth colours with some texture, 44x36."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:44, :36] / 12
    waves = [np.sin(rng.uniform(0.3, 2) * rows + rng.uniform(0.3, 2) * columns) for _ in range(count * channels)]
    values = 128 + 80 * np.stack(waves).reshape(count, channels, 44, 36) + rng.normal(0, 6, (count, channels, 44, 36))
    return values.round().clip(0, 255).astype(np.uint8)


def tiny(**options: Any) -> VQVAE:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 4}
    settings |= {"num_codebooks": 3, "stacking": "residual", "channels": 3}
    model = VQVAE(16, **{**settings, **options})
    model.prepare([torch.rand(8, model.channels, *[16] * model.axes)])
    return model.eval()


def histogram_of(model: VQVAE) -> HistogramPrior:
    prior = HistogramPrior(model.codebook_size, model.grid((44, 36)), num_codebooks=model.num_codebooks)
    prior.count(model.encode(torch.from_numpy(photos())))
    return prior


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its histogram, and images as files."""
    folder = tmp_path_factory.mktemp("run")
    model = tiny()
    model.save_pretrained(folder / "model")
    histogram_of(model).save_pretrained(folder / "model" / "prior" / "histogram")
    for number, pixels in enumerate(photos()):
        (folder / "photos").mkdir(exist_ok=True)
        Image.fromarray(np.moveaxis(pixels, 0, -1)).save(folder / "photos" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def whole(run_folder: Path) -> RateDistortionStudy:
    options = {**FEW, "rate_weights": [0.0, 0.5], "codebooks": [1, 3]}
    return rate_distortion(run_folder / "photos", run_folder / "model", run_folder / "study", **options)


def curve(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in document["curves"] if each["name"] == name]
    return dict(found)


def psnr(mse: float) -> float:
    return 10 * math.log10(255**2 / mse)


def check_against_files(found: dict[str, Any], files: list[bytes], decoded: list[Any]) -> None:
    """The numbers of a point from the files themselves, by other formulas."""
    originals = photos().astype(np.float64)
    errors = [float(np.mean((x - np.asarray(y, dtype=float)) ** 2)) for x, y in zip(originals, decoded, strict=True)]
    alike = [
        np.mean([reference.ms_ssim(a / 255, np.asarray(b) / 255, 2) for a, b in zip(x, y, strict=True)])
        for x, y in zip(originals, decoded, strict=True)
    ]
    assert found["bytes"] == sum(map(len, files))
    assert found["bits_per_pixel"] == pytest.approx(8 * sum(map(len, files)) / (3 * 44 * 36))
    assert found["psnr_db"] == pytest.approx(psnr(float(np.mean(errors))), abs=1e-6)
    assert found["psnr_item_mean_db"] == pytest.approx(np.mean([psnr(each) for each in errors]), abs=1e-6)
    assert found["ms_ssim"] == pytest.approx(np.mean(alike), abs=1e-8)
    assert found["ms_ssim_db"] == pytest.approx(np.mean([-10 * math.log10(1 - each) for each in alike]), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "place", "codebooks", "weight"),
    [("vqkit, rate weight", 1, 3, 0.5), ("vqkit, codebooks", 0, 1, None), ("vqkit, codebooks", 1, 3, None)],
)
def test_the_models_points_are_its_files(
    whole: RateDistortionStudy, name: str, place: int, codebooks: int, weight: float | None
) -> None:
    found = curve(whole.document, name)["points"][place]
    assert (found["codebooks"], found["rate_weight"]) == (codebooks, weight)
    model = tiny()
    codec = Codec(model, histogram_of(model), codebooks=codebooks, rate_weight=weight)
    files = [codec.compress(torch.from_numpy(each)) for each in photos()]
    check_against_files(found, files, [codec.decompress(each)[0].numpy() for each in files])
    bits = found["bits_per_pixel_of"]
    positions = 11 * 9 / (44 * 36)
    assert bits["nominal"] == pytest.approx(4 * codebooks * positions)
    assert bits["uniform"] == pytest.approx(bits["nominal"])
    assert bits["histogram"] < bits["uniform"]
    assert bits["coded indices"] + bits["headers"] == pytest.approx(found["bits_per_pixel"])


def test_the_runs_context_prior_codes_and_the_histogram_is_counted(run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder / "model", tmp_path / "model")
    torch.manual_seed(0)
    context = ContextPrior(16, [11, 9], num_codebooks=3, hidden_channels=8, layers=1).eval()
    context.save_pretrained(tmp_path / "model" / "context" / "run")
    few = {"jpeg": [50], "webp": [], "avif": [], "jpeg_xl": [], "jpeg_2000": [], "rate_weights": [0.0], "shown": 0}
    document = rate_distortion(run_folder / "photos", tmp_path / "model", tmp_path / "s", **few).document
    assert document["model"]["prior"] == "context"
    (found,) = curve(document, "vqkit")["points"]
    codec = Codec(tiny(), context, rate_weight=0.0)
    files = [codec.compress(torch.from_numpy(each)) for each in photos()]
    check_against_files(found, files, [codec.decompress(each)[0].numpy() for each in files])
    few |= {"rate_weights": [0.5], "optimize": True}
    optimized = rate_distortion(run_folder / "photos", tmp_path / "model", tmp_path / "o", **few).document
    codec = Codec(tiny(), context, rate_weight=0.5, optimize=True)
    files = [codec.compress(torch.from_numpy(each)) for each in photos()]
    decoded = [codec.decompress(each)[0].numpy() for each in files]
    check_against_files(curve(optimized, "vqkit")["points"][0], files, decoded)
    bits = found["bits_per_pixel_of"]
    assert list(bits) == ["nominal", "uniform", "histogram", "context", "coded indices", "headers"]
    assert bits["context"] == pytest.approx(bits["coded indices"], abs=3 * 8 * 4 / (3 * 44 * 36))


def test_jpegs_points_are_its_files(whole: RateDistortionStudy) -> None:
    for place, quality in enumerate(FEW["jpeg"]):
        files = []
        for pixels in photos():
            file = io.BytesIO()
            picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))
            picture.save(file, "JPEG", quality=quality, subsampling="4:2:0", optimize=True)
            files.append(file.getvalue())
        decoded = [np.moveaxis(np.asarray(Image.open(io.BytesIO(each))), -1, 0) for each in files]
        check_against_files(curve(whole.document, "JPEG")["points"][place], files, decoded)


def test_the_json_is_the_document(whole: RateDistortionStudy) -> None:
    document = json.loads((whole.path / "rate-distortion.json").read_text(encoding="utf-8"))
    assert document == json.loads(json.dumps(whole.document))
    check("rate-distortion", document)
    assert document["data"]["images"] == 3
    assert document["model"]["prior"] == "histogram"
    assert document["ms_ssim_scales"] == {"most": 5, "fewest": 2}
    assert document["bd_rates"] == bd_rates({each["name"]: each for each in document["curves"]}, 0.5)
    assert {each["quality"] for each in document["bd_rates"]} == {"psnr_db", "psnr_item_mean_db", "ms_ssim_db"}


def test_bd_rates_of_a_curve_of_half_the_rate() -> None:
    points = [
        {"bits_per_pixel": 0.1 * 2**k, "psnr_db": 20.0 + 2 * k, "psnr_item_mean_db": 20.0 + k, "ms_ssim_db": 5.0 + k}
        for k in range(5)
    ]
    half = [{**each, "bits_per_pixel": each["bits_per_pixel"] / 2} for each in points]
    found = bd_rates({"mine": {"points": half}, "JPEG": {"points": points}}, 0.5)
    assert len(found) == 3
    for entry in found:
        for name in ("percent", "cubic_percent", "percent_low", "cubic_percent_low"):
            assert entry[name] == pytest.approx(-50)
        assert entry["range_low"][1] < entry["range"][1]
    assert bd_rates({"mine": {"points": half}}, 0.5) == []


def test_the_report_opens_offline(whole: RateDistortionStudy) -> None:
    text = whole.report.read_text(encoding="utf-8")
    for words in ("BD-rate against JPEG", "vqkit, rate weight", "Ideal, histogram", "data:image/png;base64,"):
        assert words in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert not re.search(r"url\(|@import", text)
    runs_its_own_scripts_alone(text)
    assert not re.search(r">-?(?:nan|inf)", text)


def test_a_second_call_measures_only_what_is_new(
    whole: RateDistortionStudy, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.path, tmp_path / "s")
    made: list[float] = []
    real = bench.codec_measure

    def counted(codec: Any, pixels: Any, value: float) -> Any:
        made.append(value)
        return real(codec, pixels, value)

    monkeypatch.setattr(bench, "codec_measure", counted)
    monkeypatch.setattr(bench.Bench, "measure", _failing)
    options = {**FEW, "rate_weights": [0.0, 0.5], "codebooks": [1, 3]}
    again = rate_distortion(run_folder / "photos", run_folder / "model", tmp_path / "s", **options)
    assert again.document["curves"] == whole.document["curves"]
    assert made == []
    more = {**options, "webp": [10, 80, 95]}
    rate_distortion(run_folder / "photos", run_folder / "model", tmp_path / "s", **more)
    assert made == [95.0] * 3


def test_an_interrupted_study_goes_on_to_the_same_numbers(
    whole: RateDistortionStudy, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = bench.codec_measure, []

    def stopping(*arguments: Any) -> Any:
        made.append(1)
        if len(made) == 14:
            raise KeyboardInterrupt
        return real(*arguments)

    arguments = ["study", "rate-distortion", str(run_folder / "photos"), "--model", str(run_folder / "model")]
    arguments += ["--out", str(tmp_path / "s"), "--rate-weights", "0,0.5", "--codebooks", "1,3"]
    arguments += [part for name, values in FEW.items() for part in ("--set", f"{name}={json.dumps(values)}")]
    monkeypatch.setattr(bench, "codec_measure", stopping)
    stopped = CliRunner().invoke(app, arguments)
    assert stopped.exit_code == 130
    assert "the same command goes on" in stopped.output
    log = tmp_path / "s" / "measures.jsonl"
    lines = log.read_bytes().count(b"\n")
    with log.open("ab") as file:
        file.write(b'{"key": "[\\"cut')  # as kill -9 may leave it
    before = len(made)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "BD-rates against JPEG" in done.output
    document = json.loads((tmp_path / "s" / "rate-distortion.json").read_text(encoding="utf-8"))
    assert document["curves"] == json.loads(json.dumps(whole.document["curves"]))
    assert all(json.loads(line)["measure"] for line in log.read_text(encoding="utf-8").splitlines())
    assert log.read_bytes().count(b"\n") == (whole.path / "measures.jsonl").read_bytes().count(b"\n")
    assert len(made) - before < 3 * sum(len(values) for values in FEW.values()) < lines + len(made)


def test_without_a_prior_the_curve_is_over_codebooks(run_folder: Path, tmp_path: Path) -> None:
    options = {"jpeg": [50], "webp": [], "avif": [], "jpeg_xl": [], "jpeg_2000": [], "shown": 0}
    found = rate_distortion(ArraySource(photos(), name="x"), tiny(), tmp_path / "s", images=1, **options).document
    points = curve(found, "vqkit")["points"]
    assert [each["codebooks"] for each in points] == [1, 2, 3]
    assert [each["bytes"] for each in points] == sorted(each["bytes"] for each in points)
    assert found["data"]["images"] == 1
    assert found["pictures"] == {}
    one = RateDistortionConfig().model_curves(tiny(num_codebooks=1, quantizer="fsq", quantizer_options={}), prior=False)
    assert one == {"as trained": [(1, None)]}


def test_default_weights_are_around_the_trained_one() -> None:
    assert default_weights(tiny(quantizer_options={"rate_weight": 0.4})) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    model = tiny()
    assert default_weights(model) == pytest.approx([weight_unit(model) * each for each in (0, 1, 4, 16, 64)], rel=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_codecs_give_back_what_they_got_nearly(channels: int) -> None:
    best = {"jpeg": [95], "webp": [100], "avif": [95], "jpeg_xl": [0.1], "jpeg_2000": [12.0]}
    codecs, missing = image_codecs(best, channels)
    assert len(codecs) + len(missing) == (6 if channels == 3 else 5)
    smooth = (40 + np.add.outer(np.arange(44), np.arange(36))).astype(np.uint8)[None].repeat(channels, axis=0)
    for codec in codecs:
        back = codec.decode(codec.encode(smooth, codec.values[0]), channels)
        assert back.shape == smooth.shape
        assert np.abs(back.astype(int) - smooth).mean() < 2, codec.name


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_2000_uses_its_colour_transform(channels: int) -> None:
    """Pillow leaves it out unless told, and photographs then lose 2 to 7 dB."""
    codecs, _ = image_codecs({"jpeg_2000": [1.0]}, channels)
    if not codecs:
        pytest.skip("no JPEG 2000 here")
    data = codecs[0].encode(photos(1, channels)[0], 1.0)
    style = data.index(b"\xff\x52")  # COD: marker, length 2, style 1, progression 1, layers 2, transform 1
    assert data[style + 8] == (channels == 3)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.features, "check", lambda name: False)
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    codecs, missing = image_codecs(FEW, 1)
    assert [each.name for each in codecs] == ["JPEG"]
    assert [each.partition(":")[0] for each in missing] == ["WebP", "AVIF", "JPEG XL", "JPEG 2000"]


def test_the_nearest_file_of_a_size() -> None:
    (codec,) = image_codecs({"jpeg": [50]}, 1)[0]
    pixels = photos(1, 1)[0]
    sizes = [len(codec.encode(pixels, quality)) for quality in range(1, 101)]
    wanted = (min(sizes) + max(sizes)) // 2
    assert abs(len(nearest_file(codec, pixels, wanted)) - wanted) == min(abs(each - wanted) for each in sizes)
    assert len(nearest_file(codec, pixels, 0)) == min(sizes)


def test_points_pool_over_pixels() -> None:
    measures = [
        {"bytes": 10, "pixels": 100, "mse": 0.01, "ms_ssim": 0.9},
        {"bytes": 50, "pixels": 300, "mse": 0.0, "ms_ssim": 1.0},
    ]
    found = point(measures)
    assert found["bits_per_pixel"] == pytest.approx(480 / 400)
    assert found["psnr_db"] == pytest.approx(-10 * math.log10(0.0025))
    assert found["psnr_item_mean_db"] == pytest.approx((20 + 100) / 2)
    assert found["ms_ssim_db"] == pytest.approx((10 + 100) / 2)


def test_a_damaged_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"key": "a", "measure": {}}\nnot json\n')
    with pytest.raises(DataError, match="line 2: damaged"):
        MeasureLog(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jpeg": [0]}, "jpeg=0: give 1 to 100"),
        ({"avif": [101]}, "avif=101: give 0 to 100"),
        ({"rate_weights": [-1.0]}, "rate_weights=-1: give 0 or more"),
        ({"codebooks": [4]}, "codebooks=4: this model has 3"),
        ({"images": 0}, "images=0"),
        ({"low_rate": 0.0}, "low_rate=0.0: give bits per pixel"),
        ({"speed": 3}, "takes no speed"),
    ],
)
def test_what_cannot_be_studied(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        rate_distortion(ArraySource(photos(), name="x"), tiny(), tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_other_signals_are_refused(tmp_path: Path) -> None:
    grey: Source = ArraySource(photos(3, 1), name="grey")
    with pytest.raises(DataError, match="channels=1, and the model reads channels=3"):
        rate_distortion(grey, tiny(), tmp_path / "s")
    sound = tiny(axes=1, channels=1)
    with pytest.raises(DataError, match="the model reads signals of 1 axis"):
        rate_distortion(grey, sound, tmp_path / "s")
    vectors = ArraySource(np.zeros((3, 4), dtype=np.float32), name="v")
    with pytest.raises(DataError, match="needs images"):
        rate_distortion(vectors, tiny(), tmp_path / "s")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        rate_distortion(tmp_path / "empty", tiny(), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_another_study_is_refused(whole: RateDistortionStudy, run_folder: Path, tmp_path: Path) -> None:
    source = load_source(run_folder / "photos")
    with pytest.raises(ConfigError, match="model: other contents; prior: other contents"):
        rate_distortion(source, tiny(downsampling=2), whole.path)
    with pytest.raises(ConfigError, match="prior: other contents"):
        rate_distortion(source, run_folder / "model", whole.path, prior="none")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not a study of rate and distortion"):
        rate_distortion(source, run_folder / "model", tmp_path)


def test_the_report_needs_its_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'curves' is missing"):
        write_report({"data": {}}, tmp_path, tmp_path / "report.html")


@pytest.mark.parametrize("text", ["1,x", "", "3-"])
def test_numbers_on_the_command_line(run_folder: Path, tmp_path: Path, text: str) -> None:
    arguments = ["study", "rate-distortion", str(run_folder / "photos"), "--model", str(run_folder / "model")]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "s"), "--codebooks", text])
    assert isinstance(done.exception, ConfigError)


def _failing(*arguments: Any, **named: Any) -> Any:
    raise RuntimeError("measured again")
