"""Several positions in one pass: the samples of one by one, and the prior's distribution."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.priors.cases import SEQUENTIAL, every_grid, frequencies_agree, named, randomised, reads, seeded
from vqkit.errors import ConfigError
from vqkit.priors import SequentialPrior, TransformerPrior
from vqkit.priors.guessing import WindowState, guess_and_check

GUESSING = [kind for kind in SEQUENTIAL if isinstance(kind(2, (2,), hidden_channels=4)._walk(1, None), WindowState)]
SHAPES: list[dict[str, Any]] = [
    {"codebook_size": 5, "grid": [4, 5]},
    {"codebook_size": 3, "grid": [3, 3], "num_codebooks": 2},
    {"codebook_size": 4, "grid": [11]},
    {"codebook_size": 3, "grid": [], "num_codebooks": 3},
    {"codebook_size": 2, "grid": [2, 2, 4]},
]


def cases() -> list[Any]:
    return [(kind, shape) for kind in GUESSING for shape in SHAPES if reads(kind, shape)]


def test_transformer_and_pixelcnn_compute_windows() -> None:
    assert {kind.model_type for kind in GUESSING} >= {"transformer", "pixelcnn"}


@pytest.mark.parametrize(("kind", "shape"), cases(), ids=named)
def test_a_window_has_the_features_of_the_whole_grid(kind: Any, shape: dict[str, Any]) -> None:
    prior = randomised(kind, **shape)
    items = torch.randint(prior.codebook_size, (2, prior.positions, prior.num_codebooks), generator=seeded(0))
    with torch.no_grad():
        whole, walk, start = prior._features(items, None), prior._walk(2, None), 0
        while start < prior.positions:
            end = min(start + 4, walk.reach(start))
            right = max(start, end - 2)
            guessed = items.clone()
            guessed[:, right:] = 0  # the next window reads what is there
            features = walk.window(start, end, guessed)
            assert features.shape == whole[:, start:end].shape
            assert torch.allclose(features[:, : right + 1 - start], whole[:, start : right + 1])
            start = min(start + 1 + start % 3, right + 1)


@pytest.mark.parametrize("ahead", [1, 5, 100])
@pytest.mark.parametrize(("kind", "shape"), cases(), ids=named)
def test_the_samples_are_those_of_one_by_one(kind: Any, shape: dict[str, Any], ahead: int) -> None:
    prior = randomised(kind, **shape)
    for seed in range(3):
        one = prior.sample(3, ahead=0, top_k=2, generator=seeded(seed))
        generator = seeded(seed)
        assert torch.equal(prior.sample(3, ahead=ahead, top_k=2, generator=generator), one)
        after = seeded(seed)
        prior.sample(3, ahead=0, generator=after)
        assert torch.equal(generator.get_state(), after.get_state())  # as much randomness is used


@pytest.mark.parametrize("kind", GUESSING, ids=named)
def test_guidance_filters_and_held_positions_are_as_one_by_one(kind: Any) -> None:
    prior = randomised(kind, codebook_size=5, grid=[4, 4], classes=3, condition_dropout=0.3)
    known = torch.randint(5, (3, 4, 4), generator=seeded(0))
    for seed in range(5):
        options: dict[str, Any] = {
            "condition": torch.tensor([0, 1, 2]), "guidance": 2.0, "temperature": 0.8, "top_p": 0.9, "known": known,
            "keep": torch.rand(3, 4, 4, generator=seeded(seed)) < 0.4,
        }  # fmt: skip
        one = prior.sample(3, ahead=0, generator=seeded(seed), **options)
        assert torch.equal(prior.sample(3, ahead=7, generator=seeded(seed), **options), one)
        assert torch.equal(one[options["keep"]], known[options["keep"]])
        *_, last = prior.sample_steps(3, ahead=7, generator=seeded(seed), **options)
        assert torch.equal(last.indices, one)


@pytest.mark.parametrize("options", [{"grid": [2, 3]}, {"grid": [3], "num_codebooks": 2}], ids=str)
@pytest.mark.parametrize("kind", GUESSING, ids=named)
def test_every_grid_is_as_frequent_as_the_prior_says(kind: Any, options: dict[str, Any]) -> None:
    """Chi-square over all grids; that guesses hold for all of so many is rare, and taking those that do not shows."""
    prior = randomised(kind, scale=1.0, codebook_size=2, **options)
    grids = prior.sample(3000, ahead=5, generator=seeded(1))
    probabilities = prior.log_prob(every_grid(prior)).exp().detach()
    assert frequencies_agree(grids, probabilities, 2)
    assert not frequencies_agree(grids, probabilities.roll(1), 2)


class Counting:
    """A walk whose passes are counted."""

    def __init__(self, walk: Any) -> None:
        self.walk = walk
        self.reach = walk.reach
        self.single = self.wide = 0

    def features(self, position: int, previous: Tensor | None) -> Any:
        self.single += 1
        return self.walk.features(position, previous)

    def window(self, start: int, end: int, items: Tensor) -> Any:
        self.wide += 1
        return self.walk.window(start, end, items)


def counted(prior: SequentialPrior, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[int, int]:
    """Passes over one position and over several; the samples are those of one by one."""
    walks: list[Counting] = []
    walk = prior._walk

    def counting(*given: Any) -> Counting:
        walks.append(Counting(walk(*given)))
        return walks[-1]

    with monkeypatch.context() as patched:
        patched.setattr(prior, "_walk", counting)
        made = prior.sample(2, generator=seeded(0), ahead=100, **options)
    assert torch.equal(made, prior.sample(2, generator=seeded(0), ahead=0, **options))
    return walks[0].single, walks[0].wide


@pytest.mark.parametrize("kind", GUESSING, ids=named)
def test_what_depends_on_little_takes_few_passes(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    single, wide = counted(randomised(kind, scale=0.05, codebook_size=16, grid=[6, 6]), monkeypatch)
    assert single + wide < 13


def test_guesses_that_seldom_hold_are_seldom_made(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = randomised(TransformerPrior, codebook_size=16, grid=[8, 8])
    with torch.no_grad():
        prior.embedding.mul_(30.0)
        prior.head.last.mul_(8.0)
    single, wide = counted(prior, monkeypatch)
    assert single > 3 * wide > 0


def test_a_held_beginning_is_passed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = next(kind for kind in GUESSING if kind.model_type == "transformer")
    made = randomised(prior, scale=3.0, codebook_size=16, grid=[100])
    known = torch.zeros(2, 100, dtype=torch.int64)
    keep = torch.arange(100).expand(2, -1) < 99
    assert counted(made, monkeypatch, known=known, keep=keep) == (0, 1)


@pytest.mark.parametrize("kind", GUESSING, ids=named)
def test_guessing_is_chosen_where_it_is_always_faster(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def watched(request: Any, *others: Any) -> Any:
        seen.append(request.count)
        return guess_and_check(request, *others)

    monkeypatch.setattr("vqkit.priors.sequential.guess_and_check", watched)
    prior = randomised(kind, codebook_size=3, grid=[2, 2])
    known = torch.zeros(17, 2, 2, dtype=torch.int64)
    for count, held in ((1, 0), (1, 1), (16, 2), (17, 2)):
        keep = torch.arange(4).view(2, 2).expand(count, 2, 2) < held
        prior.sample(count, known=known[:count], keep=keep)
    assert seen == [16]
    keep[0] = ~keep[0]  # nothing is held in every grid
    prior.sample(16, known=known[:16], keep=keep[:16])
    prior.sample(1)
    assert seen == [16]


def test_a_walk_without_windows_and_numbers_below_0_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = randomised(GUESSING[0], codebook_size=3, grid=[2, 2])
    with pytest.raises(ConfigError, match="ahead=-1"):
        prior.sample(1, ahead=-1)
    with pytest.raises(ConfigError, match="ahead=-1"):
        prior.sample_steps(1, ahead=-1)

    class Plain:
        def __init__(self, walk: Any) -> None:
            self.features = walk.features

    walk = prior._walk
    monkeypatch.setattr(prior, "_walk", lambda *given: Plain(walk(*given)))
    with pytest.raises(ConfigError, match=r"Plain .* ahead=0"):
        prior.sample(1, ahead=3)
    assert prior.sample(1).shape == (1, 2, 2)
