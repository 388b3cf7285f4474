"""Several positions in one pass: the samples of one by one, and the prior's distribution."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.priors.cases import SEQUENTIAL, every_grid, frequencies_agree, named, randomised, reads, seeded
from vqkit.errors import ConfigError
from vqkit.priors import GatedPixelCNN, SequentialPrior, TransformerPrior
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
        self.walk, self.passes = walk, 0
        self.reach = walk.reach

    def features(self, position: int, previous: Tensor | None) -> Any:
        raise AssertionError("one by one")

    def window(self, start: int, end: int, items: Tensor) -> Any:
        self.passes += 1
        return self.walk.window(start, end, items)


def counted(prior: SequentialPrior, monkeypatch: pytest.MonkeyPatch, **options: Any) -> int:
    walks: list[Counting] = []
    walk = prior._walk
    with monkeypatch.context() as patched:
        patched.setattr(prior, "_walk", lambda *given: walks.append(Counting(walk(*given))) or walks[-1])
        prior.sample(2, generator=seeded(0), ahead=100, **options)
    return walks[0].passes


def test_what_depends_on_little_takes_few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    weak, strong = (randomised(GUESSING[0], scale=scale, codebook_size=16, grid=[6, 6]) for scale in (0.05, 3.0))
    assert counted(weak, monkeypatch) < 10 < counted(strong, monkeypatch) <= 36


def test_a_held_beginning_is_passed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = next(kind for kind in GUESSING if kind.model_type == "transformer")
    made = randomised(prior, scale=3.0, codebook_size=16, grid=[100])
    known = torch.zeros(2, 100, dtype=torch.int64)
    keep = torch.arange(100).expand(2, -1) < 99
    assert counted(made, monkeypatch, known=known, keep=keep) < 10


def test_guessing_is_chosen_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def watched(request: Any, walk: Any, head: Any, items: Tensor, filled: Tensor, ahead: int) -> Any:
        seen.append(len(items))
        return guess_and_check(request, walk, head, items, filled, ahead)

    monkeypatch.setattr("vqkit.priors.sequential.guess_and_check", watched)
    prior = randomised(TransformerPrior, codebook_size=3, grid=[2, 2])
    keep = torch.tensor([[True, True], [False, False]]).expand(17, 2, 2)
    known = torch.zeros(17, 2, 2, dtype=torch.int64)
    for count, held in ((1, False), (2, False), (16, True), (17, True)):
        prior.sample(count, **({"known": known[:count], "keep": keep[:count]} if held else {}))
    assert seen == [1, 16]
    seen.clear()
    randomised(GatedPixelCNN, codebook_size=3, grid=[2, 2]).sample(1)
    assert not seen


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
