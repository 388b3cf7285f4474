"""Run folders from strangers: settings, log and checkpoints are checked before anything is made of them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

from vqkit.cli.main import app
from vqkit.data import load_source
from vqkit.errors import ConfigError, ModelFolderError, VqkitError
from vqkit.models import PCA, VQVAE
from vqkit.training import resume, train
from vqkit.training.checkpoints import checkpoint
from vqkit.training.diagnostics.collapse import CodebookMonitor
from vqkit.training.record.claims import recorded
from vqkit.training.record.headline import describe
from vqkit.training.record.log import read_log
from vqkit.training.record.run import read_config

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
ABSURD: list[Any] = [None, True, -1, 1.5, 10**30, "x", "", [], [[1]], {}, {"a": 1}, [None]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(place, np.random.default_rng(0).integers(0, 256, (24, 1, 8, 8), dtype=np.uint8))
    return place


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = VQVAE(8, channels=1, hidden_channels=8, residual_channels=4, code_dim=4, residual_blocks=1)
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(model, str(data), out=out, steps=2, batch_size=8, keep_checkpoints=2, **QUIET).path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def changed(file: Path, change: Callable[[Any], object]) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def newest(run: Path) -> Path:
    return checkpoint.found(run / "checkpoints")[-1]


def only_newest(run: Path) -> Path:
    for each in checkpoint.found(run / "checkpoints")[:-1]:
        shutil.rmtree(each)
    return newest(run)


def rewritten(place: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the tensors of a checkpoint, and its checksum with them."""
    tensors = load_file(place / "state.safetensors")
    change(tensors)
    save_file(tensors, place / "state.safetensors")
    told = hashlib.sha256((place / "state.safetensors").read_bytes()).hexdigest()
    changed(place / "state.json", lambda document: document.update(sha256=told))


def told(words: list[str]) -> str:
    """What a command says that refuses something; it ends without a fault of its own."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code != 0
    assert isinstance(done.exception, VqkitError), (done.exception, done.output)
    assert "\n" not in str(done.exception)
    return str(done.exception)


@pytest.mark.parametrize("text", ["", "[]", "3", '"a"', "[" * 100_000, '{"data": NaN}', "{" + '"a":1,' * 2 + '"b":1}'])
def test_settings_that_are_none(run: Path, text: str) -> None:
    (run / "run.json").write_text(text)
    with pytest.raises(ModelFolderError, match=r"run\.json"):
        read_config(run)
    assert "run.json" in told(["info", str(run)])


@pytest.mark.parametrize("name", ["data", "fingerprint", "model", "training", "frozen", "made_of"])
def test_settings_of_other_types(run: Path, name: str) -> None:
    good = (run / "run.json").read_text()
    for value in ABSURD:
        (run / "run.json").write_text(good)
        changed(run / "run.json", lambda document, value=value: document.update({name: value}))  # type: ignore[misc]
        for act in (lambda: resume(run, steps=3, **QUIET), lambda: CliRunner().invoke(app, ["info", str(run)])):
            try:
                done = act()
            except VqkitError as error:
                assert len(str(error)) < 2000  # noqa: PT017
            else:
                error = getattr(done, "exception", None)
                assert error is None or isinstance(error, VqkitError | SystemExit)


@pytest.mark.parametrize("name", ["steps", "minutes", "batch_size", "validation", "seed", "freeze", "crop"])
def test_training_settings_of_other_types_or_out_of_range(run: Path, name: str) -> None:
    for value in ("x" if name != "validation" else [1], -5, [[]], {"a": 1}):
        changed(run / "run.json", lambda document, value=value: document["training"].update({name: value}))  # type: ignore[misc]
        with pytest.raises(VqkitError):
            resume(run, steps=3, **QUIET)
        if name != "validation":  # of any name, but data that is not there
            told(["info", str(run)])


def test_a_setting_that_a_later_version_may_know_is_refused_by_resume_and_not_by_info(run: Path) -> None:
    changed(run / "run.json", lambda document: document["training"].update(levity=3))
    assert CliRunner().invoke(app, ["info", str(run)]).exit_code == 0
    with pytest.raises(ConfigError, match="levity"):
        resume(run, steps=3, **QUIET)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "3",
        "{}",
        '{"step": "1", "kind": "train"}',
        '{"step": 1, "kind": 3}',
        '{"step": 1, "kind": "warning"}',
        '{"step": 1, "kind": "final", "items": "x"}',
        '{"step": 1, "kind": "final", "items": 3, "psnr_db": [1]}',
        '{"step": 1, "kind": "final", "items": 3, "psnr_db": 1' + 400 * "0" + "}",
        "[" * 100_000,
    ],
)
def test_lines_that_no_log_has(run: Path, line: str) -> None:
    log = run / "log.jsonl"
    whole = log.read_text()
    log.write_text(whole + line[: len(line) - 1])  # the last: a crash cut it short
    assert len(read_log(run)) == len(whole.splitlines())
    log.write_text(f"{line}\n{whole}")
    with pytest.raises(ModelFolderError, match="line 1"):
        read_log(run)
    assert "log.jsonl, line 1" in told(["info", str(run)])


def test_a_final_line_without_its_numbers_is_told_all_the_same(run: Path) -> None:
    log = run / "log.jsonl"
    log.write_text('{"step": 2, "kind": "final"}\n{"step": 2, "kind": "warning", "message": "\\u001b[31mred"}\n')
    done = CliRunner().invoke(app, ["info", str(run)])
    assert done.exit_code == 0, done.exception
    assert "NMSE unknown" in done.output
    assert "\x1b" not in done.output
    assert describe({"items": 3, "nmse": None, "latent_numbers": 4.0}) == "NMSE unknown, 4 numbers an item (3 items)"


@pytest.mark.parametrize(
    "change",
    [
        {"codebook_size": 10**9},
        {"hidden_channels": 1 << 15},
        {"residual_blocks": 4000},
        {"widths": [8] * 60},
        {"codebook_size": "8"},
        {"code_dim": 8},
        {"model_type": "vae", "size": [10**9, 10**9]},
        {"model_type": "transformer"},
        {"model_type": "a" * 10**5},
        {"surprise": 1},
    ],
)
def test_resume_builds_no_more_than_the_checkpoint_holds(run: Path, change: dict[str, Any]) -> None:
    changed(run / "run.json", lambda document: document["model"].update(change))
    tracemalloc.start()
    try:
        with pytest.raises(VqkitError) as caught:
            resume(run, steps=3, **QUIET)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 1500


def test_what_is_solved_in_closed_form_is_bounded_by_its_data(data: Path, tmp_path: Path) -> None:
    out = train(PCA(4, size=[8, 8], channels=1), str(data), out=tmp_path / "pca", **QUIET).path
    assert resume(out, **QUIET).finished
    changed(out / "run.json", lambda document: document["model"].update(size=[512, 512], components=1000))
    with pytest.raises(ModelFolderError, match=r"run\.json describes more than .*bytes.*1,536 numbers"):
        resume(out, **QUIET)


@pytest.mark.parametrize("name", ["model/decoder.layers.0.weight", "average/quantizer.codebook"])
def test_a_checkpoint_with_nan_is_passed_over_and_a_run_of_nothing_else_refused(run: Path, name: str) -> None:
    rewritten(newest(run), lambda tensors: tensors[name].view(-1)[:1].fill_(float("nan")))
    saved, problems = checkpoint.latest(run / "checkpoints")
    assert saved is not None
    assert saved.step == 0
    assert name in problems[0]
    assert "NaN" in problems[0]
    only_newest(run)
    with pytest.raises(ModelFolderError, match="none of its checkpoints reads back whole"):
        resume(run, steps=3, **QUIET)


def test_checkpoints_of_other_shapes_or_names(run: Path) -> None:
    place = only_newest(run)
    good = load_file(place / "state.safetensors")
    some = "optimizer/decoder.layers.0.weight/exp_avg"
    assert some in good
    for harm in (
        lambda tensors: tensors.pop("random/torch"),
        lambda tensors: tensors.update({"random/torch": torch.zeros(3)}),
        lambda tensors: tensors.update({some: torch.zeros(3)}),
        lambda tensors: tensors.pop("average/quantizer.codebook"),
        lambda tensors: tensors.update({"average/quantizer.codebook": torch.zeros(8, 5)}),
        lambda tensors: tensors.pop("model/quantizer.codebook"),
    ):
        save_file(good, place / "state.safetensors")
        rewritten(place, harm)
        with pytest.raises(ModelFolderError):
            resume(run, steps=3, **QUIET)


@pytest.mark.parametrize(
    "name", ["seconds", "evaluations_done", "sums", "summed", "restarts", "monitor", "doctor", "log_size"]
)
def test_values_of_a_checkpoint_of_other_types(run: Path, name: str) -> None:
    place = only_newest(run) / "state.json"
    good = place.read_text()
    for value in ("x", [[1]], {"histogram": [[10**30]]}, -1.5):
        place.write_text(good)
        changed(place, lambda document, value=value: document["values"].update({name: value}))  # type: ignore[misc]
        try:
            resume(run, steps=3, **QUIET)
        except ModelFolderError as error:
            assert str(run) in str(error)  # noqa: PT017
        else:
            assert (name, value) in [("seconds", -1.5)], (name, value)


@pytest.mark.parametrize("text", ["[]", "[" * 10**5, '{"step": 2}', '{"step": -1, "sha256": "", "values": {}}'])
def test_values_that_are_none(run: Path, text: str) -> None:
    (only_newest(run) / "state.json").write_text(text)
    with pytest.raises(ModelFolderError, match="none of its checkpoints"):
        resume(run, steps=3, **QUIET)


def test_more_codes_than_can_be_counted_are_refused() -> None:
    with pytest.raises(ConfigError, match="more memory than this machine has"):
        CodebookMonitor(1 << 50)


def test_settings_of_a_folder(tmp_path: Path) -> None:
    for text in ("[]", "[" * 10**5, "{}", '{"settings": 3}', '{"settings": {}, "made_of": [1]}', '{"settings": [1]}'):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(ConfigError, match=r"settings\.json: damaged"):
            recorded(tmp_path)
    (tmp_path / "settings.json").write_text('{"settings": {"a": 1}}')
    assert recorded(tmp_path) == {"settings": {"a": 1}}


def test_a_run_that_is_whole_goes_on(run: Path, data: Path) -> None:
    assert read_config(run)["data"] == str(data)
    assert resume(run, steps=3, **QUIET).step == 3
    assert len(load_source(str(data))) == 24
