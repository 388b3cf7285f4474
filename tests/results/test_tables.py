"""Tables: what is a row, means and deviations, digits, and text that stays what it is in every format."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vqkit
from tests.results.cases import evaluation, seeds, write_run
from vqkit.errors import ConfigError, DataError
from vqkit.results import ResultTable, Spread, TableColumn, load_results
from vqkit.results.seeds import grouped
from vqkit.results.tables.table import _LATEX, is_table, latex_text

PSNR = TableColumn("psnr_db", "PSNR", "dB", "high", digits=2)
NAMES = st.text(st.sampled_from([*"ab1 ", *_LATEX, *"`*[]()\n\r\t,;", "é", "\u2028", "\0", "\x1b"]), max_size=20)


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_seeds_are_one_row_of_mean_and_deviation(tmp_path: Path) -> None:
    table = vqkit.result_table([*seeds(tmp_path), write_run(tmp_path / "fsq", model={"quantizer": "fsq"})])
    first, second = read_csv(table.csv())
    values = np.array([13.0, 14.0, 15.0])
    assert float(first["psnr_db"]) == values.mean()
    assert float(first["psnr_db_deviation"]) == pytest.approx(values.std(ddof=1), abs=1e-12)
    assert (first["quantizer"], first["seeds"]) == ("EMA", "3")
    assert (second["quantizer"], second["psnr_db"], second["psnr_db_deviation"], second["seeds"]) == (
        *("FSQ", "13", "", "1"),
    )
    assert "14.00 ± 1.00" in table.markdown()
    assert r"14.00 $\pm$ 1.00" in table.latex()


def test_what_follows_from_the_recipe_has_no_deviation(tmp_path: Path) -> None:
    row = read_csv(vqkit.result_table(seeds(tmp_path)).csv())[0]
    assert row["nominal_bits"] == "16"  # of an item
    assert "nominal_bits_deviation" not in row
    assert row["usage_deviation"] == "0"  # measured: it happened to agree


@pytest.mark.parametrize("other", [{"learning_rate": 2e-3}, {"data": "builtin:photos"}, {"model": {"code_dim": 8}}])
def test_runs_that_differ_in_more_are_rows_of_their_own(tmp_path: Path, other: dict[str, object]) -> None:
    paths = [write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1, **other)]  # type: ignore[arg-type]
    rows = vqkit.result_table(paths).rows
    assert len(rows) == 2
    assert rows[0][:4] != rows[1][:4] or rows[0][4] != rows[1][4], "a reader sees which is which"


def test_the_machine_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / "a", device="cpu"), write_run(tmp_path / "b", seed=1, device="cuda", threads=4)]
    assert len(vqkit.result_table(paths).rows) == 1


def test_the_same_seed_twice_is_no_second_sample(tmp_path: Path) -> None:
    results = load_results([write_run(tmp_path / "a"), write_run(tmp_path / "b"), write_run(tmp_path / "c", seed=1)])
    assert [len(group.results) for group in grouped(results)] == [2, 1]


def test_measures_that_only_some_seeds_have_are_left_out(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1, final=evaluation(9.0, stoi=0.5))]
    assert "stoi" not in grouped(load_results(paths))[0].measures


def test_a_folder_of_runs_is_all_of_them_but_those_that_go_on(tmp_path: Path) -> None:
    seeds(tmp_path)
    write_run(tmp_path / "later", seed=7, finished=False)
    said: list[str] = []
    assert len(load_results(tmp_path, say=said.append)) == 3
    assert said == [f"{tmp_path / 'later'}: left out, it has not finished"]
    with pytest.raises(DataError, match=r"not finished.*resume"):
        load_results(tmp_path / "later")


def test_an_evaluation_file_is_a_row_like_its_run(tmp_path: Path) -> None:
    for seed in (0, 1):
        told = {"name": f"ema{seed}", "model": {"model_type": "vqvae", "codebook_size": 16, "quantizer": "ema"}}
        run = {"fingerprint": "f", "training": {"seed": seed, "device": "cpu" if seed else "auto"}, "data": "x"}
        document = {"written_by": "vqkit eval", **evaluation(12.0 + seed), **told, "run": run}
        document["data"] = {"name": "/data/test", "description": "20 images"}
        (tmp_path / f"{seed}.json").write_text(json.dumps(document))
    row = read_csv(vqkit.result_table([tmp_path / "0.json", tmp_path / "1.json"]).csv())[0]
    assert (row["model"], row["data"], row["seeds"], row["psnr_db"]) == ("VQ-VAE", "test", "2", "12.5")


def test_evaluations_of_older_versions_are_rows_of_their_own(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.json").write_text(json.dumps({"written_by": "vqkit eval", **evaluation(12.0)}))
    rows = read_csv(vqkit.result_table([tmp_path / "a.json", tmp_path / "b.json"]).csv())
    assert [row["name"] for row in rows] == ["a", "b"]


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a")
    table = vqkit.result_table(run, columns=["name", "psnr_db", "learning_rate", "items"])
    assert table.csv() == "name,psnr_db,learning_rate,items\na,13,0.001,20\n"
    with pytest.raises(ConfigError, match=r"'psnr'.*did you mean 'psnr_db'"):
        vqkit.result_table(run, columns=["psnr"])


def test_measures_of_ones_own_are_shown(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", model={"model_type": "line"}, final={"items": 5, "slope_error": 0.25})
    assert read_csv(vqkit.result_table(run).csv())[0] == {
        "model": "line",
        "quantizer": "EMA",
        "codebook": "16",
        "data": "digits",
        "slope_error": "0.25",
    }


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([Spread(24.611, 0.004, 3), Spread(9.0)], ["24.611 ± 0.004", "9.000"]),  # a digit of the deviation
        ([Spread(24.611, 0.5, 3)], ["24.61 ± 0.50"]),
        ([Spread(-3.14159)], ["\N{MINUS SIGN}3.14"]),
        ([Spread(0.0, 0.0, 2)], ["0.00 ± 0.00"]),
        ([Spread(123456.0)], ["123,456.00"]),
        ([None], ["-"]),
    ],
)
def test_digits(values: list[Spread | None], shown: list[str]) -> None:
    from vqkit.results.tables.columns import _column

    table = ResultTable((_column("psnr_db", values),), tuple((value,) for value in values))
    assert [line.strip("| ") for line in table.markdown().splitlines()[2:]] == shown


def test_the_best_stands_out_where_there_is_one() -> None:
    rows = ((Spread(9.0),), (Spread(24.611),), (Spread(24.612),), (None,))
    table = ResultTable((PSNR,), rows, best=True)
    assert re.findall(r"\\textbf\{(.*?)\}", table.latex()) == ["24.61", "24.61"]  # they look the same
    assert "**" not in ResultTable((PSNR,), rows[1:3], best=True).markdown()


@given(NAMES)
def test_latex_prints_text_to_the_letter(text: str) -> None:
    written = latex_text(text)
    back = {escaped: letter for letter, escaped in _LATEX.items()}
    parts = re.split("(" + "|".join(re.escape(each) for each in sorted(back, key=len, reverse=True)) + ")", written)
    shown = "".join(back.get(part, part) for part in parts)
    assert shown == "".join(letter if letter.isprintable() else " " for letter in text)
    plain = "".join(part for part in parts if part not in back)
    assert not set(plain) & set(_LATEX)


@given(NAMES, NAMES)
def test_every_format_keeps_its_shape_whatever_the_names(first: str, second: str) -> None:
    table = ResultTable((TableColumn("name", "Name"), PSNR), ((first, Spread(1.0)), (second, None)))
    names = [row[0] for row in csv.reader(io.StringIO(table.csv(), newline=""))]
    assert names == ["name", *(re.sub(r"[\n\r\t\u2028\0\x1b]", " ", name) for name in (first, second))]
    lines = table.markdown().splitlines()
    assert [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines] == [3, 3, 3, 3]
    rows = [line for line in table.latex().splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in rows] == [1, 1, 1]


def test_what_was_written_is_known_again(tmp_path: Path) -> None:
    table = vqkit.result_table(seeds(tmp_path / "runs"))
    for name in ("t.csv", "t.tex", "t.md"):
        table.save(tmp_path / name)
        assert is_table((tmp_path / name).read_bytes())
    assert not is_table(b"name,age\nAda,36\n")
    assert not is_table(b"% my thesis\n")
    with pytest.raises(ConfigError, match=r"t\.xls.*csv \(\.csv\)"):
        table.save(tmp_path / "t.xls")


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"rungs": 3}', '{"entries": [{}]}', '{"a": 1}', '{"curves": [1]}'])
def test_what_is_no_result_is_said_in_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=r"x\.json"):
        load_results(tmp_path / "x.json")
    with pytest.raises(DataError, match="nothing is there"):
        load_results(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"run\.json"):
        load_results(tmp_path / "empty")
