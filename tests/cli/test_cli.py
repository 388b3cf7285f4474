"""The command line as a user meets it: what commands say and write, and errors in one line."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.main import get_command

import vqkit
from tests.cli.cases import SMALL, TINY, photos, refused
from vqkit import VQVAE
from vqkit.cli.commands.reconstruct import rows_of
from vqkit.cli.main import app
from vqkit.cli.training.settings import gather
from vqkit.errors import ConfigError
from vqkit.pictures import before_after_sheet
from vqkit.signals import signal_kind
from vqkit.training.record.run import read_config


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps on digits."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    torch.manual_seed(0)
    model = VQVAE(16, channels=1, **SMALL)
    vqkit.train(model, "digits", out=path, steps=20, batch_size=8, quiet=True, tensorboard=False)
    return path


@pytest.fixture(scope="session")
def rgb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of RGB images, untrained."""
    path = tmp_path_factory.mktemp("models") / "rgb"
    torch.manual_seed(0)
    VQVAE(16, **SMALL).save_pretrained(path)
    return path


# ---- help


def test_help_lists_every_command(vq: Any) -> None:
    found = vq("--help")
    assert found.status == 0
    commands = get_command(app).commands
    assert len(commands) >= 16
    for name, one in commands.items():
        assert one.hidden or f" {name} " in found.out
        page = vq(name, "-h")
        assert page.status == 0
        assert "Usage: vqkit " + name in page.out
        assert one.help
    assert vq("--version").out.strip() == f"vqkit {vqkit.__version__}"
    assert vq("nosuch").status == 2
    assert "No such command" in vq("nosuch").err


# ---- the walk: eval, reconstruct, encode, decode, info


def test_eval_of_a_run_is_on_its_validation_items(vq: Any, run: Path) -> None:
    found = vq("eval", run, "--json", "e.json")
    assert found.status == 0
    assert "validation items" in found.err
    for word in ("180 items", "PSNR", "SSIM", "usage", "perplexity", "nominal", "entropy", "stored"):
        assert word in found.out
    values = json.loads(Path("e.json").read_text())
    logged = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    final = next(entry for entry in logged if entry["kind"] == "final")
    assert values["mse"] == pytest.approx(final["mse"], rel=1e-6)
    assert values["items"] == 180


def test_eval_on_named_data(vq: Any, run: Path, rgb: Path, tmp_path: Path) -> None:
    assert vq("eval", run, photos(tmp_path / "rgb"), "--batch-size", 3, "--threads", 1).status == 0  # colour to grey
    assert vq("eval", rgb, photos(tmp_path / "grey", mode="L")).status == 0  # and grey to colour
    assert vq("eval", rgb, photos(tmp_path / "one", 1, height=5, width=33)).status == 0
    (tmp_path / "rgb" / "broken.png").write_bytes(b"no")
    assert "skipped broken.png" in vq("eval", rgb, tmp_path / "rgb").err


def test_reconstruct(vq: Any, run: Path, rgb: Path, tmp_path: Path) -> None:
    assert vq("reconstruct", run, "-n", 5, "--columns", 2).status == 0
    assert Image.open("reconstructions.png").mode == "RGB"
    assert vq("reconstruct", rgb, photos(tmp_path / "p", 2), "-o", "deep/sheet.png").out.startswith("2 images")
    assert Path("deep/sheet.png").is_file()


def test_the_sheet_has_errors_and_the_psnr_of_each_picture() -> None:
    before = np.array([[[0.0, 1.0], [0.5, 0.5]]], dtype=np.float32)
    after = before + np.array([[[0.1, -0.1], [0.1, 0.5]]], dtype=np.float32)
    rows, notes = rows_of(signal_kind("image"), [before, before], [after, before])
    assert notes == [f"{-10 * math.log10((3 * 0.01 + 0.25) / 4):.1f} dB", "no error"]
    assert [name for name, _ in rows] == ["original", "reconstruction", "error x 4"]
    assert np.asarray(rows[2][1][0]).tolist() == [[102, 102], [102, 255]]
    sheets = [before_after_sheet(rows, notes=given) for given in (notes, [])]
    assert sheets[0].height > sheets[1].height
    below = np.asarray(sheets[0])[sheets[1].height - 8 :]
    assert (below < 128).any(), "the notes are drawn below"


def test_info_says_what_numbers_the_files_hold(vq: Any, run: Path) -> None:
    for kind, numbers in (("bin", "uint16 ids"), ("jsonl", "ids as text")):
        assert vq("encode", run, "digits", "--out", kind, "--format", kind).status == 0
        assert f"1 {kind} shard of {numbers}, " in vq("info", kind).out
    refused(vq("prior", run, "bin", "--out", "p"), "bin holds tokens, and no signals: vqkit decode MODEL bin")
    refused(vq("encode", run, "digits", "--out", "foo://bucket/t"), "foo:// is no kind of address that is known here")


@pytest.mark.parametrize("kind", ["npy", "safetensors", "parquet"])
def test_encode_info_decode(vq: Any, run: Path, kind: str) -> None:
    found = vq("encode", run, "digits", "--out", "t", "--format", kind, "--shard-items", 1000)
    assert found.status == 0
    assert "1,797 items, grid 4x4" in found.out
    assert f"next:  vqkit decode {run} t --out decoded" in found.out
    told = vq("info", "t")
    assert "1,797 items from digits" in told.out
    assert f"2 {kind} shards of uint8" in told.out
    assert "with labels" in told.out
    decoded = vq("decode", run, "t", "--out", "d", "--limit", 3)
    assert decoded.status == 0
    assert "3 items decoded into d" in decoded.out
    assert sorted(path.name for path in Path("d").glob("[!.]*")) == ["000000.png", "000001.png", "000002.png"]


@pytest.mark.parametrize(("kind", "missing"), [("parquet", False), ("jsonl", True)])
def test_items_of_different_sizes_need_no_format(
    vq: Any, rgb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, missing: bool
) -> None:
    mixed = photos(tmp_path / "mixed")
    shutil.copy(photos(tmp_path / "other", 1, height=8) / "0.png", mixed / "small.png")
    if missing:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    for _ in range(2):  # the second time all is kept
        found = vq("encode", rgb, mixed, "--out", "t")
        assert found.status == 0, found.err
        assert f"--format {kind} is taken" in found.err
    assert f"1 {kind} shard" in vq("info", "t").out
    assert "5 items decoded" in vq("decode", rgb, "t", "--out", "d").out


def test_info_of_everything(vq: Any, run: Path, rgb: Path, tmp_path: Path) -> None:
    assert "finished at step 20" in vq("info", run).out
    assert "codebook_size = 16" in vq("info", run).out
    assert vq("info", rgb).out.startswith(f"model {rgb}: VQVAE")
    assert "4 RGB images 12x16" in vq("info", photos(tmp_path / "p")).out
    assert "10 classes" in vq("info", "digits").out
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run, unfinished)
    lines = (unfinished / "log.jsonl").read_text().splitlines()
    (unfinished / "log.jsonl").write_text("\n".join(line for line in lines if '"final"' not in line) + "\n")
    assert f"vqkit train --resume {unfinished}" in vq("info", unfinished).out


def test_train(vq: Any, tmp_path: Path) -> None:
    data = photos(tmp_path / "p", 12)
    settings = ["--steps", 3, "--seed", 5, "--set", "decay=0.9", "--set", "clip-norm=2", "--set", "widths=[6]"]
    found = vq("train", data, "--out", "r", *TINY, *settings, "--validation", "last:2", "--threads", 1)
    assert found.status == 0
    assert "next:  vqkit eval r" in found.out
    written = read_config(Path("r"))
    assert written["model"]["quantizer_options"] == {"seed": 5, "decay": 0.9, "cosine": False}
    assert written["model"]["widths"] == [6]
    assert (written["training"]["clip_norm"], written["training"]["seed"]) == (2, 5)
    assert vq("eval", "r").status == 0
    refused(vq("train", data, "--out", "r", *TINY), "already holds a run", "--resume")


def test_resume_for_more_steps(vq: Any, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "r")
    found = vq("train", "--resume", "r", "--steps", 22, "--no-tensorboard")
    assert found.status == 0
    assert "next:  vqkit eval r" in found.out
    assert "finished at step 22" in vq("info", "r").out


def test_demo(vq: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    refused(vq("demo", "--out", "mine"), "not a demo")
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.parametrize(("given", "threads"), [((), 1), (("--threads", "3"), 3)])
def test_a_demo_computes_with_one_thread_unless_more_are_asked_for(
    vq: Any, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], threads: int
) -> None:
    def run_demo(*_: Any, **__: Any) -> None:
        raise ConfigError(f"{torch.get_num_threads()} of them")

    monkeypatch.setattr("vqkit.cli.commands.demo.show_first", lambda _: None)
    monkeypatch.setattr("vqkit.studies.ladder.demo.run_demo", run_demo)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        refused(vq("demo", *given), f"{threads} of them")
    finally:
        torch.set_num_threads(before)


# ---- --set


def test_assignments_go_where_they_belong() -> None:
    found = gather(
        VQVAE,
        {"codebook_size": 8, "code_dim": None},
        {"steps": None},
        ["residual-blocks=1", "beta=0.5", "warmup_steps=3", "quantizer=gradient", "validation=last:5", "widths=[4]"],
    )
    assert found.model == {
        "codebook_size": 8,
        "residual_blocks": 1,
        "quantizer": "gradient",
        "quantizer_options": {"beta": 0.5},
        "widths": [4],
    }
    assert found.training == {"warmup_steps": 3, "validation": "last:5"}


@pytest.mark.parametrize("text", ["zap=1", "decay", "", "=3", "channels=3", "quantizer_options={}"])
def test_assignments_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"NAME=VALUE.*batch_size.*codebook_size"):
        gather(VQVAE, {}, {}, [text])


# ---- errors


@pytest.mark.parametrize("name", ["eval", "reconstruct", "encode", "decode"])
def test_models_that_cannot_be_opened(vq: Any, rgb: Path, tmp_path: Path, name: str) -> None:
    rest = {"eval": ["digits"], "reconstruct": ["digits"], "encode": ["digits", "-o", "t"], "decode": ["t", "-o", "d"]}
    if name == "decode":
        vq("encode", rgb, photos(tmp_path / "p"), "-o", "t")
    refused(vq(name, "nothere", *rest[name]), "nothere", "no such folder")
    refused(vq(name, "owner/name", *rest[name]), "owner/name", "hub")
    (tmp_path / "empty").mkdir()
    refused(vq(name, "empty", *rest[name]), "config.json and model.safetensors")
    bad = tmp_path / "bad"
    shutil.copytree(rgb, bad)
    (bad / "model.safetensors").write_bytes((rgb / "model.safetensors").read_bytes()[:500])
    refused(vq(name, "bad", *rest[name]), "truncated or damaged")
    shutil.copy(rgb / "model.safetensors", bad)
    config = json.loads((rgb / "config.json").read_text())
    (bad / "config.json").write_text(json.dumps({**config, "codebook_size": 1}))
    refused(vq(name, "bad", *rest[name]), "bad/config.json", "codebook_size=1")
    (bad / "config.json").write_text(json.dumps({**config, "hidden_channels": "wide"}))
    refused(vq(name, "bad", *rest[name]), "bad/config.json", "hidden_channels='wide'", "whole number")
    refused(vq(name, rgb, *rest[name], "--device", "gpu"), "--device gpu", "auto, cpu, cuda or mps")


@pytest.mark.parametrize("name", ["eval", "reconstruct", "encode"])
def test_data_that_cannot_be_read(vq: Any, rgb: Path, tmp_path: Path, name: str) -> None:
    out = ["-o", "t"] if name == "encode" else []
    np.save("nan.npy", np.full((3, 3, 8, 8), np.nan, np.float32))
    np.save("vectors.npy", np.zeros((3, 5), np.float32))
    (tmp_path / "empty").mkdir()
    photos(tmp_path / "thin", 2, height=1, width=50)
    for data, words in {
        "nothere": ["'nothere' does not exist"],
        "empty": ["holds no images"],
        "nan.npy": ["NaN"],
        "vectors.npy": ["vectors of 5 numbers", "2 axes"],
        "thin": ["50x1"],
        "hub:owner/name": ["owner/name"],
    }.items():
        refused(vq(name, rgb, data, *out), *words)
    assert not Path("t").exists()


def test_a_model_without_a_run_needs_data(vq: Any, rgb: Path) -> None:
    refused(vq("eval", rgb), "name the DATA")
    refused(vq("reconstruct", rgb), "name the DATA")


def test_the_data_of_a_run_has_moved(vq: Any, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "r")
    settings = json.loads((tmp_path / "r" / "run.json").read_text())
    (tmp_path / "r" / "run.json").write_text(json.dumps({**settings, "data": "gone"}))
    refused(vq("eval", "r"), "the run's data cannot be read again", "'gone' does not exist", "name the DATA")
    assert vq("eval", "r", "digits").status == 0


def test_places_that_cannot_be_written(vq: Any, run: Path, tmp_path: Path) -> None:
    Path("file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("mine")
    for out in ("file", "folder"):
        refused(vq("encode", run, "digits", "-o", out), out, "new or empty folder")
    vq("encode", run, "digits", "-o", "t")
    for out in ("file", "folder"):
        refused(vq("decode", run, "t", "-o", out), out, "new or empty folder")
    refused(vq("encode", run, "digits", "-o", "file/t"), "file/t", "a part of this path is a file")
    refused(vq("eval", run, "--json", "file/e.json"), "file: exists and is no folder")
    refused(vq("reconstruct", run, "--out", "file/a.png"), "file: exists and is no folder")
    refused(vq("reconstruct", run, "--out", "a.jpg"), "ends in .png")
    assert "is a directory" in vq("eval", run, "--json", "folder").err
    assert Path("file").read_text() == "mine"


@pytest.mark.parametrize("target", ["t/encoding.jsonl", "d/000000.png", "e.json", "s.png"])
def test_a_full_disk(vq: Any, run: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    vq("encode", run, "digits", "-o", "tokens")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vqkit.storage.atomic.flush", full)
    monkeypatch.setattr("pathlib.Path.chmod", lambda self, mode: full(self))
    outcome = {
        "t/encoding.jsonl": lambda: vq("encode", run, "digits", "-o", "t"),
        "d/000000.png": lambda: vq("decode", run, "tokens", "-o", "d"),
        "e.json": lambda: vq("eval", run, "--json", "e.json"),
        "s.png": lambda: vq("reconstruct", run, "-o", "s.png"),
    }[target]()
    refused(outcome, target, "the disk is full")
    assert not list(Path().rglob("*.part"))


def test_tokens_of_another_model(vq: Any, run: Path, rgb: Path) -> None:
    vq("encode", run, "digits", "-o", "t")
    refused(vq("decode", rgb, "t", "-o", "d"), "made by another model", "--any-model")
    assert vq("decode", rgb, "t", "-o", "d", "--any-model", "--limit", 2).status == 0
    refused(vq("decode", run, "nothere", "-o", "d2"), "no token set here", "vqkit encode")
    Path("t/indices-00000.npy").write_bytes(b"no")
    refused(vq("decode", run, "t", "-o", "d3"), "indices-00000.npy", "encode the data again")


def test_train_errors(vq: Any, tmp_path: Path) -> None:
    photos(tmp_path / "p")
    photos(tmp_path / "one", 1)
    short = ["--steps", "1", *TINY]
    refused(vq("train"), "vqkit train photos", "--resume RUN")
    refused(vq("train", "nothere", *short), "'nothere' does not exist")
    refused(vq("train", "one", *short, "-o", "r"), "1 item")
    refused(vq("train", "p", *short, "-o", "r", "--set", "zap=1"), "--set zap=1", "batch_size")
    refused(vq("train", "p", *short, "-o", "r", "--set", "code_dim=wide"), "code_dim='wide'", "whole number")
    refused(vq("train", "p", *short, "-o", "r", "-k", 1), "--codebook-size 1:")
    refused(vq("train", "p", *short, "-o", "r", "-f", 3), "--downsampling 3:")
    refused(vq("train", "p", *short, "-o", "r", "--minutes", 1), "give one of the two")
    refused(vq("train", "--resume", "p"), "no run here")
    refused(vq("train", "--resume", "p", "--out", "r"), "leave out --out")
    assert not Path("r").exists()


def test_values_out_of_range_are_usage_errors(vq: Any, run: Path) -> None:
    for arguments in (
        ["eval", run, "--batch-size", 0],
        ["eval", run, "--threads", 0],
        ["eval", run, "--batch-size", "x"],
        ["reconstruct", run, "-n", 0],
        ["decode", run, "t", "-o", "d", "--limit", 0],
        ["info"],
    ):
        found = vq(*arguments)
        assert found.status == 2
        assert "Usage: vqkit" in found.err
    refused(vq("encode", run, "digits"), "--out is missing")


def test_names_of_the_hub_are_looked_up(vq: Any, tmp_path: Path) -> None:
    refused(vq("info", "owner/name"), "owner/name", "the hub gave nothing")
    photos(tmp_path / "mine")
    refused(vq("info", "mine/typo"), "'mine/typo' does not exist")


def test_ctrl_c_is_130(vq: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vqkit.cli.loading.open_model", stop)
    found = vq("eval", run)
    assert found.status == 130
    assert "vqkit:" not in found.err


def test_tracebacks_can_be_asked_for(vq: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQKIT_TRACEBACK", "1")
    with pytest.raises(vqkit.VqkitError, match="nothere"):
        vq("info", "nothere")


# ---- the other rungs of the ladder, priors, and the comparison


RUNGS = {
    "pca": ["--latent-dim", "6"],
    "vae": ["--latent-dim", "3", "--hidden-channels", "8", "-f", "2", "--steps", "3", "--set", "beta_warmup=2"],
}
FEW = ["-k", "8", "-f", "2", "--hidden-channels", "8", "--steps", "3", "--features", "random", "--set", "samples=40"]


@pytest.mark.parametrize("kind", RUNGS)
def test_every_command_on_a_continuous_model(vq: Any, kind: str, tmp_path: Path) -> None:
    found = vq("train", "digits", "--model", kind, "--out", "r", "--no-tensorboard", *RUNGS[kind])
    assert found.status == 0
    assert "next:  vqkit eval r" in found.out
    assert "vqkit encode" not in found.out
    told = vq("eval", "r").out
    for word in ("real numbers an item", "bits per dim", "rate", "rounded and entropy-coded"):
        assert word in told
    assert vq("reconstruct", "r", "--out", "sheet.png").status == 0
    assert f"model r/model: {kind.upper()}" in vq("info", "r").out
    assert ("closed form" in vq("info", "r").out) == (kind == "pca")
    refused(vq("encode", "r", "digits", "--out", "t"), "a codebook", kind.upper())
    photos(tmp_path / "p")
    found = vq("eval", "r", "p")  # colour, and larger than what the model reads
    assert "4 items" in found.out
    assert "the middle 8x8 pixels" in found.err


def test_a_model_of_one_size_learns_photos_of_several(vq: Any, tmp_path: Path) -> None:
    photos(tmp_path / "p", 10, height=20, width=17)
    Image.new("RGB", (40, 23), "red").save(tmp_path / "p" / "large.png")
    assert vq("train", "p", "--model", "pca", "--latent-dim", 3, "--out", "r", "--validation", "last:3").status == 0
    found = vq("eval", "r")
    assert "3 items" in found.out
    assert "the middle 16x16 pixels" in found.err


def test_options_of_another_rung(vq: Any) -> None:
    refused(vq("train", "digits", "--model", "gan"), "'gan'", "pca, autoencoder, vae, vqvae")
    refused(vq("train", "digits", "--model", "pca", "-k", 8), "--codebook-size", "PCA", "components")
    refused(vq("train", "digits", "--latent-dim", 8), "--latent-dim", "VQVAE", "codebook_size")
    refused(vq("train", "digits", "--model", "ae", "--set", "decay=0.9"), "--set decay=0.9", "latent_dim")
    refused(vq("train", "digits", "--model", "pca", "--latent-dim", 65, "--out", "r"), "components=65", "1 to 64")
    assert not Path("runs").exists()


def test_a_prior_of_a_run(vq: Any, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "r")
    found = vq("prior", "r", "--steps", 3, "--hidden-channels", 8, "--layers", 2)
    assert found.status == 0
    assert "next:  vqkit sample r" in found.out
    assert "vqkit eval r --prior r/prior/run" in found.out
    assert "bits an item: uniform 64.0, histogram " in found.out
    assert "learned prior" in vq("eval", "r", "--prior", "r/prior/run").out
    assert "below uniform" in vq("info", "r/prior/run").out
    assert "GatedPixelCNN" in vq("info", "r/prior/run").out
    exact = vq("prior", "r", "--kind", "context", "--out", "c", "--steps", 2, "--hidden-channels", 8, "--layers", 1)
    assert exact.status == 0
    assert "conditioned on" not in exact.out + exact.err, "what files use knows no classes"
    for folder, rate in (("r/prior", 1e-3), ("c", 4e-3)):
        assert json.loads(Path(folder, "run/run.json").read_text())["training"]["learning_rate"] == rate
    assert "bits an item: uniform 64.0, histogram " in exact.out
    for command_name in ("eval", "reconstruct"):
        refused(vq(command_name, "r/prior/run"), "a prior over indices", "--prior r/prior/run")
    found = vq("train", "--resume", "r/prior/run", "--steps", 4)
    assert found.status == 0
    assert "next:  vqkit eval MODEL --prior r/prior/run" in found.out
    refused(vq("train", "--resume", "r", "--model", "vae"), "leave out --out and the model's options")
    refused(vq("train", "--resume", "r", "--latent-dim", 4), "leave out --out and the model's options")
    np.save("vectors.npy", np.zeros((3, 5), np.float32))
    refused(
        vq("prior", "r", "photos", "--out", "r/prior", "--steps", 1),
        "data: other contents (was digits, ",
        "now photos, ",
    )
    settings = json.loads(Path("r/run.json").read_text())
    Path("r/run.json").write_text(json.dumps({**settings, "fingerprint": "0"}))
    refused(vq("prior", "r", "--out", "other", "--steps", 1), "not what the run was trained on", "name the DATA")
    refused(vq("eval", "r"), "not what the run was trained on", "name the DATA")


def test_help_says_the_defaults(vq: Any) -> None:
    assert "(default: 4000)" in vq("compare", "-h").out
    assert "(default: 512)" in vq("train", "-h").out


def test_compare(vq: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from vqkit.studies.ladder import study as study

    def failing(shop: Any) -> Any:
        raise ConfigError("no such luck")

    def stopping(shop: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setitem(study.TRAINERS, "vae", failing)
    found = vq("compare", "digits", "--out", "out file", "--rungs", "vae, pca", *FEW)
    assert found.status == 0
    assert "VAE failed: ConfigError: no such luck" in found.err
    assert "report:  out file/report.html" in found.out
    document = json.loads(Path("out file/compare.json").read_text())
    assert document["command"].startswith("vqkit compare digits --out 'out file' --rungs")
    monkeypatch.setitem(study.TRAINERS, "vae", stopping)
    found = vq("compare", "digits", "--out", "out file", "--rungs", "vae, pca", *FEW)
    assert found.status == 130
    assert "goes on where it stopped" in found.err


def test_compare_vectors(vq: Any) -> None:
    np.save("vectors.npy", np.random.default_rng(0).normal(size=(90, 5)).astype(np.float32))
    found = vq("compare", "vectors.npy", "--out", "out", "--rungs", "pq,rq", "-k", 4, "--set", "num_codebooks=[2]")
    assert found.status == 0
    assert "PQ, 0.5 bytes" in found.out
    assert "RQ, 0.5 bytes" in found.out
    assert "report:  out/report.html" in found.out
    assert json.loads(Path("out/compare.json").read_text())["command"].startswith("vqkit compare vectors.npy")


def test_compare_errors(vq: Any, tmp_path: Path) -> None:
    photos(tmp_path / "p", 12)
    np.save("vectors.npy", np.zeros((300, 5), np.float32))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    refused(vq("compare", "nowhere"), "'nowhere' does not exist")
    refused(vq("compare", "p"), "a comparison needs 32 of each", "--validation")
    refused(vq("compare", "vectors.npy", "--downsampling", 2), "downsampling", "num_codebooks")
    refused(vq("compare", "vectors.npy", "--rungs", "pca"), "pca", "pq, opq, rq, vqvae")
    refused(vq("compare", "digits", "--rungs", "pca,gan"), "gan", "pca, ae, vae, quantized, vqvae")
    refused(vq("compare", "digits", "--steps", 0), "--steps 0:")
    refused(vq("compare", "digits", "--set", "zap=1"), "--set zap=1", "prior_steps")
    refused(vq("compare", "digits", "--features", "nonsense"), "--features nonsense", '"random"')
    refused(vq("compare", "digits", "--out", "mine"), "mine holds something that is not a comparison")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"
