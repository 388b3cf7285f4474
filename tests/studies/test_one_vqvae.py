"""One VQ-VAE: what ``compare`` and ``study codebooks`` train is the same, and what differs by default is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import vqkit
from vqkit.data import Source, load_source
from vqkit.models import VQVAE, load_model
from vqkit.studies.standard import differences, in_words
from vqkit.training import TrainConfig

SAME: dict[str, Any] = {
    "steps": 4, "hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2, "batch_size": 16,
    "validation": 0.4, "linear_path": True,
}  # fmt: skip


def digits() -> Source:
    return load_source("digits").subset(range(120))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(folder / "model").state_dict())


def test_compare_and_the_study_of_codebooks_train_the_same_model(tmp_path: Path) -> None:
    ladder = vqkit.compare(
        digits(), tmp_path / "c", rungs=["vqvae"], quiet=True, codebook_size=8, prior_steps=1, prior_channels=4,
        prior_layers=1, samples=32, features="random", **SAME,
    )  # fmt: skip
    study = vqkit.codebooks(digits(), tmp_path / "s", quiet=True, sizes=[8], quantizers=["ema"], **SAME)
    (rung,), (entry,) = ladder.document["rungs"], study.document["entries"]
    assert rung["psnr_db"] == entry["psnr_db"]
    assert rung["perplexity"] == entry["perplexity"]
    first, second = (weights(tmp_path / place) for place in ("c/vqvae/run", "s/ema-k8/run"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    told = in_words(entry["differs"], "of this comparison")
    assert told in rung["notes"]
    for name in ("hidden_channels=8", "linear_path=true", "cosine=false", "batch_size=16"):
        assert name in told
    assert "linear_path=true" in study.report.read_text(encoding="utf-8")


def test_the_standard_model_differs_in_nothing() -> None:
    source, training = digits(), TrainConfig(steps=3)
    assert differences(VQVAE.for_source(source, 8), source, training) == {}
    assert "is the one that vqkit train makes." in in_words({}, "here")


def test_what_differs_is_named_with_its_value() -> None:
    source = digits()
    model = VQVAE.for_source(source, 8, linear_path=True, hidden_channels=64, num_codebooks=2, stacking="residual")
    found = differences(model, source, TrainConfig(steps=3, flip=True))
    assert found == {"hidden_channels": 64, "linear_path": True, "flip": True}  # a residual stack has no sphere anyway


def test_the_published_defaults_of_both_are_said(tmp_path: Path) -> None:
    """The page that compares them names each default that is not the same."""
    from vqkit.studies.codebooks.settings import CodebooksConfig
    from vqkit.studies.ladder.settings import CompareConfig

    mine, theirs = CodebooksConfig().as_dict(), CompareConfig().as_dict()
    page = (Path(__file__).parents[2] / "docs" / "choosing-a-quantizer.md").read_text(encoding="utf-8")
    section = page[page.index("## The same VQ-VAE everywhere") :]
    for name in ("hidden_channels", "linear_path", "steps"):
        assert mine[name] != theirs[name]
    for name in mine.keys() & theirs.keys():
        if mine[name] != theirs[name] and name != "crop":  # of images of several sizes: cut once, or anew in each step
            row = f"| `{name}` | {_shown(theirs[name])} | {_shown(mine[name])} |"
            assert row in section, row


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:,}" if isinstance(value, int) else str(value)
