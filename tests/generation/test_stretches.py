"""Stretches of sounds drawn anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.errors import ConfigError, DataError
from vqkit.generation import redraw_stretch
from vqkit.signals.wav import write_wav

RATE, LENGTH = 8000, 500


@pytest.fixture(scope="module")
def pair() -> tuple[vqkit.VQVAE, Any, torch.Tensor]:
    torch.manual_seed(0)
    options = {"hidden_channels": 4, "residual_blocks": 1, "residual_channels": 4, "code_dim": 4, "downsampling": 4}
    model = vqkit.VQVAE(16, axes=1, channels=1, kind=f"sound@{RATE}", **options)
    sound = torch.rand(1, LENGTH) - 0.5
    model.prepare([torch.rand(4, 1, 400) - 0.5])
    prior = vqkit.MaskedPrior(16, (40,), hidden_channels=16, layers=1, heads=2).eval()
    return model.eval(), prior, sound


@pytest.mark.parametrize(("start", "stop"), [(0, 40), (101, 140), (30, 460), (480, 500), (500, 700), (450, 613)])
def test_only_the_stretch_is_drawn(pair: Any, start: int, stop: int) -> None:
    model, prior, sound = pair
    made = redraw_stretch(model, prior, sound, start, stop, 3, generator=torch.Generator().manual_seed(0))
    assert made.shape == (3, 1, max(LENGTH, stop))
    own = [place for place in range(LENGTH) if not start <= place < stop]
    assert torch.equal(made[:, :, own], sound[:, own].expand(3, 1, -1))
    decoded = redraw_stretch(model, prior, sound, start, stop, 3, fade=None, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made[:, :, start:stop], decoded[:, :, start:stop])
    indices, kept = model.encode(decoded), model.encode(sound[None])
    assert indices.shape[1] == -(-max(LENGTH, stop) // 4)
    assert kept.shape[1] == 125


def test_the_fade_goes_from_the_sound_to_what_was_drawn(pair: Any) -> None:
    model, prior, sound = pair
    hard, soft, decoded = (
        redraw_stretch(model, prior, sound, 200, 240, 1, fade=fade, generator=torch.Generator().manual_seed(0))
        for fade in (0, 9, None)
    )
    assert torch.equal(soft[..., :190], hard[..., :190])
    assert torch.allclose(soft[..., 195], 0.5 * (sound[:, 195] + decoded[0, :, 195]))
    assert torch.equal(soft[..., 249:], hard[..., 249:])


def test_stretches_and_sounds_that_do_not_work(pair: Any) -> None:
    model, prior, sound = pair
    for start, stop in ((10, 10), (-1, 5), (501, 600)):
        with pytest.raises(DataError, match="begins within the 500 samples"):
            redraw_stretch(model, prior, sound, start, stop, 1)
    with pytest.raises(DataError, match="of 160 samples or more"):
        redraw_stretch(model, prior, sound[:, :100], 10, 20, 1)
    images = vqkit.VQVAE(16, hidden_channels=8).eval()
    grids = vqkit.MaskedPrior(16, (4, 4), hidden_channels=16, layers=1, heads=2).eval()
    with pytest.raises(ConfigError, match="2 axes"):
        redraw_stretch(images, grids, torch.rand(3, 16, 16), 0, 4, 1)


@pytest.fixture(scope="module")
def folder(pair: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, prior, sound = pair
    path = tmp_path_factory.mktemp("edit")
    model.save_pretrained(path / "model")
    prior.save_pretrained(path / "prior")
    write_wav(path / "sound.wav", sound.numpy(), RATE)
    return path


def _edit(folder: Path, line: str, out: str) -> Any:
    words = ["edit", str(folder / "model"), str(folder / "sound.wav"), "--prior", str(folder / "prior"), "-n", "2"]
    return CliRunner().invoke(app, [*words, "--out", str(folder / out), *line.split()])


def test_the_command_writes_sounds_and_a_sheet(folder: Path) -> None:
    pytest.importorskip("soundfile")
    done = _edit(folder, "--from 0.02 --to 0.03", "middle")
    assert done.exit_code == 0, done.output
    assert sorted(each.name for each in (folder / "middle").iterdir()) == ["000.wav", "001.wav", "sheet.png"]
    before, after = (vqkit.load_source(str(file)).read(0) for file in (folder / "sound.wav", folder / "middle/000.wav"))
    changed = np.flatnonzero(np.abs(before - after)[0] > 1e-3)
    assert 0.01 * RATE <= changed.min() < 0.02 * RATE
    assert changed.max() < 0.04 * RATE
    longer = _edit(folder, "--to 0.1 --seed 1", "longer")
    assert longer.exit_code == 0, longer.output
    assert vqkit.load_source(str(folder / "longer/001.wav")).size == (800,)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "give the seconds to draw anew: --from 1.0 --to 1.5"),
        ("--from 9", "the sound ends at 0.0625 s"),
        ("--from 0.03 --to 0.02", "nothing to draw"),
        ("--to cat.png", "--to cat.png: give seconds"),
        ("--from 0.01 --box 0,0,4,4", "--box: of images"),
        ("--from 0.01 --extend right=4", "--extend: of images"),
    ],
)
def test_lines_that_say_no_stretch_are_refused(folder: Path, line: str, message: str) -> None:
    pytest.importorskip("soundfile")
    done = _edit(folder, line, "never")
    assert done.exit_code != 0
    assert message in f"{done.output} {done.exception}"
    assert not (folder / "never").exists()
