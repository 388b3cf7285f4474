"""Priors of one's own: what their methods give is checked, never read as something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import vqkit
from vqkit.errors import ConfigError
from vqkit.priors import PRIORS, Prior, SamplingParams


class Loose(Prior):
    """Independent indices of one distribution, of which a test breaks one promise."""

    def __init__(
        self,
        codebook_size: int,
        grid: Sequence[int],
        *,
        num_codebooks: int = 1,
        broken: str = "",
        classes: int | None = None,
        condition_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.broken = broken
        self.logits = nn.Parameter(torch.zeros(codebook_size))

    def _log_prob(self, items: Tensor, condition: Tensor | None) -> Any:
        each = self.logits.log_softmax(0)[items.flatten(1)]
        total = each.sum(dim=1)
        wrong = {"positions": each, "scalar": total.sum(), "one": total[:1], "positive": -total, "none": None}
        return wrong.get(self.broken, total)

    def _sample(self, request: SamplingParams) -> Any:
        made = torch.zeros(request.count, self.positions, self.num_codebooks, dtype=torch.int64)
        wrong = {"floats": made.float(), "beyond": made + 99, "grid": made.view(-1, 3, 3), "fewer": made[:1]}
        return wrong.get(self.broken, made)


@pytest.mark.parametrize("broken", ["positions", "scalar", "one", "none"])
def test_a_log_probability_of_another_shape_is_refused(broken: str) -> None:
    prior = Loose(16, [3, 3], broken=broken)
    indices = torch.zeros(2, 3, 3, dtype=torch.int64)
    for call in (prior.log_prob, prior):
        with pytest.raises(ConfigError, match=r"Loose._log_prob gave .* for 2 grids; it has to give float \[2\]"):
            call(indices)


@pytest.fixture
def registered() -> Iterator[None]:
    PRIORS.register("loose")(Loose)
    yield
    del PRIORS._parts["loose"]


@pytest.mark.usefixtures("registered")
def test_a_positive_log_probability_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(40))
    model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8, residual_channels=4, code_dim=4)
    tokens = vqkit.tokenize(model.eval(), digits, tmp_path / "tokens")
    options: dict[str, Any] = {"steps": 2, "batch_size": 8, "quiet": True, "tensorboard": False}
    with pytest.raises(ConfigError, match=r"gives 11.09 nats for a grid; the log of a probability is 0 or less"):
        vqkit.train(Loose.for_tokens(tokens, broken="positive"), tokens, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    vqkit.train(Loose.for_tokens(tokens), tokens, out=tmp_path / "run", **options)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("floats", r"made torch.float32 \[2, 9, 1\]; it has to make integers"),
        ("beyond", r"made indices from 99 to 99; they have to lie in \[0, 15\]"),
        ("grid", r"made torch.int64 \[2, 3, 3\]; it has to make integers of shape \[2, 9, 1\]"),
        ("fewer", r"made torch.int64 \[1, 9, 1\]"),
    ],
)
def test_samples_that_are_no_indices_are_refused(broken: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"Loose._sample {message}"):
        Loose(16, [3, 3], broken=broken).sample(2)


def test_held_positions_are_held_whatever_sample_makes() -> None:
    known, keep = torch.full((2, 3, 3), 5), torch.zeros(2, 3, 3, dtype=torch.bool)
    keep[:, 1] = True
    made = Loose(16, [3, 3]).sample(2, known=known, keep=keep)
    assert torch.equal(made, torch.where(keep, known, 0))


def test_guidance_is_refused_where_the_class_does_not_say_that_it_guides() -> None:
    prior = Loose(16, [3, 3], classes=2, condition_dropout=0.1)
    condition = torch.tensor([0, 1])
    with pytest.raises(ConfigError, match=r"guidance=2.0: Loose does not say.*guidance=1.*guides = True"):
        prior.sample(2, condition, guidance=2.0)
    assert prior.sample(2, condition).shape == (2, 3, 3)
