"""Published figures do not age: their recipes are those of the code, and their pages show what was measured."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
readme: Any = importlib.import_module("readme")
recipes: Any = importlib.import_module("recipes")
DOCUMENT = recipes.read_rows()


@pytest.mark.parametrize("name", list(DOCUMENT["recipes"]))
def test_the_recipe_of_a_published_row_is_that_of_the_code(name: str) -> None:
    recipe = DOCUMENT["recipes"][name]
    assert recipe["digest"] == recipes.digest(recipe["settings"]), f"{name}: the digest is not that of its settings"
    aged = recipes.changes(recipe["settings"], recipes.recipe_now(recipe))
    pages = sorted({row["page"] for row in DOCUMENT["rows"] if row["recipe"] == name})
    told = "\n  ".join(aged)
    assert not aged, (
        f"figures of {', '.join(pages)} were measured by other defaults than these:\n  {told}\nmeasure again "
        f"(python benchmarks/readme.py --only {name} --write), or give the command the old values; settings that were "
        "not there, and whose defaults are what was always done: python benchmarks/readme.py --adopt"
    )


@pytest.mark.parametrize("row", DOCUMENT["rows"], ids=lambda row: f"{row['recipe']}-{row['line']}-{row['shown']}")
def test_the_page_shows_what_was_measured(row: dict[str, Any]) -> None:
    text = (ROOT / row["page"]).read_text(encoding="utf-8")
    assert readme.line_of(text, row) is not None, f"{row['page']}: no line {row['line']!r} shows {row['shown']}"
    assert row["recipe"] in DOCUMENT["recipes"]
    assert readme.printed(row["value"], row["shown"]) == row["shown"]


def test_a_command_of_a_row_stands_in_its_page() -> None:
    def words(text: str) -> str:
        return " ".join(text.replace("\\\n", " ").split())

    for name, recipe in DOCUMENT["recipes"].items():
        pages = {row["page"] for row in DOCUMENT["rows"] if row["recipe"] == name}
        start = words(recipe["command"].split(" --quantizers ")[0])
        assert any(start in words((ROOT / page).read_text(encoding="utf-8")) for page in pages), f"{name}: {start}"


def test_another_default_is_named_with_its_old_value(monkeypatch: pytest.MonkeyPatch) -> None:
    from vqkit.models import VAE

    recipe = {"command": "", "uses": ["vqkit.models:VAE"]}
    before = recipes.recipe_now(recipe)
    monkeypatch.setitem(inspect.unwrap(VAE.__init__).__kwdefaults__ or {}, "beta", 0.5)
    assert recipes.changes(before, recipes.recipe_now(recipe)) == ["vqkit.models:VAE(beta) is 0.5, was 1.0"]


def test_a_default_that_a_model_is_made_with_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from vqkit.studies.codebooks.settings import CodebooksConfig

    command = "vqkit study codebooks digits --quantizers ema --sizes 8 --steps 3 -f 2 --hidden-channels 8"
    before = recipes.resolve(command, data={"shape": [1, 8, 8]})
    assert before["ema-k8: model.hidden_channels"] == 8
    assert before["ema-k8: training.steps"] == 3
    init = CodebooksConfig.__init__.__kwdefaults__
    monkeypatch.setitem(init, "batch_size", init["batch_size"] + 1)
    aged = recipes.changes(before, recipes.resolve(command, data={"shape": [1, 8, 8]}))
    assert aged == [f"ema-k8: training.batch_size is {init['batch_size']}, was {init['batch_size'] - 1}"]


def test_a_new_setting_is_adopted_and_a_changed_one_is_not() -> None:
    recipe = {"settings": {"a": 1, "b": 2}, "digest": ""}
    now = {"a": 1, "b": 3, "c": 64}
    assert readme.adopt(recipe, now) == ["c"]
    assert recipe == {"settings": {"a": 1, "b": 2, "c": 64}, "digest": recipes.digest({"a": 1, "b": 2, "c": 64})}
    assert recipes.changes(recipe["settings"], now) == ["b is 3, was 2"]


def test_a_command_that_resolves_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no training began"):
        recipes.resolve("vqkit train nowhere --steps -3", data={})


@pytest.mark.parametrize(
    ("shown", "value", "expected"),
    [
        ("24.76", 24.614, "24.61"), ("3,782 of 4,096", 12345.4, "12,345 of 4,096"), ("**-42.9 %**", -7.0, "**-7.0 %**"),
        ("100 % /", 99.6, "100 % /"), ("0", 0.4, "0"),
    ],
)  # fmt: skip
def test_a_new_figure_is_printed_as_the_old_one(shown: str, value: float, expected: str) -> None:
    assert readme.printed(value, shown) == expected
    assert readme.number_in(expected) == pytest.approx(value, abs=0.5)


def test_a_figure_is_put_into_its_cell_alone() -> None:
    text = "| 2.0 | 1.5 |\n\n| head |\n| a | 2.0 | 2.0 |\n"
    row = {"page": "x.md", "line": "| a |", "below": "head", "cell": 2, "shown": "2.0"}
    assert readme.put(text, row, "3.1") == "| 2.0 | 1.5 |\n\n| head |\n| a | 2.0 | 3.1 |\n"
    with pytest.raises(ValueError, match=r"x\.md: no line"):
        readme.put(text, {**row, "shown": "9"}, "3.1")


def test_a_row_is_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text("| a | 20.00 |\n")
    settings = {"x: y": 1}
    recipe = {"command": "vqkit info", "cheap": True, "settings": settings, "digest": recipes.digest(settings)}
    row = {"recipe": "mine", "page": "page.md", "line": "| a |", "shown": "20.00", "cell": 1, "value": 20.0,
           "file": "x.json", "path": ["entries", {"name": "b"}, "psnr_db"], "spread": None}  # fmt: skip
    other = {**row, "recipe": "dear"}
    document = {"recipes": {"mine": recipe, "dear": {**recipe, "cheap": False}}, "rows": [row, other]}
    recipes.write_rows(document, tmp_path / "rows.json")

    def run(command: list[str], *, cwd: Path, **_: Any) -> None:
        value = 21.0 + int(command[-1])
        (cwd / "runs").mkdir()
        (cwd / "runs" / "x.json").write_text(f'{{"entries": [{{"name": "a"}}, {{"name": "b", "psnr_db": {value}}}]}}')

    monkeypatch.setattr(readme, "ROOT", tmp_path)
    monkeypatch.setattr(readme, "ROWS", tmp_path / "rows.json")
    monkeypatch.setattr(readme, "read_rows", lambda: recipes.read_rows(tmp_path / "rows.json"))
    monkeypatch.setattr(readme, "recipe_now", lambda _: {"x: y": 2})
    monkeypatch.setattr(readme, "commit", lambda: "abc")
    monkeypatch.setattr(readme.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["readme.py", "--seeds", "0,2", "--write", "--json", str(tmp_path / "f.json")])
    readme.main()
    assert (tmp_path / "page.md").read_text() == "| a | 22.00 |\n"
    written = recipes.read_rows(tmp_path / "rows.json")
    assert written["rows"][0]["spread"] == pytest.approx(2**0.5)
    assert (written["rows"][0]["shown"], written["rows"][0]["commit"]) == ("22.00", "abc")
    assert written["rows"][1] == other  # it is not cheap
    assert written["recipes"]["mine"]["settings"] == {"x: y": 2}
    assert written["recipes"]["mine"]["digest"] == recipes.digest({"x: y": 2})
