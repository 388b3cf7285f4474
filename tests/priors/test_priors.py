"""Priors: probabilities that sum to one, strict order, no blind spot, samples that match, folders, errors."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vqkit.errors import ConfigError, DataError, ModelFolderError
from vqkit.priors import PRIORS, GatedPixelCNN, Prior, load_prior

SMALL: dict[str, Any] = {"hidden_channels": 8, "layers": 3}
TINY: list[dict[str, Any]] = [
    {"codebook_size": 3, "grid": [2, 2]},
    {"codebook_size": 2, "grid": [1, 2], "num_codebooks": 2},
    {"codebook_size": 2, "grid": [2, 1], "num_codebooks": 2},
    {"codebook_size": 3, "grid": [4]},
    {"codebook_size": 3, "grid": [], "num_codebooks": 3},
    {"codebook_size": 5, "grid": []},
    {"codebook_size": 2, "grid": [2, 2], "classes": 3},
    {"codebook_size": 2, "grid": [2], "num_codebooks": 2, "classes": 2, "kernel": 5},
    {"codebook_size": 1, "grid": [2, 2]},
]
"""Priors over few enough grids to list them all."""


def randomised(seed: int = 0, scale: float = 0.5, **options: Any) -> GatedPixelCNN:
    """A prior in float64 with every parameter away from its start: zeros would hide what is wrong."""
    prior = GatedPixelCNN(**{**SMALL, **options}).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.normal_(std=scale, generator=generator)
    return prior


def every_grid(prior: Prior) -> Tensor:
    """All grids that a prior gives a probability to, ``[K^positions, ...]``."""
    rows = list(itertools.product(range(prior.codebook_size), repeat=prior.indices_per_item))
    return torch.tensor(rows).view(-1, *prior.item_shape)


def random_indices(prior: Prior, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(prior.codebook_size, (count, *prior.item_shape), generator=generator)


def conditions(prior: Prior, count: int) -> list[Tensor | None]:
    """One condition for each class, or None."""
    return [None] if prior.classes is None else [torch.full((count,), each) for each in range(prior.classes)]


# ---- a distribution


@pytest.mark.parametrize("options", TINY, ids=str)
def test_the_probabilities_of_all_grids_sum_to_one(options: dict[str, Any]) -> None:
    prior = randomised(**options)
    grids = every_grid(prior)
    sums, kinds = [], []
    for condition in conditions(prior, len(grids)):
        log_prob = prior.log_prob(grids, condition).detach()
        assert log_prob.shape == (len(grids),)
        sums.append(float(log_prob.exp().sum()))
        kinds.append(log_prob)
        if prior.codebook_size > 1:
            assert float(log_prob.std()) > 0.1, "the weights are random, so the distribution is not uniform"
    assert sums == pytest.approx([1.0] * len(sums), abs=1e-9)
    for a, b in itertools.combinations(kinds, 2):
        assert not torch.allclose(a, b), "classes differ"


@pytest.mark.parametrize("options", TINY, ids=str)
def test_logits_are_of_each_index(options: dict[str, Any]) -> None:
    prior = randomised(**options)
    grids = every_grid(prior)
    condition = conditions(prior, len(grids))[-1]
    logits = prior.logits(grids, condition)
    assert logits.shape == (*grids.shape, prior.codebook_size)
    each = logits.log_softmax(-1).gather(-1, grids[..., None]).flatten(1).sum(1)
    assert torch.allclose(each, prior.log_prob(grids, condition), atol=1e-12)


ORDERS: list[dict[str, Any]] = [
    {"grid": [4, 5], "layers": 4},
    {"grid": [3, 4], "num_codebooks": 3},
    {"grid": [3, 5], "kernel": 5, "num_codebooks": 2, "layers": 2},
    {"grid": [6], "layers": 6},
    {"grid": [5], "num_codebooks": 2, "layers": 5},
    {"grid": [5, 1], "layers": 5},
    {"grid": [], "num_codebooks": 4},
    {"grid": [3, 3], "classes": 2},
]


@pytest.mark.parametrize("options", ORDERS, ids=str)
def test_an_index_depends_on_all_earlier_ones_and_on_no_other(options: dict[str, Any]) -> None:
    prior = randomised(codebook_size=4, **{**options, "hidden_channels": 16})
    n = prior.indices_per_item
    condition = conditions(prior, n)[-1]
    moved = torch.zeros(n, n, dtype=torch.float64)  # [which was changed, which was looked at]
    for seed in range(6):  # from several grids, since a rectified unit can be off at one of them
        indices = random_indices(prior, 1, seed)
        changed = indices.view(1, n).repeat(n, 1)
        changed[range(n), range(n)] = (changed[range(n), range(n)] + 1) % 4
        before = prior.logits(indices, None if condition is None else condition[:1]).view(1, n, 4)
        after = prior.logits(changed.view(n, *prior.item_shape), condition).view(n, n, 4)
        moved = moved.maximum((after - before).detach().abs().amax(-1))
    past = torch.ones(n, n).triu(1).bool()
    assert float(moved[~past].max()) < 1e-12, "an index saw itself or a later one"
    assert float(moved[past].min()) > 1e-9, "an index is blind to an earlier one"


def test_the_reach_is_as_documented() -> None:
    prior = randomised(codebook_size=4, grid=[9, 9], layers=2, kernel=5)
    assert prior.reach == 4
    indices = random_indices(prior, 8)
    for row, column, seen in [(4, 8, True), (3, 8, False), (8, 4, True), (8, 3, False)]:
        other = indices.clone()
        other[:, row, column] = (other[:, row, column] + 1) % 4
        moved = (prior.logits(other) - prior.logits(indices))[:, 8, 8].detach().abs().max()
        assert (float(moved) > 1e-12) is seen, (row, column)


# ---- the start and the loss


@pytest.mark.parametrize("options", TINY, ids=str)
def test_untrained_it_is_uniform(options: dict[str, Any]) -> None:
    prior = GatedPixelCNN(**SMALL, **options)
    indices = random_indices(prior, 7)
    for condition in conditions(prior, 7):
        out = prior(indices, condition)
        assert float(out.loss.detach()) == pytest.approx(math.log(prior.codebook_size), abs=1e-6)
        bits = prior.indices_per_item * math.log2(prior.codebook_size)
        assert float(out.metrics["bits_per_item"]) == pytest.approx(bits, abs=1e-5)
        out.loss.backward()
        assert prior.head.last.grad is not None


@pytest.mark.parametrize("options", TINY, ids=str)
def test_every_parameter_is_used(options: dict[str, Any]) -> None:
    prior = randomised(**{**options, "codebook_size": 4})
    indices = random_indices(prior, 6)
    condition = None if prior.classes is None else torch.arange(6) % prior.classes
    prior(indices, condition).loss.backward()
    idle = [name for name, each in prior.named_parameters() if each.grad is None]
    assert idle == []


@pytest.mark.parametrize("options", TINY, ids=str)
def test_a_duplicated_batch_leaves_the_loss_unchanged(options: dict[str, Any]) -> None:
    prior = randomised(**options)
    indices = random_indices(prior, 5)
    condition = None if prior.classes is None else torch.arange(5) % prior.classes
    once = prior(indices, condition)
    twice = prior(torch.cat([indices, indices]), None if condition is None else torch.cat([condition, condition]))
    assert float(once.loss.detach()) == pytest.approx(float(twice.loss.detach()), rel=1e-12)
    for name, value in once.metrics.items():
        assert float(value) == pytest.approx(float(twice.metrics[name]), rel=1e-12)


def test_the_loss_is_nats_per_index_and_bits_are_of_the_item() -> None:
    prior = randomised(codebook_size=3, grid=[2, 3], num_codebooks=2)
    indices = random_indices(prior, 5)
    out, log_prob = prior(indices), prior.log_prob(indices).detach()
    assert float(out.loss.detach()) == pytest.approx(-float(log_prob.mean()) / 12, rel=1e-12)
    assert float(out.metrics["nats_per_index"]) == float(out.loss.detach())
    assert float(out.metrics["bits_per_item"]) == pytest.approx(-float(log_prob.mean()) / math.log(2), rel=1e-6)
    assert out.loss.requires_grad
    assert not any(value.requires_grad for value in out.metrics.values())


# ---- sampling


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("options", [each for each in TINY if each["codebook_size"] > 1], ids=str)
def test_samples_occur_as_often_as_the_probabilities_say(options: dict[str, Any], temperature: float) -> None:
    prior = randomised(**options)
    grids, count = every_grid(prior), 4000
    condition = conditions(prior, count)[-1]
    short = None if condition is None else condition[:1].expand(len(grids))
    samples = prior.sample(count, condition, temperature=temperature, generator=torch.Generator().manual_seed(1))
    assert samples.shape == (count, *prior.item_shape)
    assert samples.dtype == torch.int64
    each = (prior.logits(grids, short) / temperature).log_softmax(-1).gather(-1, grids[..., None])
    expected = each.view(len(grids), -1).sum(1).exp().detach() * count
    digits = prior.codebook_size ** torch.arange(prior.indices_per_item - 1, -1, -1)
    found = (samples.view(count, -1) * digits).sum(1).bincount(minlength=len(grids))
    often = expected >= 5
    seen = torch.cat([found[often], found[~often].sum()[None]])
    wanted = torch.cat([expected[often], expected[~often].sum()[None]]).clamp_min(1e-3)
    chi_square, freedom = float(((seen - wanted) ** 2 / wanted).sum()), len(wanted) - 1
    assert chi_square < freedom + 4 * math.sqrt(2 * freedom) + 4


@pytest.mark.parametrize(
    "options",
    [
        {"grid": [7, 6], "layers": 2},
        {"grid": [5, 4], "num_codebooks": 3, "kernel": 5, "layers": 1},
        {"grid": [9], "layers": 2, "classes": 2},
    ],
    ids=str,
)
def test_the_coldest_samples_are_the_likeliest_indices(options: dict[str, Any]) -> None:
    """Sampling computes only what is within reach; it must agree with the whole grid at once, at every position."""
    kinds = 0
    for seed in range(4):
        prior = randomised(seed, scale=1.0, codebook_size=5, **options)
        condition = None if prior.classes is None else torch.arange(6) % prior.classes
        with torch.no_grad():
            prior.head.last_bias.mul_(0.1)  # or one index is the likeliest everywhere
        samples = prior.sample(6, condition, temperature=1e-6)
        assert torch.equal(prior.logits(samples, condition).argmax(-1), samples)
        kinds = max(kinds, len(samples.unique()))
    assert kinds > 1, "samples that vary, or nothing is tested"


def test_a_seed_gives_its_samples_and_the_mode_stays() -> None:
    prior = randomised(codebook_size=4, grid=[3, 3], dropout=0.5)

    def draw(seed: int) -> Tensor:
        return prior.sample(20, generator=torch.Generator().manual_seed(seed))

    first = draw(0)
    assert torch.equal(first, draw(0))
    assert not torch.equal(first, draw(1))
    prior.train()
    assert torch.equal(first, draw(0)), "dropout is off"
    assert prior.training
    assert all(layer.training for layer in prior.layers)
    torch.manual_seed(0)
    untouched = torch.get_rng_state()
    draw(0)
    assert torch.equal(torch.get_rng_state(), untouched)


def test_dropout_acts_in_training_only() -> None:
    prior = randomised(codebook_size=4, grid=[3, 3], dropout=0.5)
    indices = random_indices(prior, 4)
    assert torch.equal(prior.log_prob(indices), prior.log_prob(indices))
    prior.train()
    assert not torch.equal(prior.log_prob(indices), prior.log_prob(indices))


# ---- learning


def train(prior: GatedPixelCNN, batches: Any, steps: int) -> float:
    """The mean loss of the last tenth of ``steps``, in nats per index."""
    optimizer = torch.optim.Adam(prior.parameters(), 1e-2)
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / steps) + 1e-4
        optimizer.zero_grad()
        loss = prior(*batches(step)).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses[-(steps // 10) :]) / (steps // 10)


def test_it_learns_rows_that_copy_and_their_class() -> None:
    """Every row repeats its first index, which is one of the class's two: log 2 nats a row and no more."""
    torch.manual_seed(0)
    prior = GatedPixelCNN(6, [3, 4], classes=3, hidden_channels=16, layers=3)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        condition = torch.randint(3, (64,))
        first = 2 * condition[:, None, None] + torch.randint(2, (64, 3, 1))
        return first.expand(64, 3, 4), condition

    entropy = math.log(2) / 4
    assert train(prior, batch, 150) < entropy + 0.03
    wanted = torch.tensor([0, 1, 2] * 10)
    rows = prior.sample(30, wanted, generator=torch.Generator().manual_seed(0))
    assert float((rows // 2 == wanted[:, None, None]).float().mean()) > 0.95
    assert float((rows[..., 1:] == rows[..., :1]).float().mean()) > 0.95


def test_it_learns_what_one_codebook_says_of_the_next() -> None:
    """At each position: i_1 free, i_2 the sum of i_1 and its left neighbour's, i_3 the product of both; mod 4."""
    torch.manual_seed(0)
    prior = GatedPixelCNN(4, [6], num_codebooks=3, hidden_channels=32, layers=2)

    def batch(step: int) -> tuple[Tensor]:
        first = torch.randint(4, (64, 6))
        second = (first + torch.nn.functional.pad(first[:, :-1], (1, 0))) % 4
        return (torch.stack([first, second, first * second % 4], dim=-1),)

    assert train(prior, batch, 250) < math.log(4) / 3 + 0.03


# ---- folders


@pytest.mark.parametrize("options", TINY, ids=str)
def test_a_folder_gives_back_the_same_prior(options: dict[str, Any], tmp_path: Path) -> None:
    prior = randomised(**options).float()
    prior.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("model_type") == "pixelcnn"
    assert config.pop("vqkit_format") == 1
    assert config == prior.config
    indices = random_indices(prior, 4)
    condition = conditions(prior, 4)[-1]
    for again in (load_prior(tmp_path), GatedPixelCNN.from_pretrained(tmp_path)):
        assert isinstance(again, GatedPixelCNN)
        assert not again.training
        assert torch.equal(again.log_prob(indices, condition), prior.log_prob(indices, condition))
        assert again.item_shape == prior.item_shape


def test_the_config_is_every_argument_in_json() -> None:
    prior = GatedPixelCNN(4, (2, 3), hidden_channels=4, layers=1)
    assert json.loads(json.dumps(prior.config)) == prior.config
    assert GatedPixelCNN.from_config(prior.config).config == prior.config
    assert prior.grid == (2, 3)
    assert PRIORS["pixelcnn"] is GatedPixelCNN


def test_folders_that_hold_no_prior(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no such folder"):
        load_prior(tmp_path / "nothing")
    GatedPixelCNN(4, [2], hidden_channels=4, layers=1).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    for change, error, message in [
        ({"model_type": "vqvae"}, ModelFolderError, "prior 'vqvae' is not known here"),
        ({"zap": 1}, ConfigError, "config.json: GatedPixelCNN takes no zap; it takes: codebook_size, grid"),
        ({"grid": None}, ConfigError, "grid=None: give a list, each a whole number"),
        ({"hidden_channels": 8}, ModelFolderError, "the tensors do not fit the config"),
    ]:
        path.write_text(json.dumps({**config, **change}))
        with pytest.raises(error, match=message):
            load_prior(tmp_path)
    path.write_text(json.dumps({"model_type": "vqvae"}))
    with pytest.raises(ModelFolderError, match="holds a 'vqvae', not a 'pixelcnn'"):
        GatedPixelCNN.from_pretrained(tmp_path)
    path.write_text(json.dumps({"model_type": "pixelcnn"}))
    with pytest.raises(ConfigError, match="needs codebook_size, grid"):
        load_prior(tmp_path)


# ---- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codebook_size": 0}, "codebook_size=0: give 1 or more"),
        ({"codebook_size": 2.5}, "codebook_size=2.5: give a whole number"),
        ({"num_codebooks": 0}, "num_codebooks=0: give 1 or more"),
        ({"classes": 0}, "classes=0: give 1 or more"),
        ({"grid": [2, 0]}, r"grid=\[2, 0\]: each axis has 1 position"),
        ({"grid": 4}, "grid=4: give a list"),
        ({"grid": [2, 2, 2]}, r"grid=\[2, 2, 2\]: a PixelCNN reads grids of 0 to 2 axes; 3 axes need another prior"),
        ({"hidden_channels": 7}, "hidden_channels=7: .* even"),
        ({"hidden_channels": 0}, "hidden_channels=0: .* even"),
        ({"layers": 0}, "layers=0: give 1 or more"),
        ({"kernel": 4}, "kernel=4: give an odd number"),
        ({"kernel": 1}, "kernel=1: give an odd number"),
        ({"dropout": 1.0}, "dropout=1.0: give a probability"),
        ({"dropout": -0.1}, "dropout=-0.1: give a probability"),
        ({"dropout": math.nan}, "dropout=nan: give a probability"),
    ],
    ids=str,
)
def test_values_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GatedPixelCNN(**{"codebook_size": 4, "grid": [2, 2], **options})


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (torch.full((2, 3, 2), 4), r"indices run from 4 to 4; allowed are 0 to 3 \(codebook_size=4"),
        (torch.full((2, 3, 2), -1), "indices run from -1 to -1; allowed are 0 to 3"),
        (torch.zeros(2, 2, 3, dtype=torch.int64), r"shape \[2, 2, 3\]; this prior reads \[batch, 3, 2\]"),
        (torch.zeros(3, 2, dtype=torch.int64), r"shape \[3, 2\]; this prior reads \[batch, 3, 2\]"),
        (torch.zeros(2, 3, 2, 1, dtype=torch.int64), r"shape \[2, 3, 2, 1\]; this prior reads \[batch, 3, 2\]"),
        (torch.zeros(0, 3, 2, dtype=torch.int64), "a batch of 1 or more"),
        (torch.zeros(2, 3, 2), "indices are torch.float32; give integers"),
        (torch.zeros(2, 3, 2, dtype=torch.bool), "indices are torch.bool; give integers"),
    ],
    ids=str,
)
def test_indices_of_another_kind(indices: Tensor, message: str) -> None:
    prior = GatedPixelCNN(4, [3, 2], **SMALL)
    for call in (prior, prior.log_prob, prior.logits):
        with pytest.raises(DataError, match=message):
            call(indices)


def test_a_scalar_is_no_batch() -> None:
    with pytest.raises(DataError, match=r"shape \[\]; this prior reads \[batch\]"):
        GatedPixelCNN(4, [], **SMALL).log_prob(torch.tensor(1))


def test_conditions_that_do_not_fit() -> None:
    free, bound = GatedPixelCNN(4, [2], **SMALL), GatedPixelCNN(4, [2], classes=3, **SMALL)
    indices, classes = torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    for call in (
        lambda prior, condition: prior(indices, condition),
        lambda prior, condition: prior.sample(2, condition),
    ):
        with pytest.raises(DataError, match="this prior is unconditional"):
            call(free, classes)
        with pytest.raises(DataError, match=r"no condition given; this prior has classes=3: give int64 \[2\]"):
            call(bound, None)
        with pytest.raises(DataError, match="condition run from 3 to 3; allowed are 0 to 2"):
            call(bound, classes + 3)
        with pytest.raises(DataError, match=r"give torch.int64 of shape \[2\]"):
            call(bound, classes[:1])
        with pytest.raises(DataError, match=r"condition is torch.float32"):
            call(bound, classes.float())


def test_what_sampling_refuses() -> None:
    prior = GatedPixelCNN(4, [2], **SMALL)
    with pytest.raises(ConfigError, match="count=0: give 1 or more"):
        prior.sample(0)
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match=r"temperature=.*: give a number above 0"):
            prior.sample(1, temperature=temperature)
