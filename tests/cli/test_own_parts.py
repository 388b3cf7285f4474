"""Parts of one's own on the command line: their faults are called theirs, and words fit the kind of signal."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli.cases import TINY, refused
from vqkit import HistogramPrior, MaskedPrior, TransformerPrior, load_source
from vqkit.cli.generating import what_is_seen
from vqkit.priors import Prior
from vqkit.quantizers import QUANTIZERS
from vqkit.signals import SIGNALS, Signal

FAULTY = """
import torch
from vqkit.quantizers import QUANTIZERS, Quantization, Quantizer

@QUANTIZERS.register("faulty")
class Faulty(Quantizer):
    def __init__(self, codebook_size: int, code_dim: int) -> None:
        super().__init__()
        self.codebook_size, self.code_dim = codebook_size, code_dim

    def encode(self, latents):
        if len(latents) > MOST:
            return torch.zeros(3) @ torch.zeros(4)
        return torch.zeros(len(latents), *latents.shape[2:], dtype=torch.int64)

    def lookup(self, indices):
        return torch.zeros(len(indices), self.code_dim, *indices.shape[1:])

    def forward(self, latents, mask=None):
        indices = self.encode(latents)
        return Quantization(latents + (self.lookup(indices) - latents).detach(), indices, {})
"""


class Words(Signal):
    """Two numbers a position, in files of words that only this kind reads."""

    axes = 1
    noun = ("record", "records")
    unit = "beats"
    extensions = (".words",)

    def read(self, path: Path) -> Any:
        """Whatever ``float`` raises."""
        return np.array([[float(word) for word in line.split()] for line in path.read_text().splitlines()], np.float32)

    def example(self, count: int, generator: np.random.Generator) -> Any:
        """Random ones."""
        return generator.standard_normal((count, 2, 16), dtype=np.float32)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    SIGNALS.register("words")(Words)
    (tmp_path / "words").mkdir()
    for number, item in enumerate(Words().example(12, np.random.default_rng(0))):
        text = "\n".join(" ".join(map(str, line)) for line in item)
        (tmp_path / "words" / f"{number:02}.words").write_text(text)
    return tmp_path / "words"


@pytest.mark.usefixtures("own_registries")
@pytest.mark.parametrize(
    ("most", "said", "words"),
    [
        (2, "the quantizer 'faulty' (package somebodys_part) failed", ["VQKIT_TRACEBACK=1"]),
        (1, "quantizer Faulty.encode fails on a batch of the right shape", ["repair it there"]),
    ],
)
def test_a_fault_in_a_part_of_another_package_is_called_its_own(
    vq: Any, monkeypatch: pytest.MonkeyPatch, most: int, said: str, words: list[str]
) -> None:
    module = ModuleType("somebodys_part")
    module.MOST = most  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "somebodys_part", module)
    exec(FAULTY, module.__dict__)
    outcome = vq("train", "digits", "--out", "r", *TINY, "--quantizer", "faulty", "--steps", 2)
    refused(outcome, said, *words)
    assert "vqkit's own" not in outcome.err
    assert "faulty" in QUANTIZERS


@pytest.mark.usefixtures("own_registries")
def test_a_file_that_a_kind_of_ones_own_fails_on_is_left_out_and_named(vq: Any, words: Path) -> None:
    (words / "99.words").write_text("no numbers\n")
    data = load_source(words, kind="words")
    assert len(data) == 12
    assert [one.name for one in data.skipped] == ["99.words"]
    assert "ValueError" in data.skipped[0].reason


@pytest.mark.usefixtures("own_registries")
def test_files_of_records_are_spoken_of_in_their_own_words(vq: Any, words: Path) -> None:
    made = vq("train", f"words:{words}", "--out", "r", *TINY, "--steps", 2)
    assert made.status == 0, made.err
    coded = vq("compress", str(words), "--model", "r", "--out", "r.vqk")
    assert coded.status == 0, coded.err
    assert "bits per beat" in coded.out
    shown = vq("inspect", "r.vqk")
    assert "bits per sample" in shown.out
    assert "pixel" not in coded.out + shown.out
    refused(vq("compress", str(words), "--model", "r", "--out", "l.vqk", "--lossless"), "for images only", "records")


class Mixture(Prior):
    """A prior that knows classes and no names of them, and says nothing of what it sees."""

    def __init__(
        self, codebook_size: int, grid: list[int], *, num_codebooks: int = 1, classes: int | None = None
    ) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(codebook_size))

    def _log_prob(self, items: Any, condition: Any) -> Any:
        return self.weight.log_softmax(0)[items].sum((1, 2))

    def _sample(self, request: Any) -> Any:
        return torch.zeros(request.count, 4, 1, dtype=torch.int64)


class Labelled:
    """Tokens of named classes."""

    codebook_size, num_codebooks, grid, class_names = 16, 1, (2, 2), ("cat", "dog")


def test_a_prior_without_class_names_learns_of_labelled_tokens() -> None:
    prior = Mixture.for_tokens(Labelled(), classes=2)
    assert prior.class_names is None
    assert prior.conditions.classes == 2


def test_of_a_kept_image_is_said_what_the_kind_of_prior_sees() -> None:
    small: dict[str, Any] = {"hidden_channels": 8, "layers": 1, "heads": 1}
    assert "sees all that is kept" in what_is_seen(MaskedPrior(16, (2, 2), **small))
    assert "goes in reading order" in what_is_seen(TransformerPrior(16, (2, 2), **small))
    for prior in (Mixture(16, [2, 2]), HistogramPrior(16, (2, 2))):
        assert "reading order" not in what_is_seen(prior)
        assert "sees_all" in what_is_seen(prior)
