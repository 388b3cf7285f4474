"""A class is identified by its name, wherever labels of two sets of data meet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vqkit.cli import generating
from vqkit.data import ArraySource, CenterCrops, ConcatSource, RandomCrops, Source, load_source
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation.classifier import Classifier, train_classifier
from vqkit.models import VQVAE
from vqkit.priors import ContextPrior, GatedPixelCNN, MaskedPrior, TransformerPrior, load_prior
from vqkit.priors.labels import labels_for
from vqkit.studies.images import fixed_images
from vqkit.studies.ladder.measures import Features
from vqkit.studies.ladder.settings import CompareConfig
from vqkit.tokens import index_source, load_tokens, tokenize
from vqkit.training import TrainConfig
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.recipes.prior import classes_of, train_prior
from vqkit.training.record.run import read_config

SHADES = {"a": 10, "b": 120, "c": 230, "d": 60}


def classes_folder(root: Path, names: str, count: int = 3, *, mode: str = "L", side: int = 8) -> Path:
    """``count`` images of each class, of the class's own shade, so that pictures tell which class is meant."""
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            grey = Image.new("L", (side, side), SHADES[name] + number)
            grey.convert(mode).save(root / name / f"{number}.png")
    return root


def array(labels: Sequence[int], names: list[str] | None = None, side: int = 8) -> ArraySource:
    named = dict(enumerate(names or []))
    shades = np.array([SHADES.get(named.get(label, ""), 0) for label in labels], np.uint8)
    images = np.broadcast_to(shades[:, None, None, None], (len(labels), 1, side, side)).copy()
    return ArraySource(images, labels=np.array(labels), class_names=names)


def named_labels(source: Source) -> list[str | None]:
    assert source.labels is not None
    names = source.class_names or [str(number) for number in range(1 + int(source.labels.max()))]
    return [None if label < 0 else names[label] for label in source.labels]


def by_shade(source: Source) -> list[str]:
    found = {value + more: name for name, value in SHADES.items() for more in range(9)}
    return [found[int(source.read(index)[0, 0, 0])] for index in range(len(source))]


def tiny() -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(16, hidden_channels=8, code_dim=8, residual_channels=4, channels=1)
    model.prepare([torch.rand(32, 1, 8, 8)])
    return model.eval()


def test_every_source_renumbers_its_classes_by_name(tmp_path: Path) -> None:
    folder = classes_folder(tmp_path / "one", "bc")
    several = classes_folder(tmp_path / "several", "b", 1)
    classes_folder(several, "c", 2, side=9)
    sources: list[Source] = [
        load_source(folder),
        load_source(folder, memory_limit=0),
        load_source(several),
        CenterCrops(load_source(several), 4),
        RandomCrops(load_source(folder), 4, 12),
        ConcatSource([load_source(folder), load_source(several).subset([0])]),
    ]
    for source in sources:
        found = source.with_classes(["c", "x", "b"])
        assert found.class_names == ["c", "x", "b"]
        assert named_labels(found) == named_labels(source) == by_shade(found)
        assert {int(label) for label in found.labels} == {0, 2}  # type: ignore[union-attr]
        last = len(found) - 1
        assert named_labels(found.subset([last, 0])) == by_shade(found.subset([last, 0]))
        assert source.class_names == ["b", "c"]  # as it was


def test_unknown_classes_come_after_the_known_ones_and_minus_one_stays() -> None:
    found = array([1, -1, 0, 2], ["d", "b", "a"]).with_classes(["a", "b"])
    assert found.class_names == ["a", "b", "d"]
    assert found.labels is not None
    assert found.labels.tolist() == [1, -1, 2, 0]
    unnamed = array([2, 0]).with_classes(["0", "1", "2"])
    assert unnamed.labels is not None
    assert unnamed.labels.tolist() == [2, 0]
    beyond = array([3, 1], ["a", "b"]).with_classes(["b", "3"])  # a label beyond the names goes by its number
    assert beyond.labels is not None
    assert beyond.labels.tolist() == [1, 0]
    with pytest.raises(DataError, match="'b' comes twice"):
        array([0, 1, 2], ["b", "a", "b"]).with_classes(["a", "b"])
    same = array([0, 1, 2], ["b", "a", "b"])
    assert same.with_classes(["b", "a", "b"]) is same


@pytest.mark.parametrize(("classes", "names"), [("bc", "abc"), ("cd", "abcd"), ("abc", "abc"), ("d", "abcd")])
def test_held_out_data_is_numbered_as_the_training_data(tmp_path: Path, classes: str, names: str) -> None:
    source = load_source(classes_folder(tmp_path / "train", "abc"))
    classes_folder(tmp_path / "val", classes)
    held_out = validation_split(source, TrainConfig(steps=1, validation=str(tmp_path / "val")))[1]
    assert held_out.class_names == list(names)
    assert named_labels(held_out) == by_shade(held_out)
    told = [note for note in held_out.notes if "'d'" in note]
    assert bool(told) == ("d" in classes)


def test_held_out_images_are_read_in_the_channels_of_the_training_data(tmp_path: Path) -> None:
    colour = load_source(classes_folder(tmp_path / "train", "ab", mode="RGB"))
    classes_folder(tmp_path / "val", "b")
    held_out = validation_split(colour, TrainConfig(steps=1, validation=str(tmp_path / "val")))[1]
    assert held_out.channels == 3
    assert named_labels(held_out) == ["b"] * 3
    with pytest.raises(DataError, match="does not match"):
        validation_split(load_source(np.zeros((4, 3))), TrainConfig(steps=1, validation=str(tmp_path / "val")))


def test_joined_sources_number_classes_by_name(tmp_path: Path) -> None:
    both = ConcatSource([array([0, 1], ["b", "c"]), array([0, 1, 2], ["a", "b", "d"])])
    assert named_labels(both) == by_shade(both) == ["b", "c", "a", "b", "d"]
    assert named_labels(both.subset([4, 0])) == ["d", "b"]
    numbers = ConcatSource([array([4, 1]), array([0, 1])])
    assert numbers.labels is not None
    assert numbers.labels.tolist() == [4, 1, 0, 1]
    assert numbers.class_names is None
    floats = ArraySource(np.full((1, 1, 8, 8), 0.5, np.float32))
    mixed = ConcatSource([array([0], ["c"]), floats])
    np.testing.assert_array_equal(mixed.gather([0, 1])[:, 0, 0, 0], np.array([230 / 255, 0.5], np.float32))


@pytest.mark.parametrize("kind", [GatedPixelCNN, TransformerPrior, MaskedPrior, ContextPrior])
def test_a_prior_keeps_the_names_of_its_classes(tmp_path: Path, kind: type) -> None:
    tokens = tokenize(tiny(), array([0, 1, 1], ["b", "c"]), tmp_path / "t")
    small = {"layers": 1, "hidden_channels": 16}
    prior = kind.for_tokens(tokens, classes=3, condition_dropout=0.1, **small)
    assert prior.class_names == ["b", "c", "2"]
    prior.save_pretrained(tmp_path / "p")
    again = load_prior(tmp_path / "p")
    assert again.class_names == ["b", "c", "2"]
    assert again.config == prior.config
    without = kind.for_tokens(tokens, **small)
    assert without.class_names is None
    assert "class_names" not in without.config
    twice = kind(16, [2, 2], classes=2, class_names=["b", "c"], **small)
    assert twice.class_names == ["b", "c"]
    for wrong in (["b"], ["b", "b"], "bc"):
        with pytest.raises(ConfigError, match="class_names"):
            kind(16, [2, 2], classes=2, class_names=wrong, **small)


def test_tokens_of_other_numbers_are_read_by_name(tmp_path: Path) -> None:
    model = tiny()
    tokens = tokenize(model, array([0, 1, 2], ["a", "b", "c"]), tmp_path / "t")
    prior = GatedPixelCNN.for_tokens(tokens, classes=3, layers=1)
    other = index_source(tokenize(model, array([0, 1, -1, 1], ["c", "b"]), tmp_path / "o"))
    assert other.class_names == ["c", "b"]
    dropped = GatedPixelCNN.for_tokens(tokens, classes=3, condition_dropout=0.1, layers=1)
    assert np.array_equal(labels_for(dropped, other), [2, 1, -1, 1])  # type: ignore[arg-type]
    foreign = index_source(tokenize(model, array([0, 1], ["d", "b"]), tmp_path / "f"))
    with pytest.raises(ConfigError, match=r"'d', which the prior does not know.*'a', 'b', 'c'"):
        labels_for(prior, foreign)
    numbers = index_source(tokenize(model, array([0, 1]), tmp_path / "n"))
    with pytest.raises(ConfigError, match=r"no names.*'0', '1'"):
        labels_for(prior, numbers)
    plain = GatedPixelCNN(16, [2, 2], classes=3, layers=1)  # of an older version: by numbers, as ever
    assert np.array_equal(labels_for(plain, other.subset([0, 1])), [0, 1])  # type: ignore[arg-type]


def test_a_prior_of_data_with_held_out_data_of_its_own(tmp_path: Path) -> None:
    source = load_source(classes_folder(tmp_path / "train", "abc"))
    classes_folder(tmp_path / "val", "bc", 2, mode="RGB")
    config = TrainConfig(steps=2, batch_size=4, validation=str(tmp_path / "val"), device="cpu", evaluations=0)
    options = {"classes": classes_of(source), "layers": 1, "hidden_channels": 16}
    run = train_prior(tiny(), source, tmp_path / "p", config=config, options=options, quiet=True)
    tokens = load_tokens(tmp_path / "p" / "tokens")
    labels = tokens.labels()
    assert labels is not None
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 1, 1, 2, 2]
    assert tokens.class_names == ["a", "b", "c"]
    recorded = read_config(run.path)
    assert recorded["training"]["validation"] == "last:4"
    assert recorded["model"]["class_names"] == ["a", "b", "c"]
    assert run.evaluation is not None
    assert run.evaluation["items"] == 4
    classes_folder(tmp_path / "val", "d", 1)
    with pytest.raises(ConfigError, match="'d'"):
        train_prior(tiny(), source, tmp_path / "q", config=config, options=options, quiet=True)


def test_held_out_images_of_another_size_make_squares(tmp_path: Path) -> None:
    source = load_source(classes_folder(tmp_path / "train", "ab", 6))
    classes_folder(tmp_path / "val", "b", 2, side=12)
    config = TrainConfig(steps=1, batch_size=4, validation=str(tmp_path / "val"), device="cpu", evaluations=0)
    train_prior(tiny(), source, tmp_path / "p", config=config, options={"layers": 1}, crop=None, crops=12, quiet=True)
    assert load_tokens(tmp_path / "p" / "tokens").grid == (2, 2)
    vectors = np.zeros((12, 2))
    with pytest.raises(ConfigError, match="vectors belong to"):
        train_prior(tiny(), source, tmp_path / "v", config=config, vectors=vectors, quiet=True)


def test_classes_are_drawn_by_the_names_of_the_prior(tmp_path: Path) -> None:
    tokens = tokenize(tiny(), array([0, 1, 2], ["b", "c", "d"]), tmp_path / "t")
    prior = GatedPixelCNN.for_tokens(tokens, classes=3, layers=1)
    ids, names = generating.conditions(prior, tmp_path / "nowhere", ["c", "0"], 3)
    assert ids is not None
    assert (ids.tolist(), names) == ([1, 0, 1], ["c", "b", "c"])
    with pytest.raises(ConfigError, match=r"0 b, 1 c, 2 d"):
        generating.conditions(prior, tmp_path / "nowhere", ["a"], 1)
    older = GatedPixelCNN(16, [2, 2], classes=3, layers=1)  # a run folder of an older version has the tokens' names
    (tmp_path / "run").mkdir()
    about = {"data": str(tmp_path / "t"), "fingerprint": "0", "model": {"model_type": "vqvae"}, "training": {}}
    (tmp_path / "run" / "run.json").write_text(json.dumps(about))
    assert generating.class_names(older, tmp_path / "run") == ["b", "c", "d"]
    assert generating.class_names(older, tmp_path / "nowhere") == ["0", "1", "2"]


def test_a_classifier_judges_by_name(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    classifier = train_classifier(array([0, 1, 2] * 8, names), steps=30, batch_size=8)
    assert classifier.class_names == names
    assert classifier.accuracy(array([0, 1, 2] * 4, names)) == 1.0
    assert classifier.accuracy(array([1, 0] * 4, ["c", "b"])) == 1.0
    assert classifier.accuracy(array([0, 1] * 4, ["d", "b"])) == 0.5  # a class that it never saw is a mistake


def test_a_comparison_numbers_held_out_images_by_name(tmp_path: Path) -> None:
    source = load_source(classes_folder(tmp_path / "train", "abc", 15))
    classes_folder(tmp_path / "val", "cd", 16)
    images = fixed_images(source, CompareConfig(validation=str(tmp_path / "val"), crop=8))
    assert images.whole.class_names == ["a", "b", "c", "d"]
    held_out = images.held_out.labels
    assert held_out is not None
    assert sorted(set(held_out.tolist())) == [2, 3]
    assert any("'d'" in note for note in images.whole.notes)
    classifier = Classifier(1, 4)
    assert sorted(classifier.state_dict()) == sorted(Classifier(1, 3).state_dict())


def test_a_comparison_refuses_classes_of_which_none_is_common(tmp_path: Path) -> None:
    training, held_out = array([0, 1] * 20, ["a", "b"]), array([2, 2] * 20, ["a", "b", "c"])
    with pytest.raises(DataError, match=r"'c'.*'a', 'b'.*no name is common"):
        Features.choose(CompareConfig(samples=16), training, held_out, tmp_path)


def test_held_out_tokens_are_numbered_by_name(tmp_path: Path) -> None:
    model = tiny()
    tokens = index_source(tokenize(model, array([0, 1, 2], ["a", "b", "c"]), tmp_path / "t"))
    tokenize(model, array([0, 1], ["c", "b"]), tmp_path / "v")
    held_out = validation_split(tokens, TrainConfig(steps=1, validation=str(tmp_path / "v")))[1]
    assert named_labels(held_out) == ["c", "b"]
    assert held_out.labels is not None
    assert held_out.labels.tolist() == [2, 1]
    with pytest.raises(DataError, match="does not match"):
        validation_split(array([0, 1]), TrainConfig(steps=1, validation=str(tmp_path / "v")))
