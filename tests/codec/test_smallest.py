"""``compress`` keeps the smallest file that a run's priors make, and ``decompress`` finds what it was coded with."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli.cases import refused
from vqkit.codec import Compressor, RateController, Signal, entropy_model
from vqkit.codec.entropy.smallest import write_smallest
from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.priors import ContextPrior, HistogramPrior

SIZE = (16, 16)


def tokenizer() -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(16, channels=1, hidden_channels=8, residual_channels=4, code_dim=4, downsampling=4)
    model.prepare([torch.rand(32, 1, 16, 16)])
    return model.eval()


def images(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Mostly black, so that some codes are far commoner than others."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (count, 1, 16, 16)) * (rng.random((count, 1, 1, 1)) < 0.2)).astype(np.uint8)


def histogram(model: VQVAE) -> HistogramPrior:
    prior = HistogramPrior(16, model.grid(SIZE))
    prior.count(model.encode(torch.from_numpy(images(300))))
    return prior


def context(model: VQVAE) -> ContextPrior:
    """One that has learned nothing: every index costs about its whole bits."""
    torch.manual_seed(1)
    return ContextPrior(16, model.grid(SIZE), hidden_channels=8, layers=1).eval()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    model = tokenizer()
    model.save_pretrained(tmp_path / "run/model")
    context(model).save_pretrained(tmp_path / "run/context/run/model")
    histogram(model).save_pretrained(tmp_path / "run/context/histogram")
    np.save(tmp_path / "many.npy", images(200, seed=1).transpose(0, 2, 3, 1))
    np.save(tmp_path / "one.npy", images(1, seed=5).transpose(0, 2, 3, 1))
    return tmp_path / "run"


def test_a_weak_context_prior_gives_way_to_the_histogram(vq: Any, run: Path, tmp_path: Path) -> None:
    sizes = {}
    for name, options in {
        "chosen": (), "context": ("--prior", run / "context/run"), "histogram": ("--prior", run / "context/histogram"),
        "uniform": ("--prior", "none"),
    }.items():  # fmt: skip
        assert vq("compress", "many.npy", "-m", run, "-o", f"{name}.vqk", "--json", "s.json", *options).status == 0
        told = json.loads(Path("s.json").read_text())
        sizes[name] = Path(f"{name}.vqk").stat().st_size
        assert told["file_bytes"] == sizes[name]
        if name == "chosen":
            assert told["used"] == "histogram"
            assert set(told["model_bits"]) == {"context", "histogram", "uniform"}
    assert sizes["chosen"] == sizes["histogram"] == min(sizes.values()) < sizes["context"]
    assert Path("chosen.vqk").read_bytes() == Path("histogram.vqk").read_bytes()
    for name in ("chosen", "context"):
        assert vq("decompress", f"{name}.vqk", "-m", run, "-o", name).status == 0
    first, second = (np.load(each) if each.suffix == ".npy" else each.read_bytes() for each in
                     (tmp_path / "chosen/000007.png", tmp_path / "context/000007.png"))  # fmt: skip
    assert first == second


def test_where_every_byte_counts_no_prior_is_the_smallest(vq: Any, run: Path) -> None:
    """The digest of a prior has 16 bytes, and 16 indices of 4 bits have 8."""
    vq("compress", "one.npy", "-m", run, "-o", "f.vqk", "--json", "s.json")
    assert json.loads(Path("s.json").read_text())["used"] == "uniform"
    vq("compress", "one.npy", "-m", run, "-o", "h.vqk", "--prior", run / "context/histogram")
    assert Path("f.vqk").stat().st_size < Path("h.vqk").stat().st_size
    assert vq("decompress", "f.vqk", "-m", run, "-o", "back").status == 0
    refused(vq("decompress", "f.vqk", "-m", run, "-o", "b", "--prior", run / "context/run"), "--prior", "leave it out")
    refused(vq("decompress", "f.vqk", "-m", run, "-o", "b", "--pixels", run), "is not lossless")
    refused(vq("compress", "one.npy", "-m", run, "-o", "f.vqk", "--pixels", run), "--lossless")


def test_a_good_prior_is_used(tmp_path: Path) -> None:
    model = tokenizer()
    models = [entropy_model(each, 16) for each in (histogram(model), None)]
    signals = [Signal(each) for each in images(100, seed=2)]
    report = write_smallest(Compressor(model, models[0], beside=models[1:]), tmp_path / "f.vqk", signals)
    assert report.used == "histogram"
    alone = io.BytesIO()
    Compressor(model, models[0]).write(alone, signals)
    assert (tmp_path / "f.vqk").read_bytes() == alone.getvalue()


def test_a_rate_is_met_under_the_prior_that_is_cheapest(vq: Any, run: Path) -> None:
    model = tokenizer()
    batch = torch.from_numpy(images(100, seed=3))
    entropies = [entropy_model(each, 16) for each in (context(model), histogram(model))]
    wanted = 0.16
    alone, both = (
        RateController(model, entropies[0], wanted, rivals=more).settings(batch) for more in ([], entropies[1:])
    )
    assert both[1] is not None
    assert alone[1] is not None
    assert both[1] < alone[1], "less weight on bits is needed where they are cheaper"


def test_a_prior_trained_later_does_not_hide_the_one_of_a_file(vq: Any, run: Path) -> None:
    model = tokenizer()
    (run / "context").rename(run / "prior")
    vq("compress", "many.npy", "-m", run, "-o", "f.vqk", "--prior", run / "prior/histogram")
    later = HistogramPrior(16, model.grid(SIZE))
    later.count(model.encode(torch.from_numpy(images(9, seed=9))))
    later.save_pretrained(run / "context/histogram")
    assert vq("decompress", "f.vqk", "-m", run, "-o", "back").status == 0


def test_more_files_than_models_are_refused_and_none_is_left_empty() -> None:
    torch.manual_seed(0)
    model = VQVAE(16, channels=1, hidden_channels=8, residual_channels=4).eval()
    compressor = Compressor(model, entropy_model(None, 16))
    with pytest.raises(ConfigError, match="2 files for 1 entropy models"):
        compressor.write_each([io.BytesIO(), io.BytesIO()], [Signal(np.zeros((1, 8, 8), np.uint8))])
