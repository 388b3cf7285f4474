"""The demo: it runs from nothing to a picture, repeats itself, and never deletes what is not its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from vqkit.cli.commands.demo import in_bytes
from vqkit.data import CenterCrops, builtin
from vqkit.data.builtin import BUILTINS
from vqkit.errors import ConfigError
from vqkit.studies.ladder.demo import run_demo
from vqkit.studies.ladder.settings import CompareConfig

ROOT = Path(__file__).parents[2]
QUICK = CompareConfig(
    codebook_size=8, code_dim=4, downsampling=2, hidden_channels=8, steps=5, prior_steps=3, prior_channels=8,
    prior_layers=1, samples=32, classifier_steps=30,
)  # fmt: skip
QUICK_PHOTOS = replace(QUICK, downsampling=4, features="random", samples=16, validation=0.5)


def test_demo_runs_and_replaces_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clothes = CenterCrops(builtin.fashion().subset(range(0, 3000, 8)), 8)
    monkeypatch.setitem(BUILTINS, "fashion", lambda: clothes)
    monkeypatch.setitem(BUILTINS, "photos", lambda: CenterCrops(builtin.photos().subset(range(0, 959, 14)), 16))
    out = tmp_path / "demo-out"
    demo = run_demo(out, clothes=QUICK, photos=QUICK_PHOTOS, quiet=True)
    for part, data in ((demo.clothes, "fashion"), (demo.photos, "photos")):
        assert part.document["data"]["name"] == data
        assert part.picture.is_file()
        assert part.reconstructions.is_file()
        assert part.report.is_file()
        assert [rung["status"] for rung in part.document["rungs"]] == ["done"] * 4
    assert in_bytes(demo.photos.document).startswith("photos 16x16, 6 bytes of 768: PCA ")

    def compare(_: object, out: Path, **__: object) -> None:
        out.mkdir(parents=True)
        (out / "report.html").write_text("anew")

    monkeypatch.setattr("vqkit.studies.ladder.demo.compare", compare)
    run_demo(out, quiet=True)  # all files of the first are known as a demo's, whatever its settings were
    assert {file.relative_to(out).as_posix() for file in out.rglob("*.*")} == {"report.html", "photos/report.html"}


@pytest.mark.parametrize(
    "names", [["pca/main.py"], ["settings.json", "vae/main.py"], ["pictures/me.png"], ["settings.json", "notes.txt"],
     ["photos/mine.jpg"], ["settings.json", "photos/pca/main.py"]],
)  # fmt: skip
def test_demo_deletes_nothing_of_others(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("precious")
    with pytest.raises(ConfigError, match="not a demo"):
        run_demo(tmp_path, clothes=QUICK, quiet=True)
    assert all((tmp_path / name).read_text() == "precious" for name in names)


def test_a_demo_that_fails_leaves_the_earlier_one_and_a_comparison_is_no_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(_: object, out: Path, *, config: CompareConfig, command: str, **__: object) -> Path:
        out.mkdir()
        document = {"settings": config.as_dict(), "data": "digits"}
        (out / "settings.json").write_text(json.dumps(document))
        (out / "pca.json").write_text("half")
        if failing:
            raise failing[0]
        (out / "compare.json").write_text(json.dumps({"command": command}))
        (out / "report.html").write_text("whole")
        return out

    failing: list[BaseException] = []
    monkeypatch.setattr("vqkit.studies.ladder.demo.compare", compare)
    out = tmp_path / "demo"
    run_demo(out)
    (out / "report.html").write_text("the first")
    for error in (KeyboardInterrupt(), OSError(28, "full")):
        failing[:] = [error]
        with pytest.raises(type(error)):
            run_demo(out)
        assert (out / "report.html").read_text() == "the first"
        assert [entry.name for entry in tmp_path.iterdir()] == ["demo"]
    aside = tmp_path / ".demo.old.part"  # as a kill in the middle leaves it
    shutil.copytree(out, aside)
    (out / "compare.json").unlink()
    (out / "report.html").unlink()
    with pytest.raises(OSError, match="full"):
        run_demo(out)
    assert (out / "report.html").read_text() == "the first"
    failing.clear()
    run_demo(out)
    assert (out / "report.html").read_text() == "whole"
    (out / "compare.json").write_text(json.dumps({"command": "vqkit compare digits"}))
    (out / "settings.json").write_text(json.dumps({"settings": {"steps": 9}, "data": "digits"}))
    for picture in (None, "me.png"):
        if picture is not None:
            (out / "pictures").mkdir()
            (out / "pictures" / picture).write_text("precious")
            (out / "compare.json").write_text(json.dumps({"command": "vqkit demo"}))
        before = {entry.name for entry in out.iterdir()}
        with pytest.raises(ConfigError, match="not a demo"):
            run_demo(out)
        assert {entry.name for entry in out.iterdir()} == before


def test_make_demo_installs_the_package_and_none_of_its_developers_tools() -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make")
    told = subprocess.run(
        [make, "--no-print-directory", "--dry-run", "--always-make", "demo"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    installs = [line for line in told.splitlines() if "pip install" in line]
    assert [line.split()[-1] for line in installs] == ["."]
    assert told.rstrip().endswith("vqkit demo")
