"""Held-out data, and data to judge on, given in Python as sources, arrays, tensors, lists, paths and tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import vqkit
from vqkit import evaluate, evaluation_batches, load_source, resume, tokenize, train
from vqkit.cli.main import app
from vqkit.errors import ConfigError, DataError
from vqkit.models import PCA, VAE, VQVAE
from vqkit.priors import GatedPixelCNN
from vqkit.training import TrainConfig
from vqkit.training.recipes.prior import train_prior

GENERATOR = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=GENERATOR)
OTHERS = torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8, generator=GENERATOR)
TINY: dict[str, Any] = {"code_dim": 8, "hidden_channels": 8, "residual_channels": 4}
RUN: dict[str, Any] = {"steps": 2, "batch_size": 8, "evaluations": 0, "quiet": True, "tensorboard": False}
AGAIN: dict[str, Any] = {"quiet": True, "tensorboard": False}


def small() -> VQVAE:
    return VQVAE.for_source(load_source(PIXELS), 16, seed=0, **TINY)


def recorded(path: Path) -> Any:
    return json.loads((path / "run.json").read_text())["training"]["validation"]


@pytest.mark.parametrize("how", ["source", "array", "tensor", "list", "name", "path", "named source", "config"])
def test_held_out_data_of_any_form_give_the_same_run(how: str, tmp_path: Path) -> None:
    file = tmp_path / "v.npy"
    np.save(file, OTHERS.numpy())
    given: Any = {
        "source": load_source(OTHERS),
        "array": OTHERS.numpy(),
        "tensor": OTHERS,
        "list": [Image.fromarray(each[0].numpy()) for each in OTHERS],
        "name": str(file),
        "path": file,
        "named source": load_source(file),
        "config": TrainConfig(steps=2, batch_size=8, evaluations=0, validation=OTHERS),
    }[how]
    if how == "config":
        run = train(small(), PIXELS, out=tmp_path / "r", config=given, **AGAIN)
    else:
        run = train(small(), PIXELS, out=tmp_path / "r", validation=given, **RUN)
    assert run.evaluation is not None
    assert run.evaluation["items"] == run.evaluation["of"] == 12
    assert run.evaluation["mse"] == evaluate(run.model(), OTHERS).mse
    named = how in ("name", "path", "named source")
    told = load_source(OTHERS if how == "config" else given).describe()
    assert recorded(run.path) == (str(file) if named else f"given:{told}")
    if named:
        assert resume(run.path, data=PIXELS, steps=3, **AGAIN).step == 3


def test_what_has_no_name_is_asked_for_again(tmp_path: Path) -> None:
    run = train(small(), PIXELS, out=tmp_path / "r", validation=OTHERS, **RUN)
    with pytest.raises(DataError, match=r"held-out data .*in Python.*vqkit\.resume\(.*/r', validation="):
        resume(run.path, data=PIXELS, steps=4, **AGAIN)
    with pytest.raises(DataError, match="held-out data"):  # other contents
        resume(run.path, data=PIXELS, validation=OTHERS[:-1], steps=4, **AGAIN)
    with pytest.raises(ConfigError, match="validation"):  # a share is another split
        resume(run.path, data=PIXELS, validation=0.1, steps=4, **AGAIN)
    again = resume(run.path, data=PIXELS, validation=OTHERS.numpy(), steps=4, **AGAIN)
    whole = train(small(), PIXELS, out=tmp_path / "w", validation=OTHERS, **{**RUN, "steps": 4})
    assert again.evaluation is not None
    assert whole.evaluation is not None
    assert again.evaluation["of"] == whole.evaluation["of"] == 12
    np.save(tmp_path / "v.npy", OTHERS.numpy())
    np.save(tmp_path / "x.npy", PIXELS.numpy())
    words = ["train", str(tmp_path / "x.npy"), "--resume", str(run.path), "--steps", "5"]
    asked = CliRunner().invoke(app, words)
    assert isinstance(asked.exception, DataError)
    assert "--validation" in str(asked.exception)
    found = CliRunner().invoke(app, [*words, "--validation", str(tmp_path / "v.npy")])
    assert found.exit_code == 0, found.output
    assert recorded(run.path) == str(tmp_path / "v.npy")


def test_parts_of_named_data_are_asked_for_again_in_one_message(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", PIXELS.numpy())
    train_part, other_part = vqkit.split(load_source(tmp_path / "x.npy"), 0.2)
    run = train(small(), train_part, out=tmp_path / "r", validation=other_part, **RUN)
    with pytest.raises(
        DataError, match=r"data \(32 grey.*held-out data \(8 grey.*resume\(.*, data=\.\.\., validation="
    ):
        resume(run.path, steps=4, **AGAIN)
    with pytest.raises(DataError, match=r"data=\.\.\.\)"):
        resume(run.path, validation=other_part, steps=4, **AGAIN)
    with pytest.raises(DataError, match=r"r', validation=\.\.\.\)"):
        resume(run.path, data=train_part, steps=4, **AGAIN)
    asked = CliRunner().invoke(app, ["train", "--resume", str(run.path), "--steps", "4"])
    assert "vqkit train DATA --validation DATA --resume" in str(asked.exception)
    judged = CliRunner().invoke(app, ["eval", str(run.path)])
    assert "name the DATA to use" in str(judged.exception)
    assert resume(run.path, data=train_part, validation=other_part, steps=4, **AGAIN).step == 4


@pytest.mark.parametrize("given", [PIXELS, PIXELS.numpy(), list(PIXELS), load_source(PIXELS)])
def test_an_array_is_asked_for_again(given: Any, tmp_path: Path) -> None:
    run = train(small(), given, out=tmp_path / "r", **RUN)
    with pytest.raises(DataError, match=r"given its data \(40 grey.*vqkit\.resume\(.*, data=\.\.\.\)"):
        resume(run.path, steps=3, **AGAIN)
    assert resume(run.path, data=given, steps=3, **AGAIN).step == 3


def test_other_data_than_the_recorded_is_told_with_the_repair(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", PIXELS.numpy())
    run = train(small(), tmp_path / "x.npy", out=tmp_path / "r", **RUN)
    np.save(tmp_path / "x.npy", OTHERS.numpy())
    with pytest.raises(DataError, match=r"perhaps a part of it \(vqkit\.resume\(.*, data="):
        resume(run.path, steps=3, **AGAIN)
    (tmp_path / "x.npy").unlink()
    with pytest.raises(DataError, match=r"does not exist.*or the same array, again: vqkit\.resume\(.*, data="):
        resume(run.path, steps=3, **AGAIN)


def test_held_out_data_that_have_moved_are_told_by_their_contents(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", OTHERS.numpy())
    run = train(small(), PIXELS, out=tmp_path / "r", validation=tmp_path / "v.npy", **RUN)
    (tmp_path / "v.npy").rename(tmp_path / "w.npy")
    with pytest.raises(DataError, match="does not exist"):
        resume(run.path, data=PIXELS, steps=3, **AGAIN)
    resume(run.path, data=PIXELS, validation=tmp_path / "w.npy", steps=3, **AGAIN)
    assert recorded(run.path) == str(tmp_path / "w.npy")
    resume(run.path, data=PIXELS, validation=OTHERS, steps=4, **AGAIN)
    np.save(tmp_path / "v.npy", PIXELS[:12].numpy())
    with pytest.raises(DataError, match="contents differ"):
        resume(run.path, data=PIXELS, validation=tmp_path / "v.npy", steps=5, **AGAIN)


@pytest.mark.parametrize("bad", [None, True, b"0.1", {"a": 1}])
def test_what_is_no_held_out_data_is_refused(bad: Any) -> None:
    with pytest.raises(ConfigError, match="validation"):
        TrainConfig(validation=bad)


def test_held_out_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not match"):
        train(small(), PIXELS, out=tmp_path / "r", validation=np.zeros((4, 3), np.float32), **RUN)
    assert TrainConfig(validation=np.float32(0.25)).validation == 0.25


def test_of_closed_form_of_tokens_and_of_priors(tmp_path: Path) -> None:
    pca = train(PCA.for_source(load_source(PIXELS), 4), PIXELS, out=tmp_path / "a", validation=OTHERS, **AGAIN)
    assert pca.evaluation is not None
    assert pca.evaluation["items"] == 12
    model = small().eval()
    tokens, others = (tokenize(model, each, out=tmp_path / name) for each, name in ((PIXELS, "t"), (OTHERS, "o")))
    for number, given in enumerate([others, others.path]):
        prior = GatedPixelCNN.for_tokens(tokens, layers=1, hidden_channels=8)
        run = train(prior, tokens, out=tmp_path / f"p{number}", validation=given, **RUN)
        assert run.evaluation is not None
        assert run.evaluation["items"] == 12
        assert recorded(run.path) == str(others.path.resolve())
        assert resume(run.path, steps=3, **AGAIN).step == 3
    for _ in range(2):  # the second goes on with the first
        config = TrainConfig(steps=2, batch_size=8, evaluations=0, validation=OTHERS)
        options = {"layers": 1, "hidden_channels": 8}
        own = train_prior(model, load_source(PIXELS), tmp_path / "q", config=config, options=options, quiet=True)
        assert own.evaluation is not None
        assert own.evaluation["items"] == 12


@pytest.mark.parametrize("how", ["batches", "list of batches", "source", "array", "tensor", "list", "path", "floats"])
def test_a_model_is_judged_on_data_of_any_form(how: str, tmp_path: Path) -> None:
    model = small().eval()
    wanted = evaluate(model, evaluation_batches(load_source(OTHERS), 64))
    np.save(tmp_path / "v.npy", OTHERS.numpy())
    given: Any = {
        "batches": evaluation_batches(load_source(OTHERS), 5),
        "list of batches": list(evaluation_batches(load_source(OTHERS), 5)),
        "source": load_source(OTHERS),
        "array": OTHERS.numpy(),
        "tensor": OTHERS,
        "list": [(each, 0) for each in OTHERS],
        "path": tmp_path / "v.npy",
        "floats": OTHERS.float() / 255,
    }[how]
    found = evaluate(model, given)
    assert (found.items, found.usage, found.positions) == (12, wanted.usage, wanted.positions)
    assert found.mse == pytest.approx(wanted.mse, rel=1e-6)


def test_it_is_judged_as_the_command_line_does(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (6, 3, 12, 9), dtype=np.uint8)
    np.save(tmp_path / "c.npy", colour)
    run = train(
        VAE.for_source(load_source(PIXELS), 4, seed=0, hidden_channels=8, residual_channels=4),
        PIXELS,
        out=tmp_path / "r",
        **RUN,
    )
    words = ["eval", str(run.path), str(tmp_path / "c.npy"), "--json", str(tmp_path / "e.json")]
    assert CliRunner().invoke(app, words).exit_code == 0
    theirs, mine = json.loads((tmp_path / "e.json").read_text()), evaluate(run.model(), colour).as_dict()
    assert {**mine, "seconds": 0}.items() <= {**theirs, "seconds": 0}.items()


@pytest.mark.parametrize("bad", [3, np.zeros((4, 7), np.float32), "no/such/folder", [], np.zeros((3, 5, 8, 8), "u1")])
def test_what_cannot_be_judged_is_said(bad: Any) -> None:
    with pytest.raises(DataError):
        evaluate(small().eval(), bad)


def test_batches_for_evaluation_are_public() -> None:
    assert "evaluation_batches" in vqkit.__all__
