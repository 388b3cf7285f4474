"""Series: windows of columns and of arrays, said in the name of data or by options."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.data.grids.choosing import SeriesChoice, series_chosen
from vqkit.data.grids.loading import open_grid, write_like
from vqkit.data.grids.tables import write_table
from vqkit.data.naming import recorded_name
from vqkit.data.views.windows import Windows
from vqkit.errors import ConfigError, DataError
from vqkit.signals import kind_assumed
from vqkit.tokens import load_tokens
from vqkit.training import TrainConfig
from vqkit.training.inputs.holdout import validation_split

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")
SMALL = ["--hidden-channels", "8", "-k", "8", "--steps", "2", "--no-tensorboard"]


@given(length=st.integers(1, 60), window=st.integers(1, 20), hop=st.integers(1, 25), items=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_windows_are_those_of_a_loop(length: int, window: int, hop: int, items: int) -> None:
    values = np.random.default_rng(0).normal(size=(items, 2, length)).astype(np.float32)
    source = vqkit.load_source(values, kind="field@NCT")
    expected = [item[:, at : at + window] for item in values for at in range(0, length - window + 1, hop)]
    if not expected:
        with pytest.raises(DataError, match="longer than every series"):
            Windows(source, window, hop)
        return
    found = Windows(source, window, hop)
    assert len(found) == len(expected)
    for number, one in enumerate(expected):
        np.testing.assert_array_equal(found.read(number), one)
    assert len({found.item_name(number) for number in range(len(found))}) == len(found)
    if found.overlaps < len(found) // 2:
        training, held_out = validation_split(found, TrainConfig(steps=1, validation=0.25))
        assert len(held_out) == max(1, round(0.25 * len(found)))
        if found.overlaps:  # no value is in both
            one, other = (np.unique(part.gather(range(len(part)))) for part in (training, held_out))
            assert items > 1 or not np.intersect1d(one, other).size


def _table(folder: Path) -> Path:
    file = folder / "log.csv"
    rows = [f"{np.sin(n / 5):.4f},{n},{'ab'[n > 150]}" for n in range(300)]
    file.write_text("x,y,who\n" + "\n".join(rows) + "\n")
    return file


def test_options_say_what_names_say(tmp_path: Path) -> None:
    file = _table(tmp_path)
    named = vqkit.load_source(f"{file}:x@window=32,hop=16,group=who")
    with kind_assumed("field"), series_chosen(SeriesChoice(columns="x", window=32, hop=16, group="who")):
        said = vqkit.load_source(file)
        half = vqkit.load_source(f"{file}:x@window=32")
        with pytest.raises(ConfigError, match="says window 64 itself; say it once"):
            vqkit.load_source(f"{file}@window=64")
    for other in (said, half):
        assert other.spec is not None
        assert len(other) == len(named)
        np.testing.assert_array_equal(other.gather(range(len(other))), named.gather(range(len(named))))
        again = vqkit.load_source(other.spec)  # what a run records says it too
        assert len(again) == len(named)
    np.save(tmp_path / "a.npy", np.arange(500, dtype=np.int16))
    with kind_assumed("field"), series_chosen(SeriesChoice(window=100)):
        source = vqkit.load_source(tmp_path / "a.npy")
        assert source.spec is not None
    assert (len(source), source.size, len(vqkit.load_source(source.spec))) == (5, (100,), 5)
    with series_chosen(SeriesChoice(columns="x")), pytest.raises(ConfigError, match="of tables"):
        vqkit.load_source(tmp_path / "a.npy")
    with kind_assumed("sound"), series_chosen(SeriesChoice(hop=2)), pytest.raises(ConfigError, match="of series"):
        vqkit.load_source(tmp_path / "a.npy")
    with pytest.raises(ConfigError, match="window=x is no number"):
        vqkit.load_source(f"{tmp_path / 'a.npy'}@window=x")
    with pytest.raises(DataError, match="no column 'z'"):
        vqkit.load_source(f"{file}:z@window=3")


@pytest.mark.parametrize("name", ["log.csv", "log.parquet", "log.npy"])
def test_a_user_of_series_goes_all_the_way(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _table(tmp_path)
    told = ["--window", "32", "--hop", "16"]
    if name == "log.npy":
        np.save(name, np.sin(np.arange(300) / 5))
    else:
        told += ["--columns", "x", "--group", "who"]
    if name == "log.parquet":
        import pyarrow.csv
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.csv.read_csv("log.csv"), name)
    run = CliRunner().invoke
    commands = [
        ["train", name, *told, *SMALL, "-o", "run"],
        ["eval", "run"],
        ["eval", "run", name, *told],
        ["encode", "run", name, *told, "-o", "tokens"],
        ["compress", name, *told, "--model", "run", "-o", "a.vqk"],
        ["score", "run", name, *told, "-o", "scores.csv"],
        ["train", "--resume", "run"],
    ]
    for command in commands:
        done = run(app, command)
        assert done.exit_code == 0, (command, done.output, done.exception)
    names = load_tokens("tokens").item_names()
    assert names is not None
    assert names[1] == ("row=00000016" if name == "log.npy" else "who=a,row=00000016")
    if name == "log.npy":
        done = run(app, ["eval", "run", name, "--group", "who"])
        assert "--group who: of tables" in str(done.exception)
    done = run(app, ["eval", "run", f"{name}@window=8", "--window", "32"])
    assert "says window 8 itself" in str(done.exception)
    done = run(app, ["eval", "run", "nowhere.csv", "--window", "32"])
    assert "does not exist" in str(done.exception)


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    window=st.integers(1, 5),
    hop=st.integers(1, 7),
    ending=st.sampled_from([".csv", ".tsv", ".parquet"]),
    whole=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_tables_written_like_others_have_the_same_windows(
    lengths: list[int], window: int, hop: int, ending: str, whole: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if max(lengths) < window:
        lengths = [*lengths, window]
    rng = np.random.default_rng(0)
    groups = [name for name, length in zip("abcd", lengths, strict=False) for _ in range(length)]
    numbers = rng.integers(-99, 99, (2, len(groups)))
    values = numbers if whole else np.where(rng.random(numbers.shape) < 0.2, np.nan, numbers / 8)
    path = tmp_path_factory.mktemp("series") / f"a{ending}"
    kind = pyarrow.int64() if whole else pyarrow.float64()
    columns = {"who": (groups, pyarrow.string()), "x": (values[0] * 1.0, kind), "y": (values[1] * 1.0, kind)}
    write_table(columns, path)
    how = f"@window={window},hop={hop},group=who"
    opened = open_grid(f"{path}:y,x{how}")
    assert opened is not None
    found = np.concatenate(list(opened.blocks()))
    out = path.with_name(f"back{ending}")
    write_like(f"{path}:y,x{how}", found.astype(np.float64), out)
    again = open_grid(f"{out}:y,x{how}")
    assert again is not None
    back = np.concatenate(list(again.blocks()))
    assert again.item_names == opened.item_names
    np.testing.assert_array_equal(back, found)
    if hop <= window:
        assert back.dtype == found.dtype


def test_a_hop_beyond_a_block_of_rows_skips_what_lies_between(tmp_path: Path) -> None:
    count, hop = 200_000, 70_001
    pyarrow.parquet.write_table(pyarrow.table({"x": np.arange(count, dtype=np.int32)}), tmp_path / "a.parquet")
    source = vqkit.load_source(f"{tmp_path / 'a.parquet'}:x@window=4,hop={hop}")
    assert [int(source.read(number)[0, 0]) for number in range(len(source))] == [0, hop, 2 * hop]


def test_folders_with_an_at_sign_are_folders(tmp_path: Path) -> None:
    folder = tmp_path / "me@home"
    (tmp_path / "me").mkdir()  # the part before the sign is there, too
    folder.mkdir()
    table = _table(folder)
    names = [f"{table}@window=4", f"{table}:x@window=4", str(table)]
    assert [recorded_name(name) for name in names[:2]] == [
        f"{table.resolve()}{name[len(str(table)) :]}" for name in names[:2]
    ]
    with series_chosen(SeriesChoice(window=4)), kind_assumed(vqkit.signals.signal_kind("field")):
        lengths = [len(vqkit.load_source(name)) for name in (*names, f"{table}:x")]
    assert len(set(lengths)) == 1
    scan = folder / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), scan)
    assert recorded_name(str(scan)) == str(scan.resolve())
    assert recorded_name(f"{scan}@slices") == f"{scan.resolve()}@slices"


@pytest.mark.parametrize("more", [":x,x@window=4", ":x,y@window=4,group=y"])
def test_a_column_named_twice_is_refused(more: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="named twice"):
        vqkit.load_source(f"{_table(tmp_path)}{more}")


def test_options_of_series_are_not_dropped_for_an_address() -> None:
    with series_chosen(SeriesChoice(window=4)), pytest.raises(ConfigError, match=r"window=4.*fetch https://"):
        vqkit.load_source("https://example.org/log.npy", kind="field")


def test_windows_in_other_channels_overlap_as_before() -> None:
    windows = Windows(vqkit.load_source(np.zeros((1, 1, 64), np.float32), kind="field@NCT"), 8, 2)
    assert windows.with_channels(1).overlaps == windows.overlaps == 3
