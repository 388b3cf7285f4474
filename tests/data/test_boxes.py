"""One large field as data: what is trained on, and what is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.data.views.boxes import Boxes, halves
from vqkit.errors import ConfigError
from vqkit.tokens import load_tokens
from vqkit.training import TrainConfig
from vqkit.training.inputs.holdout import cut_note, validation_split
from vqkit.training.recipes.prior import train_prior

SMALL = {"hidden_channels": 8, "layers": 1}


def _field(shape: tuple[int, ...]) -> vqkit.data.Source:
    values = np.arange(2 * int(np.prod(shape)), dtype=np.float32).reshape(1, 2, *shape)
    return vqkit.load_source(values, kind=f"field@NC{'DHW'[-len(shape) :]}")


@given(
    shape=st.one_of(st.tuples(*[st.integers(2, 90)] * 2), st.tuples(*[st.integers(2, 20)] * 3)),
    fraction=st.floats(0.01, 0.99),
    largest=st.integers(1, 64),
)
@settings(max_examples=25, deadline=None)
def test_beginning_and_end_hold_every_value_once(shape: tuple[int, ...], fraction: float, largest: int) -> None:
    source = _field(shape)
    training, held_out = halves(source, fraction, largest)
    parts = [training.read(0), *(held_out.read(number) for number in range(len(held_out)))]
    seen = np.sort(np.concatenate([part[0].ravel() for part in parts]))
    np.testing.assert_array_equal(seen, np.sort(source.read(0)[0].ravel()))
    assert held_out.item_sizes().max() <= largest
    own, other = training.item_sizes()[0], np.array(shape)
    assert (own != other).sum() == 1
    assert shape[int(np.argmax(own != other))] == max(shape)


def test_boxes_lie_within_the_item() -> None:
    with pytest.raises(ConfigError, match="boxes"):
        Boxes(_field((4, 4)), np.array([[2, 2]]), np.array([[3, 2]]))


def test_a_single_field_is_split_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = _field((50, 100))
    config = TrainConfig(steps=1)
    training, held_out = validation_split(source, config)
    assert (training.item_sizes().tolist(), held_out.item_sizes().tolist()) == ([[50, 75]], [[50, 25]])
    note = cut_note(source, config)
    assert note is not None
    assert "first 75 positions along axis 2" in note
    assert "last 25 held out" in note
    assert cut_note(vqkit.load_source("builtin:digits"), config) is None
    with pytest.raises(ConfigError, match=r"is one field.*give a fraction"):
        validation_split(source, TrainConfig(steps=1, validation="last:1"))
    rng = np.random.default_rng(0)
    np.save("scan.npy", rng.normal(size=(1, 24, 40, 48)).astype(np.float32))
    run = CliRunner().invoke
    small = ["--hidden-channels", "8", "-k", "8", "--steps", "2", "--no-tensorboard"]
    done = run(app, ["train", "scan.npy", "--kind", "field", "--layout", "CDHW", *small, "-o", "run"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "the last 12 held out" in " ".join(done.output.split())
    for command in (["eval", "run"], ["encode", "run", "scan.npy", "-o", "t"], ["score", "run", "scan.npy"]):
        done = run(app, command)
        assert done.exit_code == 0, (done.output, done.exception)
    done = run(app, ["prior", "run", "--kind", "context", "--steps", "2", "--no-tensorboard"])
    assert done.exit_code == 0 or "No such option" in done.output, (done.output, done.exception)


def test_priors_learn_from_squares_that_lie_within_both_parts(tmp_path: Path) -> None:
    source = _field((40, 90))
    model = vqkit.VQVAE.for_source(source, 8, hidden_channels=8, residual_channels=4)
    config = TrainConfig(steps=1, batch_size=2)
    train_prior(
        model, source, tmp_path / "prior", prior_type="context", options=SMALL, config=config, crops=8, quiet=True
    )
    tokens = load_tokens(tmp_path / "prior" / "tokens")
    assert tokens.grid == (5, 5)  # squares of 20: the held-out end is 22 wide, and no square has gaps
    assert all(tokens.gaps(number) is None for number in range(len(tokens)))
