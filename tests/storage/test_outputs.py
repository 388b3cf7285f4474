"""Where commands and functions may write: no input and nothing of others is changed by a byte, whatever the options."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image

import vqkit
from tests.cli.cases import SMALL, photos, refused
from vqkit import VQVAE
from vqkit.cli.main import app
from vqkit.cli.output.writing import written_by
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.ids import make_ids, save_ids
from vqkit.priors import HistogramPrior
from vqkit.storage import outputs
from vqkit.training.record.run import new_run_path

COMMANDS = {each.name: each.callback for each in app.registered_commands} | {
    f"study {each.name}": each.callback
    for group in app.registered_groups
    for each in group.typer_instance.registered_commands
}
NOT_WRITTEN = {"vectors", "mask", "resume", "start", "config", "file", "tokens", "extend", "names"}
TINY = ["--steps", "1", "--threads", "1"]
CASES: dict[str, list[str]] = {
    "demo": [],
    "train": ["data", "--validation", "set.npy", *TINY],
    "eval": ["model", "set.npy", "--prior", "prior"],
    "score": ["model", "set.npy", "--against", "set.npy", "--prior", "prior"],
    "reconstruct": ["model", "data"],
    "encode": ["model", "data"],
    "export": ["model", "data", "--format", "torch"],
    "ids": ["items", "vectors.npy", "--extend", "old"],
    "decode": ["model", "tokens"],
    "prior": ["model", "data", "--vectors", "vectors.npy", *TINY],
    "lossless": ["model", "data", *TINY],
    "quantize": ["model", "data"],
    "sample": ["model", "--prior", "prior", "--vectors", "vectors.npy"],
    "edit": ["model", "cat.png", "--to", "data/0.png"],
    "compress": ["data", "cat.png", "--model", "model", "--prior", "prior"],
    "decompress": ["cat.vqk", "--model", "model", "--prior", "none"],
    "extract": ["cat.vqk", "cat.png", "--model", "model", "--prior", "none"],
    "inspect": ["cat.vqk"],
    "compare": ["data", *TINY],
    "convert": ["cond", "data", "--to", "a"],
    "probe": ["model", "data"],
    "plot": ["model"],
    "table": ["model"],
    "study codebooks": ["data", *TINY],
    "study beta": ["data", *TINY],
    "study latents": ["data", *TINY],
    "study rate-distortion": ["data", "--model", "model", "--prior", "none"],
}
OPTION = {"out": "--out", "json_file": "--json", "files": "--files", "maps": "--maps", "preview": "--preview"}
REQUIRED = {"encode": "--out", "ids": "--out", "decode": "--out", "compress": "--out", "decompress": "--out"}
WRITES = [(name, option) for name, function in COMMANDS.items() for option in written_by(function)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a prior, data of all kinds, a token set, a .vqk file, and things of somebody's own."""
    root = tmp_path_factory.mktemp("tree")
    torch.manual_seed(0)
    model = VQVAE(16, channels=1, **SMALL)
    model.save_pretrained(root / "model")
    VQVAE(16, channels=1, classes=2, class_names=["a", "b"], **SMALL).save_pretrained(root / "cond")
    HistogramPrior(16, [4, 4]).save_pretrained(root / "prior")
    photos(root / "data", height=8, width=8, mode="L")
    photos(root / "one", 1, height=8, width=8, mode="L")
    (root / "one" / "0.png").rename(root / "cat.png")
    (root / "one").rmdir()
    np.save(root / "set.npy", np.zeros((20, 8, 8), np.uint8))
    np.save(root / "vectors.npy", np.zeros((4, 2), np.float32))
    vqkit.tokenize(model, str(root / "data"), out=root / "tokens")
    items = vqkit.models.ResidualQuantization(2, num_codebooks=1, channels=2, rounds=1)
    items.save_pretrained(root / "items")
    save_ids(make_ids(items.eval(), str(root / "vectors.npy")), root / "old")
    with (root / "cat.vqk").open("wb") as file:
        vqkit.codec.Compressor(model).write(file, [vqkit.codec.Signal(np.zeros((1, 8, 8), np.uint8), "cat.png")])
    for name in ("mine/thesis.txt", "project/checkpoints/step_000000001/weights.pt", "saved/config.json"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("{}")
    np.save(root / "mine" / "vectors.npy", np.zeros((3, 3)))
    (root / "letter.json").write_text('{"dear": "you"}')
    Image.new("L", (8, 8), 3).save(root / "drawing.png")
    return root


@pytest.fixture
def here(tree: Path, tmp_path: Path, vq: Any) -> Path:
    """The working folder, with links to all of the tree's files (hard ones: a changed byte shows in both)."""
    for where, _, names in os.walk(tree):
        for name in names:
            target = tmp_path / Path(where, name).relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Path(where, name).read_bytes())
    (tmp_path / "soft.json").symlink_to("set.npy")
    (tmp_path / "soft.png").symlink_to("cat.png")
    (tmp_path / "soft").symlink_to("data")
    (tmp_path / "nowhere.png").symlink_to("not-there")
    (tmp_path / "hard.json").hardlink_to(tmp_path / "set.npy")
    (tmp_path / "hard.vqk").hardlink_to(tmp_path / "cat.vqk")
    (tmp_path / "hard.png").hardlink_to(tmp_path / "cat.png")
    return tmp_path


def snapshot(root: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for where, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = Path(where, name)
            known = str(path.relative_to(root))
            if path.is_symlink():
                found[known] = f"-> {path.readlink()}"
            elif path.is_file():
                found[known] = path.read_bytes()
    return found


def command(name: str, option: str, place: object) -> list[object]:
    words: list[object] = [*name.split(), *CASES[name], OPTION[option], place]
    if name in REQUIRED and REQUIRED[name] != OPTION[option]:
        words += [REQUIRED[name], "new.vqk"]
    return words


def test_every_command_that_writes_has_a_case_and_says_what_it_writes() -> None:
    assert {name for name, _ in WRITES} <= set(CASES)
    for name, function in COMMANDS.items():
        for option, hint in function.__annotations__.items():
            path = Path in getattr(getattr(hint, "__origin__", None), "__args__", ()) or (
                getattr(hint, "__origin__", None) is Path
            )
            if path and option not in NOT_WRITTEN:
                assert option in written_by(function), f"{name}: {option} names a path; say what it Writes(...)"


@pytest.mark.parametrize(("name", "option"), WRITES, ids=[f"{name} {OPTION[option]}" for name, option in WRITES])
def test_no_input_and_nothing_of_others_is_changed(vq: Any, here: Path, name: str, option: str) -> None:
    before = snapshot(here)
    inputs = [word for word in CASES[name] if (here / word).exists()]
    what = written_by(COMMANDS[name])[option]
    inside = [
        f"{word}/{file.name}" for word in inputs if (here / word).is_dir() for file in [*(here / word).iterdir()][:2]
    ]
    links = [] if name == "demo" else ["soft", "soft.json", "soft.png", "hard.json", "hard.png"]
    links += ["hard.vqk"] if "cat.vqk" in inputs else []
    others = ["mine", "project", "saved", "letter.json", "drawing.png", "nowhere.png", ".", "data/../data"]
    forced = [["--force"]] if what.file is not None else []
    for place in dict.fromkeys([*inputs, *inside, *links, *others]):
        for words in ([], *(forced if place in inputs or place in inside else [])):
            outcome = vq(*command(name, option, place), *words)
            assert outcome.status == 2, (place, words, outcome.out, outcome.err)
            assert "internal error" not in outcome.err
            assert snapshot(here) == before, (place, words, outcome.err)


def test_a_file_of_others_is_replaced_where_somebody_insists_and_ones_own_at_once(vq: Any, here: Path) -> None:
    for words, place in (
        (("eval", "model", "set.npy", "--json"), "letter.json"),
        (("inspect", "cat.vqk", "--json"), "letter.json"),
        (("compress", "cat.png", "-m", "model", "--prior", "none", "-o", "a.vqk", "--json"), "letter.json"),
        (("reconstruct", "model", "data", "--out"), "drawing.png"),
        (("compress", "cat.png", "-m", "model", "--prior", "none", "-o"), "letter.json"),
    ):
        refused(vq(*words, place), place, "exists and is no", "--force")
        assert vq(*words, place, "--force").status == 0
        assert vq(*words, place).status == 0  # it is vqkit's own now
    (here / "letter.json").write_text('{"dear": "you"}')
    told = json.loads((here / "letter.json").read_text())
    assert vq("eval", "model", "set.npy", "--json", "e.json").status == 0
    assert json.loads(Path("e.json").read_text())["written_by"] == "vqkit eval"
    refused(vq("inspect", "cat.vqk", "--json", "e.json"), "no JSON document of vqkit inspect")  # of another command
    assert told == {"dear": "you"}


def test_pictures_do_not_go_among_the_pictures_that_are_read(vq: Any, here: Path) -> None:
    refused(vq("reconstruct", "model", "data", "--out", "data/sheet.png"), "lies in the folder data that is read")
    refused(vq("reconstruct", "model", "."), "lies in the folder . that is read")
    refused(vq("edit", "model", "data:0", "--to", "cat.png", "--out", "data/new"), "lies in the folder data")
    assert vq("reconstruct", "model", "data", "--out", "model/sheet.png").status == 0  # no data lies there
    assert vq("eval", "model", "data", "--json", "data/e.json").status == 0  # and this is none
    assert vq("eval", "model", "data", "--json", "data/e.json").status == 0


def test_links_into_a_folder_that_is_read_are_followed(vq: Any, here: Path) -> None:
    (here / "letter.txt").write_text("mine")
    (here / "data" / "letter.txt").symlink_to("../letter.txt")
    refused(vq("eval", "model", "data", "--json", "letter.txt", "--force"), "is a part of the input data")
    refused(vq("eval", "model", "data", "--json", "CAT.vqk", "--prior", "cat.vqk"), "but for upper and lower case")
    refused(vq("compress", "cat.png", "-m", "model", "-o", "x.vqk", "--json", "X.vqk"), "by --out and by --json")
    refused(vq("compress", "*.png", "-m", "model", "-o", "a.vqk", "--json", "drawing.png", "--force"), "of the inputs")
    refused(vq("edit", "model", "set.npy:3", "--to", "cat.png", "--out", "set.npy"), "is one of the inputs")


def test_the_data_of_a_run_is_an_input_too(vq: Any, here: Path) -> None:
    run = here / "run"
    (here / "model").rename(run)
    settings = {"vqkit": "0", "data": str(here / "set.npy"), "training": {"validation": str(here / "vectors.npy")}}
    (run / "run.json").write_text(json.dumps(settings))
    for place in ("set.npy", "vectors.npy", "run/run.json", "run/model.safetensors"):
        before = (here / place).read_bytes()
        refused(vq("eval", "run", "--json", place, "--force"), "input")
        assert (here / place).read_bytes() == before


def test_a_place_where_nothing_may_be_written_is_said_first(
    vq: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda _, mode: not mode & os.W_OK)
    for name, option in WRITES:
        what = written_by(COMMANDS[name])[option]
        picture = what.file in (outputs.SHEET, outputs.RESTORED) or name == "plot"
        place = "new.png" if picture else "new.csv" if (name, option) == ("score", "out") else "new"
        refused(vq(*command(name, option, f"deep/{place}")), "nothing may be written", "permission denied")


# ---- from Python


def test_a_run_takes_no_folder_of_others(here: Path) -> None:
    for name in ("mine", "project", "saved", "data", "tokens"):
        with pytest.raises(ConfigError, match="choose a new or empty folder"):
            new_run_path(name, "")
    (here / "begun" / "pictures").mkdir(parents=True)
    (here / "begun" / "pictures" / "final.png").write_text("a photo")
    with pytest.raises(ConfigError, match="'pictures'"):
        new_run_path("begun", "")
    (here / "begun" / ".lock").touch()  # a run's own
    (here / "begun" / "log.jsonl").write_text('{"step": 0, "kind": "train"}\n')
    assert new_run_path("begun", "") == Path("begun")
    (here / "begun" / "log.jsonl").write_text("a log of mine\n")
    with pytest.raises(ConfigError, match=r"'log\.jsonl'"):
        new_run_path("begun", "")


def test_a_model_is_not_saved_over_what_is_none(here: Path) -> None:
    model = VQVAE(16, channels=1, **SMALL)
    (here / "other").mkdir()
    (here / "other" / "model.safetensors").write_bytes(b"weights")
    before = snapshot(here)
    for saved in (model, HistogramPrior(16, [4, 4])):
        for name in ("saved", "other", "cat.png"):
            with pytest.raises(ModelFolderError, match="name another"):
                saved.save_pretrained(here / name)
    assert snapshot(here) == before
    model.save_pretrained(here / "mine")  # beside other things
    model.save_pretrained(here / "mine")
    assert vqkit.load_model(here / "mine").codebook_size == 16


def test_a_model_whose_saving_fails_is_as_it_was(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(here)
    written: list[Path] = []

    def full(path: Path) -> None:
        written.append(path)
        if len(written) == 2:  # the weights are written, the config is not
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("vqkit.storage.atomic.flush", full)
    with pytest.raises(OSError, match="No space"):
        VQVAE(32, channels=1, **SMALL).save_pretrained(here / "model")
    assert snapshot(here) == before


def test_tokens_and_decoded_signals_leave_others_alone(here: Path) -> None:
    model = vqkit.load_model(here / "model")
    assert isinstance(model, VQVAE)
    tokens = vqkit.tokens.load_tokens(here / "tokens")
    (here / "numbers").mkdir()
    np.save(here / "numbers" / "vectors.npy", np.zeros(3))
    before = snapshot(here)
    for place in ("numbers", "mine", "project", "data", "tokens", "cat.png"):
        with pytest.raises(ConfigError, match=r"choose (a new or empty folder|another out=)"):
            vqkit.tokenize(model, str(here / "set.npy"), out=here / place)
        with pytest.raises(ConfigError, match="choose a new or empty folder"):
            vqkit.tokens.detokenize(model, tokens, here / place)
    assert snapshot(here) == before


def test_a_command_that_writes_a_file_can_be_forced() -> None:
    for name, function in COMMANDS.items():
        files = [what for what in written_by(function).values() if what.file is not None]
        assert ("force" in function.__annotations__) == bool(files), name
    assert isinstance(typer.main.get_command(app), object)
