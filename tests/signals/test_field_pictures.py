"""Pictures of fields: what their colors and heights stand for, gaps, chosen bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.cli.output.terminal import _field_rows
from vqkit.errors import ConfigError
from vqkit.signals import Field, signal_kind
from vqkit.signals.fields.colors import GAP, TABLES, color_bar, colored, known_ends
from vqkit.signals.fields.drawing import Scale, draw_channel, draw_curve, slices


@pytest.mark.parametrize("table", TABLES)
def test_colors_go_from_the_first_to_the_last_of_a_table(table: str) -> None:
    picture = colored(np.array([[-9.0, 2.0, 7.0, 99.0, np.nan]]), 2.0, 7.0, table)
    stops = TABLES[table].astype(np.uint8).tolist()
    assert picture[0].tolist() == [stops[0], stops[0], stops[-1], stops[-1], list(GAP)]
    assert list(GAP) not in stops
    assert color_bar("x", 0, 1, table).getpixel((0, 20)) == tuple(stops[0])


def test_ends_are_of_known_values() -> None:
    assert known_ends([np.array([np.nan, 0.0, 10.0])], (0, 100)) == (0.0, 10.0)
    assert known_ends([np.array([np.nan])]) == (0.0, 1.0)
    assert known_ends([np.full(9, 4.0)]) == (3.5, 4.5)


def test_a_curve_misses_no_peak_and_breaks_at_gaps() -> None:
    values = np.zeros(100_000)
    values[51_234] = 8.0
    rows = np.asarray(draw_curve(values, 0.0, 8.0).convert("L"))
    top = int(np.flatnonzero((rows[:, 60:] < 100).any(axis=1))[0])
    assert top <= 14  # the tenth above is margin
    values[:50_000] = np.nan
    blank = np.asarray(draw_curve(values, 0.0, 8.0).convert("L"))[20:100, :250]
    assert (blank == 255).all()


def test_a_volume_is_its_three_middle_slices() -> None:
    volume = np.arange(4 * 6 * 8.0).reshape(4, 6, 8)
    found = slices(volume)
    np.testing.assert_array_equal(found[1], volume[:, 3])
    picture = draw_channel(volume, Scale.of([volume], 3))
    assert picture.size == (8 + 8 + 6 + 8, 6)
    assert Field(3).show(volume[None]).size == picture.size


def test_chosen_bands_are_red_green_and_blue() -> None:
    item = np.zeros((5, 1, 8, 8), np.float32)[:, 0]
    item[3, :, 4:] = 10.0  # channel 4: red, on the right
    item[1, 4:] = 3.0  # channel 2: blue, below
    picture = np.asarray(signal_kind("field@NCHW,rgb=4-3-2").show(item))
    assert picture[0, 7].tolist() == [255, picture[0, 7, 1], 0]
    assert picture[7, 0, 2] == 255
    assert picture[7, 0, 0] == 0
    assert signal_kind("field@rgb=4-3-2").name == "field@rgb=4-3-2"
    assert Field(2, rgb=[9, 1, 2]).show(item).size == (8, 8)  # as if none was said: there is no channel 9
    for wrong in ([1, 2], [0, 1, 2], [1.5]):
        with pytest.raises(ConfigError, match="counted from 1"):
            Field(2, rgb=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("rgb", [None, (3, 2, 1), (2,)])
def test_sheets_of_all_axes_show_the_error_too(axes: int, rgb: tuple[int, ...] | None) -> None:
    rng = np.random.default_rng(0)
    items = [rng.normal(size=(4, *(12,) * axes)) for _ in range(3)]
    items[0][:, :3] = np.nan
    kind = Field(axes, rgb=rgb)
    one = kind.sheet([("original", items)])
    two = kind.sheet([("original", items), ("reconstruction", [np.nan_to_num(item) for item in items])])
    assert two.height > 1.5 * one.height
    gaps = Field(axes).sheet([("original", [np.full((1, *(12,) * axes), np.nan)] * 2)])
    assert gaps.width > 40


def test_runs_of_fields_draw_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(1).normal(size=(6, 12, 12, 5)).astype(np.float32)
    values[:, :2] = np.nan
    np.save("bands.npy", values)
    run = CliRunner().invoke
    small = ["--hidden-channels", "8", "-k", "16", "--steps", "2", "--no-tensorboard"]
    told = ["--kind", "field", "--layout", "NHWC", "--rgb", "4,3,2"]
    done = run(app, ["train", "bands.npy", *told, *small, "-o", "run"])
    assert done.exit_code == 0, done.output
    pictures = sorted(Path("run/pictures").glob("*.png"))
    assert pictures
    assert Image.open(pictures[-1]).mode == "RGB"
    assert vqkit.load_model("run").kind.name.endswith("rgb=4-3-2")  # what is drawn of it later is drawn so
    for command in (["reconstruct", "run", "bands.npy", "-o", "sheet.png"], ["eval", "run", "--preview", "e.png"]):
        done = run(app, command)
        assert done.exit_code == 0, done.output
    assert run(app, ["encode", "run", "bands.npy", "-o", "tokens"]).exit_code == 0
    done = run(app, ["decode", "run", "tokens", "-o", "back", "--preview", "back.png", "--rgb", "1,2,5"])
    assert done.exit_code == 0, done.output
    assert all(Image.open(name).width > 100 for name in ("sheet.png", "e.png", "back.png"))
    done = run(app, ["train", "bands.npy", "--kind", "field", "--rgb", "red", *small])
    assert "--rgb red: give three channels, counted from 1" in str(done.exception)
    done = run(app, ["train", "bands.npy", "--layout", "NHWC", "--rgb", "4,3,12", *small])
    assert "has 5 channels, and the bands 4,3,12 were said" in str(done.exception)
    assert torch.isfinite(vqkit.load_model("run").encode(values.transpose(0, 3, 1, 2)).float()).all()


def test_channels_are_called_as_the_data_call_them() -> None:
    channel = {"nmse": 0.1, "psnr_db": None, "rmse": 1.0, "max_error": 2.0, "mean": 0.0, "std": 1.0}
    rows = list(_field_rows({"channels": [{**channel, "name": "u"}, channel]}))
    assert [name for name, _ in rows] == ["u", "channel 2"]  # as --rgb counts
    kind = Field(2)
    kind.labels = ("u (m/s)",)
    assert kind.with_(nodata=3).labels == kind.labels
    assert kind.of_axes(2).labels == kind.labels
