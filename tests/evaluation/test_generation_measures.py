"""Generation measures against closed forms and loops over pairs; feature networks; the linear probe."""

from __future__ import annotations

import hashlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import linear_model, preprocessing
from torch import Tensor, nn

from tests.reference import generation as reference
from vqkit.data import ArraySource, RaggedSource, evaluation_batches, load_source, split
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation import features, generation
from vqkit.evaluation.classifier import Classifier, ClassifierFeatures, train_classifier
from vqkit.evaluation.features import RandomFeatures, extract, feature_network
from vqkit.evaluation.generation import density_coverage, frechet_distance, judge_generation, precision_recall
from vqkit.evaluation.probing import linear as probe
from vqkit.evaluation.probing import linear_probe_accuracy


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def rotation(dims: int, seed: int = 9) -> Tensor:
    return torch.linalg.qr(normal(dims, dims, seed=seed)).Q


# Frechet distance


@pytest.mark.parametrize(("items", "dims"), [(50, 1), (40, 7), (9, 8), (300, 20)])
def test_frechet_distance_equals_scipys_matrix_square_root(items: int, dims: int) -> None:
    a = normal(items, dims) @ normal(dims, dims, seed=1)
    b = normal(items + 30, dims, seed=2) @ normal(dims, dims, seed=3) + 0.5
    expected = reference.frechet_by_square_root(a.numpy(), b.numpy())
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("items", "dims"), [(100, 4), (40, 30)])
def test_frechet_distance_of_gaussians_with_common_axes(items: int, dims: int) -> None:
    axes = rotation(dims).numpy()
    mean_a, mean_b = normal(2, dims).numpy()
    var_a, var_b = (normal(2, dims, seed=1).square() + 0.01).numpy()
    var_b[: dims // 2] = 0  # rank-deficient
    a = reference.with_moments(normal(items, dims, seed=2).numpy(), mean_a, var_a, axes)
    b = reference.with_moments(normal(items + 5, dims, seed=3).numpy(), mean_b, var_b, axes)
    expected = reference.frechet_commuting(mean_a, var_a, mean_b, var_b)
    assert frechet_distance(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("items", "dims"), [(2, 64), (20, 64), (64, 64), (200, 64)])
def test_frechet_distance_with_fewer_items_than_features(items: int, dims: int) -> None:
    a, b = normal(items, dims), normal(items, dims, seed=1)
    assert 0 <= frechet_distance(a, a) < 1e-9
    assert frechet_distance(a, a + 2) == pytest.approx(4 * dims, rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a @ rotation(dims), b @ rotation(dims)) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(a.float() + 1e3, b.float() + 1e3) == pytest.approx(frechet_distance(a, b), rel=1e-3)


def test_two_fixed_points_have_only_their_distance() -> None:
    a, b = torch.tensor([[0.0, 0.0]] * 3), torch.tensor([[3.0, 4.0]] * 2)
    assert frechet_distance(a, b) == pytest.approx(25.0)


# Precision, recall, density, coverage


def two_sets(items: int, others: int, dims: int, shift: float) -> tuple[Tensor, Tensor]:
    return normal(items, dims), 0.8 * normal(others, dims, seed=1) + shift


@pytest.mark.parametrize(("items", "others"), [(40, 40), (31, 57), (60, 6)])
@pytest.mark.parametrize("shift", [0.0, 0.7])
@pytest.mark.parametrize("neighbours", [1, 3, 5])
@pytest.mark.parametrize("block", [1, 300, 1 << 20])
def test_manifold_measures_equal_loops_over_pairs(
    items: int, others: int, shift: float, neighbours: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "_BLOCK", block)
    real, generated = two_sets(items, others, 3, shift)
    r, g = real.numpy(), generated.numpy()
    found = precision_recall(real, generated, neighbours)
    assert found.precision == pytest.approx(reference.on_manifold(g, r, neighbours))
    assert found.recall == pytest.approx(reference.on_manifold(r, g, neighbours))
    crowding = density_coverage(real, generated, neighbours)
    assert crowding.density == pytest.approx(reference.density(r, g, neighbours))
    assert crowding.coverage == pytest.approx(reference.coverage(r, g, neighbours))


def test_a_set_against_itself_counts_the_border_of_each_ball() -> None:
    real = normal(200, 10) + 1e3
    for generated in (real, real.flip(0)):
        report = judge_generation(real, generated)
        assert (report.precision, report.recall, report.coverage) == (1, 1, 1)
        assert report.density == pytest.approx(6 / 5)  # the item itself and 5 neighbours
        assert report.frechet_distance == pytest.approx(0, abs=1e-6)


def test_copies_of_one_item_are_near_themselves() -> None:
    real = normal(1, 6).repeat(20, 1) + 1e3
    assert precision_recall(real, real[:10]).precision == 1
    assert precision_recall(real, real[:10] + 1e-3).precision == 0


def test_measures_do_not_see_order_rotation_or_scale() -> None:
    real, generated = two_sets(150, 120, 8, 0.4)
    expected = judge_generation(real, generated).as_dict()
    turn, order = rotation(8), torch.randperm(120, generator=torch.Generator().manual_seed(0))
    assert judge_generation(real.flip(0), generated[order]).as_dict() == pytest.approx(expected, rel=1e-9)
    moved = judge_generation(real @ turn + 5, generated @ turn + 5).as_dict()
    assert moved == pytest.approx(expected, rel=1e-9)
    del expected["frechet_distance"]
    scaled = judge_generation(1e-6 * real, 1e-6 * generated).as_dict()
    assert {key: scaled[key] for key in expected} == pytest.approx(expected, rel=1e-9)


def test_equal_distributions_have_density_1_and_the_expected_coverage() -> None:
    real, generated = normal(1500, 4), normal(1500, 4, seed=1)
    report = judge_generation(real, generated)
    assert report.density == pytest.approx(1, abs=0.08)
    assert report.coverage == pytest.approx(1 - 2**-5, abs=0.02)
    assert min(report.precision, report.recall) > 0.85
    assert report.frechet_distance < 0.05
    assert (report.real_items, report.generated_items) == (1500, 1500)


def test_mode_collapse_costs_recall_and_coverage_and_noise_costs_precision_and_density() -> None:
    modes = 10 * normal(10, 6, seed=5)
    real = modes.repeat(60, 1) + normal(600, 6)
    collapsed = judge_generation(real, modes[:1].repeat(600, 1) + normal(600, 6, seed=1))
    assert collapsed.precision > 0.8
    assert collapsed.density > 0.8
    assert collapsed.recall < 0.2
    assert collapsed.coverage < 0.2
    noisy = judge_generation(real, modes.repeat(60, 1) + 5 * normal(600, 6, seed=1))
    assert noisy.precision < 0.2
    assert noisy.density < 0.1


@pytest.mark.parametrize(
    ("real", "generated", "message"),
    [
        (normal(1, 4), normal(9, 4), "1 items is too small"),
        (normal(9, 4), normal(9, 5), "one feature network for both"),
        (normal(9, 4), normal(9), r"shape \[9\]"),
        (normal(9, 0), normal(9, 0), r"shape \[9, 0\]"),
        (normal(9, 4), torch.full((9, 4), torch.nan), "9 of 9 items"),
        (normal(9, 4).index_fill(0, torch.tensor([2]), torch.inf), normal(9, 4), "1 of 9 items"),
    ],
)
def test_sets_that_cannot_be_compared(real: Tensor, generated: Tensor, message: str) -> None:
    for measure in (frechet_distance, precision_recall, density_coverage, judge_generation):
        with pytest.raises(DataError, match=message):
            measure(real, generated)


def test_neighbours_need_items() -> None:
    with pytest.raises(DataError, match="at least 4"):
        precision_recall(normal(4, 2), normal(3, 2))
    with pytest.raises(DataError, match="at least 6"):
        density_coverage(normal(5, 2), normal(5, 2))
    assert density_coverage(normal(6, 2), normal(1, 2)).coverage <= 1
    for measure in (precision_recall, density_coverage):
        with pytest.raises(ConfigError, match="neighbors=0"):
            measure(normal(9, 2), normal(9, 2), neighbors=0)


# Feature networks


@pytest.mark.parametrize(
    ("seed", "golden", "total"),
    [
        (0, [0.5, 0.067, 0.0334, 0.1156, 0.127, 0.2199, 0.3977, 0.1459, 0.1972], 51.0575),
        (5, [0.5, 0.1213, 0.1491, 0.1071, 0.0778, 0.1257, 0.1561, 0.0225, 0.0468], 39.5411),
    ],
)
def test_random_features_are_the_same_everywhere(seed: int, golden: list[float], total: float) -> None:
    x = (torch.arange(3 * 16 * 16) * 7919 % 256).to(torch.uint8).reshape(1, 3, 16, 16)
    torch.manual_seed(123)
    state = torch.get_rng_state()
    found = RandomFeatures(3, seed=seed)(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.dtype == torch.float32
    assert found[0, ::30].tolist() == pytest.approx(golden, abs=2e-4)
    assert float(found.sum()) == pytest.approx(total, abs=1e-2)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (3, 5), (8, 8), (33, 20)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_random_features_of_any_size_item_by_item(size: tuple[int, int], channels: int) -> None:
    network, x = RandomFeatures(channels), images(5, channels, *size)
    found = network(x)
    assert found.shape == (5, 240 + 6 * channels)
    assert bool(found.isfinite().all())
    torch.testing.assert_close(torch.cat([network(item[None]) for item in x]), found, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network(x.float() / 255), found, atol=1e-6, rtol=1e-6)


def test_random_features_of_flat_images_have_no_texture() -> None:
    network = RandomFeatures(3)
    for colour in (torch.tensor([0.2, 0.5, 0.9]), torch.full((3,), 0.7)):
        found = network(colour.reshape(1, 3, 1, 1).expand(1, 3, 12, 12))[0]
        means, maps, spread, layout = found.split([3, 96, 99, 60])
        assert means.tolist() == pytest.approx(colour.tolist())
        torch.testing.assert_close(layout[:12].reshape(3, 4), colour[:, None].expand(3, 4))
        assert float(spread.max()) < 1e-5
        assert (float(maps.max()) < 1e-5) == bool((colour == colour[0]).all())  # filters see hues, not brightness


def test_random_features_see_texture_and_layout() -> None:
    real, other = (torch.from_numpy(part.gather(range(300))) for part in split(load_source("digits"), 0.5))
    network = RandomFeatures(1)
    base = extract(network, [real])
    near = frechet_distance(base, extract(network, [other]))
    assert frechet_distance(base, extract(network, [other.flip(2)])) > 3 * near  # upside down: layout
    scattered = other.flatten(2)[:, :, torch.randperm(64, generator=torch.Generator().manual_seed(0))].reshape_as(other)
    assert frechet_distance(base, extract(network, [scattered])) > 10 * near


def test_extract_is_in_order_in_evaluation_mode_and_in_float64() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.BatchNorm1d(12, affine=False)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = images(7, 3, 2, 2).float() / 255
    found = extract(network, x.split(3))
    assert found.dtype == torch.float64
    assert not found.requires_grad
    torch.testing.assert_close(found, x.flatten(1).double(), atol=1e-4, rtol=1e-4)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(extract(lambda batch: batch.flatten(1), [x]), x.flatten(1).double())


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda x: x, r"shape \[2, 3, 4, 4\]"),
        (lambda x: x.flatten(1)[:1], r"numbers \[2, D\]"),
        (lambda x: [1, 2], "returned a list"),
        (lambda x: x.flatten(1)[:, :0], r"shape \[2, 0\]"),
    ],
)
def test_what_a_network_must_return(network: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        extract(network, [images(2, 3, 4, 4)])


def test_extract_errors() -> None:
    with pytest.raises(DataError, match="at least one batch"):
        extract(RandomFeatures(3), [])
    with pytest.raises(ConfigError, match="48 features, then 12"):
        extract(lambda x: x.flatten(1), [images(2, 3, 4, 4), images(2, 3, 2, 2)])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (images(2, 1, 8, 8), r"\[batch, 3, H, W\]"),
        (images(3, 8, 8), r"shape \[3, 8, 8\]"),
        (images(2, 3, 0, 8), r"shape \[2, 3, 0, 8\]"),
        (images(2, 3, 8, 8).long(), "int64"),
        (images(2, 3, 8, 8).float(), "reach from 0"),
        (torch.full((2, 3, 8, 8), torch.nan), "reach from nan"),
    ],
)
def test_images_that_no_network_takes(x: Tensor, message: str) -> None:
    for network in (RandomFeatures(3), Classifier(3, 2).features):
        with pytest.raises(DataError, match=message):
            network(x)


USER_MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3 * 4 * 4, 5).double()
    def forward(self, x):
        assert x.dtype == torch.float32 and x.max() <= 1
        return self.linear(x.flatten(1).double())

network = Net().train()
number = 5

def means(x):
    return x.mean(dim=(2, 3))

def maps(x):
    return x
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = "vqkit_test_user_features"
    (tmp_path / f"{name}.py").write_text(USER_MODULE, encoding="utf-8")
    (tmp_path / f"{name}_broken.py").write_text("import no_such_package_anywhere", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def test_a_users_network_by_name(user_module: str) -> None:
    x = images(6, 3, 4, 4)
    network = feature_network(f"{user_module}:network", 3)
    assert not network.training
    found = extract(network, x.split(4))
    linear = sys.modules[user_module].network.linear
    torch.testing.assert_close(found, linear(x.flatten(1).double() / 255).float().double(), atol=1e-6, rtol=1e-6)
    assert network(x).dtype == torch.float32
    means = extract(feature_network(f"{user_module}:means", 3), [x])
    torch.testing.assert_close(means, x.double().mean(dim=(2, 3)) / 255, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "give"),
        ("a/b:c", "give"),
        (".a:c", "give"),
        ("no_such_module_at_all:net", "PYTHONPATH"),
        ("{}_broken:net", "no_such_package_anywhere"),
        ("{}:missing", "has no missing"),
        ("{}:Net", "a class"),
        ("{}:number", "a int"),
    ],
)
def test_names_that_are_no_network(name: str, message: str, user_module: str) -> None:
    with pytest.raises(ConfigError, match=message):
        feature_network(name.format(user_module), 3)


def test_a_users_network_that_fails(user_module: str) -> None:
    with pytest.raises(ConfigError, match=r"maps' returned shape \[2, 3, 4, 4\]"):
        feature_network(f"{user_module}:maps", 3)(images(2, 3, 4, 4))
    with pytest.raises(ConfigError, match=r"network' failed on float images \[2, 1, 4, 4\]"):  # grey into RGB
        feature_network(f"{user_module}:network", 1)(images(2, 1, 4, 4))


def test_random_by_name_has_its_seed() -> None:
    x = images(2, 3, 9, 9)
    assert torch.equal(feature_network("random", 3, seed=4)(x), RandomFeatures(3, seed=4)(x))
    assert not torch.allclose(feature_network("random", 3)(x), RandomFeatures(3, seed=4)(x))
    for seed in (-1, 2**64):
        with pytest.raises(ConfigError, match="seed"):
            feature_network("random", 3, seed=seed)
    with pytest.raises(ConfigError, match="channels=0"):
        feature_network("random", 0)


class FakeInception(nn.Module):
    """Stands for torchmetrics' NoTrainInceptionV3: what it is given is what it must be given."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str) -> None:
        super().__init__()
        assert (name, features_list) == ("inception-v3-compat", ["2048"])
        assert Path(feature_extractor_weights_path).read_bytes() == b"weights"

    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.uint8
        assert x.shape[1] == 3
        return x.flatten(1).float()


def test_inception_is_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ConfigError, match=r"lacks .*the weights .*nothing is downloaded here: use \"random\""):
        feature_network("inception", 3)
    with pytest.raises(ConfigError, match="2 channels"):
        feature_network("inception", 2)
    fake = types.ModuleType("torchmetrics.image.fid")
    fake.NoTrainInceptionV3 = FakeInception  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", fake)
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / features._INCEPTION_FILE).write_bytes(b"weights")
    with pytest.raises(ConfigError, match="damaged or another file"):
        feature_network("inception", 3)
    monkeypatch.setattr(features, "_INCEPTION_SHA256", hashlib.sha256(b"weights").hexdigest())
    x = images(2, 1, 4, 4)
    x[0, 0, 0, :2] = torch.tensor([0, 255])
    for given in (x, x.float() / 255):
        found = extract(feature_network("inception", 1), [given])
        assert torch.equal(found, x.repeat(1, 3, 1, 1).flatten(1).double())
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(ConfigError, match="torchmetrics and torch-fidelity"):
        feature_network("inception", 3)


# The classifier


def test_a_classifier_learns_digits_and_its_features_judge_them() -> None:
    train, test = split(load_source("digits"), 0.3)
    classifier = train_classifier(train, steps=120)
    assert not classifier.training
    assert classifier.accuracy(test) > 0.9
    by_hand = [int(classifier.logits(torch.from_numpy(test.read(i)[None])).argmax()) for i in range(40)]
    assert classifier.accuracy(test.subset(range(40))) == pytest.approx(np.mean(by_hand == test.labels[:40]))
    network = ClassifierFeatures(classifier)
    real = extract(network, (x for _, x in evaluation_batches(train, 300)))
    held_out = extract(network, (x for _, x in evaluation_batches(test, 300)))
    assert real.shape == (len(train), 128)
    ones = held_out[torch.from_numpy(test.labels) == 1]
    fine, collapsed = judge_generation(real, held_out), judge_generation(real, ones)
    assert fine.coverage > 0.6 > 0.2 > collapsed.coverage
    assert collapsed.frechet_distance > 5 * fine.frechet_distance


def weights(classifier: Classifier) -> Tensor:
    return torch.cat([value.double().flatten() for value in classifier.state_dict().values()])


def test_a_classifier_depends_on_its_seed_only_and_leaves_out_items_without_label() -> None:
    source = load_source("digits").subset(range(60))
    assert source.labels is not None
    torch.manual_seed(1)
    state = torch.get_rng_state()
    found = weights(train_classifier(source, steps=3, batch_size=16))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(weights(train_classifier(source, steps=3, batch_size=16)), found)
    assert not torch.equal(weights(train_classifier(source, steps=3, batch_size=16, seed=1)), found)
    mixed = np.concatenate([source.gather(range(60)), np.full((40, 1, 8, 8), 255, np.uint8)])
    partly = ArraySource(
        mixed, labels=np.concatenate([source.labels, np.full(40, -1)]), class_names=[*map(str, range(10))]
    )
    order = np.random.default_rng(0).permutation(100)
    kept = order[order < 60]
    shuffled = weights(train_classifier(partly.subset(order), steps=3, batch_size=16))
    assert torch.equal(shuffled, weights(train_classifier(source.subset(kept), steps=3, batch_size=16)))
    classifier = Classifier(1, 10).train()
    assert classifier.accuracy(partly) == classifier.accuracy(source)
    assert classifier.training


def test_a_classifier_of_images_of_different_sizes() -> None:
    sizes = np.array([[9, 12], [16, 8], [5, 5], [20, 20]] * 3)
    areas = sizes.prod(axis=1)
    pixels = np.random.default_rng(0).integers(0, 256, areas.sum(), dtype=np.uint8)
    source = RaggedSource(pixels, np.cumsum(areas) - areas, sizes, channels=1, labels=np.arange(12) % 3)
    with pytest.raises(ConfigError, match="crop="):
        train_classifier(source, steps=2, batch_size=4)
    classifier = train_classifier(source, steps=2, batch_size=4, crop=8, flip=True)
    assert classifier.classes == 3
    assert 0 <= classifier.accuracy(source) <= 1


def test_sources_that_no_classifier_can_learn() -> None:
    pixels = np.zeros((6, 1, 8, 8), np.uint8)
    for labels in (None, np.full(6, -1)):
        with pytest.raises(DataError, match="no labels"):
            train_classifier(ArraySource(pixels, labels=labels))
        with pytest.raises(DataError, match="no labels"):
            Classifier(1, 2).accuracy(ArraySource(pixels, labels=labels))
    with pytest.raises(DataError, match="2 classes"):
        train_classifier(ArraySource(pixels, labels=np.array([3, 3, 3, -1, -1, 3])))
    with pytest.raises(ConfigError, match="images"):
        train_classifier(ArraySource(np.zeros((6, 1, 8), np.uint8), labels=np.arange(6)))
    source = ArraySource(pixels, labels=np.arange(6))
    for options in ({"steps": 0}, {"batch_size": 1}, {"seed": -1}):
        with pytest.raises(ConfigError):
            train_classifier(source, **options)  # type: ignore[arg-type]


# The linear probe


def classes_in_noise(items: int, dims: int, seed: int) -> tuple[Tensor, Tensor]:
    labels = torch.randint(0, 4, (items,), generator=torch.Generator().manual_seed(seed))
    return 1.2 * normal(4, dims, seed=99)[labels] + normal(items, dims, seed=seed), labels


def test_the_probe_is_penalised_logistic_regression() -> None:
    x, y = classes_in_noise(200, 5, seed=1)
    test_x, test_y = classes_in_noise(300, 5, seed=2)
    mean, spread = x.mean(dim=0), x.std(dim=0, correction=0)
    weight = torch.zeros(5, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    newton = torch.optim.LBFGS([weight, bias], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        newton.zero_grad()
        scores = (x - mean) / spread @ weight + bias
        value = nn.functional.cross_entropy(scores, y, reduction="sum") + weight.square().sum() / 2
        value.backward()
        return value

    newton.step(loss)
    predicted = ((test_x - mean) / spread @ weight + bias).argmax(dim=1)
    expected = float((predicted == test_y).double().mean())
    assert 0.6 < expected < 0.99
    assert linear_probe_accuracy(x, y, test_x, test_y) == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize(("classes", "dims"), [(2, 5), (4, 5), (3, 300)])
def test_the_probe_is_scikit_learns(classes: int, dims: int) -> None:
    x, y = classes_in_noise(200, dims, seed=1)
    test_x, test_y = classes_in_noise(500, dims, seed=2)
    y, test_y = 3 * (y % classes), 3 * (test_y % classes)  # labels with gaps
    standard = preprocessing.StandardScaler().fit(x)
    peer = linear_model.LogisticRegression(tol=1e-8, max_iter=5000).fit(standard.transform(x), y)
    weights = probe._fit(
        nn.functional.pad(torch.from_numpy(standard.transform(x)), (0, 1), value=1.0), y // 3, classes, 1.0
    )
    mine = weights - weights.mean(dim=1, keepdim=True)  # a constant added to all classes changes nothing
    theirs = np.concatenate([peer.coef_, peer.intercept_[:, None]], axis=1).T
    theirs = np.concatenate([-theirs / 2, theirs / 2], axis=1) if classes == 2 else theirs
    np.testing.assert_allclose(mine.numpy(), theirs - theirs.mean(axis=1, keepdims=True), atol=1e-2)
    accuracy = float((peer.predict(standard.transform(test_x)) == test_y.numpy()).mean())
    assert linear_probe_accuracy(x, y, test_x, test_y) == pytest.approx(accuracy, abs=0.004)


def test_the_probe_sees_no_scale_and_no_items_without_label() -> None:
    x, y = classes_in_noise(200, 5, seed=1)
    test_x, test_y = classes_in_noise(300, 5, seed=2)
    expected = linear_probe_accuracy(x, y, test_x, test_y)
    scale = torch.tensor([1e-6, 1.0, 1e4, -3.0, 10.0], dtype=torch.float64)
    moved = [torch.cat([scale * each + 7, torch.full((len(each), 2), 0.1)], dim=1) for each in (x, test_x)]
    assert linear_probe_accuracy(moved[0], y.int(), moved[1], test_y.numpy()) == pytest.approx(expected, abs=0.004)
    junk = [torch.cat([each, torch.full((50, 5), torch.nan)]) for each in (x, test_x)]
    none = [torch.cat([each, torch.full((50,), -1)]) for each in (y, test_y)]
    assert linear_probe_accuracy(junk[0], none[0], junk[1], none[1]) == expected
    chance = linear_probe_accuracy(normal(400, 5), torch.arange(400) % 4, normal(400, 5, seed=1), torch.arange(400) % 4)
    assert chance == pytest.approx(0.25, abs=0.08)
    assert linear_probe_accuracy(x, y, test_x, test_y + 4) == 0


def test_the_probe_is_bounded_by_a_seeded_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[Any] = []
    monkeypatch.setattr(probe, "_fit", lambda x, y, *_: fitted.append((x, y)) or torch.zeros(6, 4, dtype=torch.float64))
    x, y = classes_in_noise(300, 5, seed=1)
    for items, values, expected in ((100, 10**6, 100), (1000, 400, 80), (1000, 10**6, 300)):
        monkeypatch.setattr(probe, "_ITEMS", items)
        monkeypatch.setattr(probe, "_VALUES", values)
        fitted.clear()
        for seed in (0, 0, 1):
            linear_probe_accuracy(x, y, x, y, seed=seed)
        assert [len(each) for each, _ in fitted] == [expected] * 3
        assert np.array_equal(fitted[0][1], fitted[1][1])
        assert np.array_equal(fitted[0][1], fitted[2][1]) == (expected == 300)


@pytest.mark.parametrize(
    ("latents", "labels", "message"),
    [
        (normal(6, 2, 2), torch.arange(6), "training latents have shape"),
        (normal(6, 0), torch.arange(6), "training latents have shape"),
        (normal(6, 2), torch.arange(5), "training labels"),
        (normal(6, 2), torch.arange(6.0), "whole number"),
        (normal(6, 2), torch.full((6,), -1), "none of the 6 training items"),
        (normal(6, 2), torch.full((6,), 3), "label 3"),
        (normal(6, 2).index_fill(0, torch.tensor([1]), torch.nan), torch.arange(6), "1 of 6 training"),
        (normal(6, 3), torch.arange(6), "3 numbers, test latents 2"),
    ],
)
def test_latents_that_no_probe_can_read(latents: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        linear_probe_accuracy(latents, labels, normal(4, 2), torch.arange(4))
    with pytest.raises(DataError, match="test labels"):
        linear_probe_accuracy(normal(6, 2), torch.arange(6), normal(4, 2), torch.arange(5))
