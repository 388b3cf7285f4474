"""``vqkit score``: three formats that say the same, maps, what a run keeps, and what leaves nothing behind."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

import vqkit
from tests.cli.cases import photos, refused
from tests.results.cases import check
from vqkit.evaluation.scoring.held_out import KEPT
from vqkit.evaluation.scoring.maps import picture_of
from vqkit.evaluation.scoring.tables import SCORES, blocks_of, write_table
from vqkit.models import ItemMaps, Scores
from vqkit.priors import HistogramPrior
from vqkit.signals import SIGNALS


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose held-out items are 8 of 40, with a histogram of its indices."""
    np.save(tmp_path / "data.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8))
    data = vqkit.load_source(str(tmp_path / "data.npy"))
    model = vqkit.VQVAE.for_source(data, 8, hidden_channels=8, downsampling=2, seed=0)
    found = vqkit.train(model, str(tmp_path / "data.npy"), out=tmp_path / "run", validation="last:8", steps=2,
                        quiet=True, tensorboard=False)  # fmt: skip
    indices = found.model().encode(data[:32])
    HistogramPrior.of(indices, 8).save_pretrained(tmp_path / "run" / "prior" / "histogram")
    return tmp_path / "run"


def test_three_formats_say_what_python_says(run: Path, vq: Any) -> None:
    for name in ("s.csv", "s.json", "s.parquet"):
        assert vq("score", "run", "data.npy", "--out", name, "--batch-size", 7).status == 0
    document = json.loads(Path("s.json").read_text())
    check("scores", document)
    check("held-out-scores", json.loads((run / KEPT).read_text()))
    rows = document["rows"]
    assert [row["item"] for row in rows] == list(range(40))
    assert document["usual_items"] == 8
    model = vqkit.load_model(run)
    model.use_prior(vqkit.load_prior(run / "prior" / "histogram"))
    source = vqkit.load_source("data.npy")
    scores = model.score(source, against=source.subset(range(32, 40)))
    assert list(rows[0]) == ["item", *scores.columns()]
    for name, values in scores.columns().items():
        assert [row[name] for row in rows] == values.tolist(), name
    table = pyarrow.parquet.read_table("s.parquet")
    assert table.to_pylist() == rows
    assert json.loads(table.schema.metadata[b"vqkit"])["model_sha256"] == document["model_sha256"]
    with Path("s.csv").open() as file:
        assert [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)] == rows
    for name in ("s.csv", "s.json", "s.parquet"):  # its own are replaced
        assert SCORES.owns(Path(name).read_bytes())
        assert vq("score", "run", "data.npy", "--out", name, "--top", 0).status == 0


def test_the_held_out_items_have_evenly_spread_percentiles_and_their_bits_are_those_of_eval(run: Path, vq: Any) -> None:
    assert vq("score", "run", "--out", "s.json").status == 0
    rows = json.loads(Path("s.json").read_text())["rows"]
    assert sorted(row["mse_percentile"] for row in rows) == pytest.approx([100 * (k + 0.5) / 8 for k in range(8)])
    assert vq("eval", "run", "--prior", run / "prior" / "histogram", "--json", "e.json").status == 0
    judged = json.loads(Path("e.json").read_text())
    assert sum(row["bits"] for row in rows) == pytest.approx(judged["rate"]["prior_bits"], rel=1e-9)
    assert sum(row["mse"] for row in rows) / 8 == pytest.approx(judged["mse"], rel=1e-6)


def test_what_a_run_keeps_is_used_without_the_data_until_model_or_prior_change(run: Path, vq: Any) -> None:
    assert vq("score", "run", "data.npy", "--out", "a.json").status == 0
    Path("data.npy").rename("moved.npy")
    assert vq("score", "run", "moved.npy", "--out", "b.json").status == 0
    a, b = (json.loads(Path(name).read_text())["rows"] for name in ("a.json", "b.json"))
    assert a == b
    kept = (run / KEPT).read_bytes()
    other = vq("score", "run", "moved.npy", "--prior", "none", "--out", "c.json")
    assert "no percentiles" in other.err
    assert "bits" not in json.loads(Path("c.json").read_text())["rows"][0]
    (run / KEPT).write_bytes(kept[: len(kept) // 2])  # damaged: computed anew, where the data are there
    Path("moved.npy").rename("data.npy")
    assert vq("score", "run", "data.npy", "--out", "d.json").status == 0
    assert json.loads(Path("d.json").read_text())["rows"] == a
    assert (run / KEPT).read_bytes() == kept


def test_maps_say_where(run: Path, vq: Any) -> None:
    done = vq("score", "run", "data.npy", "--maps", "maps", "--out", "s.json", "--top", 2, "--by", "bits")
    assert done.status == 0
    assert "the 2 of 40 items with the highest bits" in done.out
    rows = json.loads(Path("s.json").read_text())["rows"]
    assert len(list(Path("maps").iterdir())) == 4 * 40
    for number in (0, 39):
        error, bits, distance = (
            np.load(f"maps/{number:05d}_{what}.npy", allow_pickle=False) for what in ("error", "bits", "distance")
        )
        assert error.shape == (1, 8, 8)
        assert bits.shape == distance.shape == (4, 4)
        assert float(error.mean()) == pytest.approx(rows[number]["mse"], rel=1e-5)
        assert float(bits.sum()) == pytest.approx(rows[number]["bits"], rel=1e-5)
        assert float(distance.max()) == pytest.approx(rows[number]["distance_max"], rel=1e-5)
    with Image.open("maps/00000.png") as picture:
        assert picture.width > 4 * 128
    refused(vq("score", "run", "data.npy", "--maps", "maps"), "not empty")


@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_every_kind_of_signal_has_a_picture_of_its_maps_or_none(name: str) -> None:
    kind = SIGNALS.get_part(name)()
    item = kind.example(1, np.random.default_rng(0))[0]
    grid = tuple(-(-side // 4) for side in item.shape[1:])
    maps = ItemMaps(error=np.random.default_rng(0).random(item.shape), bits=np.ones(grid), distance=np.zeros(grid))
    picture = picture_of(item, maps, kind)
    assert (picture is None) == (item.ndim == 1)


def test_a_model_without_a_run_and_data_with_names(vq: Any, tmp_path: Path) -> None:
    vqkit.VQVAE(16, hidden_channels=8, downsampling=2).save_pretrained("model")
    photos(tmp_path / "photos")
    done = vq("score", "model", "photos", "--out", "s.csv")
    assert done.status == 0
    assert "no percentiles" in done.err
    assert not Path("model", KEPT).exists()
    assert vq("score", "model", "photos", "--against", "photos", "--out", "s.csv").status == 0
    with Path("s.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"{number}.png" for number in range(4)]
    assert sorted(float(row["mse_percentile"]) for row in rows) == [12.5, 37.5, 62.5, 87.5]


def test_what_is_wrong_is_said_in_a_line_and_leaves_nothing(run: Path, vq: Any, tmp_path: Path) -> None:
    bad = np.random.default_rng(0).random((40, 8, 8)).astype(np.float32)
    bad[33, 2, 2] = math.nan
    np.save("nan.npy", bad)
    np.save("empty.npy", np.zeros((0, 8, 8), np.uint8))
    np.save("color.npy", np.zeros((3, 8, 8, 3), np.float32))
    Path("cut.npy").write_bytes(Path("data.npy").read_bytes()[:500])
    before = sorted(tmp_path.iterdir())
    out = ("--out", "s.parquet", "--maps", "maps")
    refused(vq("score", "run", "nothing.npy", *out), "nothing.npy")
    refused(vq("score", "run", "nan.npy", *out), "item 33")
    refused(vq("score", "run", "empty.npy", *out), "empty.npy")
    refused(vq("score", "run", "cut.npy", *out), "cut.npy")
    refused(vq("score", "run", "data.npy", "--out", "s.xlsx"), ".csv, .json, .parquet")
    refused(vq("score", "run", "data.npy", "--by", "beauty", *out), "--by beauty", "mse")
    refused(vq("score", "run", "data.npy", "--prior", "data.npy", *out), "data.npy")
    refused(vq("score", "run", "data.npy", "--against", "nan.npy", *out), "item 33")
    refused(vq("score", "run", "data.npy", "--out", "data.npy"), "end its name in")
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    refused(vq("score", "run", "data.npy", "--out", "mine.csv"), "mine.csv", "--force")
    (tmp_path / "mine.csv").unlink()
    assert sorted(tmp_path.iterdir()) == before


def test_an_interruption_leaves_the_table_before_and_no_maps(
    run: Path, vq: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vq("score", "run", "data.npy", "--out", "s.parquet").status == 0
    before, there = Path("s.parquet").read_bytes(), sorted(tmp_path.iterdir())
    from vqkit.evaluation.scoring import maps

    own, calls = maps.write_maps, []

    def interrupted(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 20:
            raise KeyboardInterrupt
        own(*arguments)

    monkeypatch.setattr(maps, "write_maps", interrupted)
    assert vq("score", "run", "data.npy", "--out", "s.parquet", "--maps", "maps").status == 130
    assert len(calls) == 20
    assert Path("s.parquet").read_bytes() == before
    assert sorted(tmp_path.iterdir()) == there


def test_parquet_of_many_rows_has_all_of_them_in_order(tmp_path: Path) -> None:
    blocks = ({"item": list(range(k, k + 700)), "mse": [None if k == 0 else 0.5] * 700} for k in range(0, 35_000, 700))
    write_table(tmp_path / "s.parquet", blocks, {})
    table = pyarrow.parquet.read_table(tmp_path / "s.parquet")
    assert table["item"].to_pylist() == list(range(35_000))
    assert table["mse"].null_count == 700
    assert pyarrow.parquet.ParquetFile(tmp_path / "s.parquet").metadata.num_row_groups == 3


def test_what_is_not_known_or_infinite_is_no_number_in_any_format(tmp_path: Path) -> None:
    source = vqkit.load_source(np.zeros((2, 8, 8), np.uint8))
    scores = Scores(mse=np.array([0.0, 0.25]), channel_mse=np.array([[0.0], [0.25]]), peak=1.0,
                    bits=np.array([math.nan, 3.0]))  # fmt: skip
    for suffix in (".csv", ".json", ".parquet"):
        write_table(tmp_path / f"s{suffix}", blocks_of(source, [(np.arange(2), scores)]), {})
    row = {"item": 0, "mse": 0.0, "psnr_db": None, "bits": None}
    assert (tmp_path / "s.csv").read_text().splitlines()[:2] == ["item,mse,psnr_db,bits", "0,0.0,,"]
    assert json.loads((tmp_path / "s.json").read_text())["rows"][0] == row
    assert pyarrow.parquet.read_table(tmp_path / "s.parquet").to_pylist()[0] == row


def test_gaps_are_in_no_score_and_units_do_not_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vq: Any) -> None:
    monkeypatch.chdir(tmp_path)
    fields = np.random.default_rng(0).normal(size=(12, 2, 16, 16)).astype(np.float32)
    fields[:, 1] *= 1000
    np.save("usual.npy", fields)
    source = vqkit.load_source(fields, kind="field@NCHW")
    model = vqkit.VQVAE.for_source(source, 8, hidden_channels=8, downsampling=4, seed=0).eval()
    whole = model.score(source)
    deviation = model.signal_std.flatten().double().numpy()
    np.testing.assert_allclose(whole.nmse, (whole.channel_mse / deviation**2).mean(axis=1), rtol=1e-6)

    fields[3, 0, :5] = np.nan
    fields[4] = np.nan
    scores = model.score(vqkit.load_source(fields, kind="field@NCHW"), maps=True)
    made = model.decode(model.encode(model.read_signals(fields[3:4])), (16, 16)).numpy()
    expected = np.nanmean((fields[3].astype(np.float64) - made[0]) ** 2, axis=(1, 2))
    np.testing.assert_allclose(scores.channel_mse[3], expected, rtol=1e-4)
    assert np.isnan(scores.mse[4])
    assert np.isfinite(np.delete(scores.mse, 4)).all()
    assert np.isnan(scores.maps[3].error).sum() == 5 * 16
    np.testing.assert_allclose(scores.mse[5:], whole.mse[5:], rtol=1e-5)

    model.save_pretrained("model")
    np.save("gaps.npy", fields)
    outcome = vq("score", "model", "gaps.npy", "--kind", "field", "--layout", "NCHW", "--out", "scores.json")
    assert outcome.status == 0, outcome.err
    assert "highest nmse" in outcome.out
    assert "nan" not in outcome.out.split("mean of")[1]
