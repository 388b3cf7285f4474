"""Conditions of a decoder: every model of networks decodes under a class or a vector, foreign networks included."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vqkit
from tests.models.cases import NETWORKS, new, signals
from vqkit.data import ArraySource
from vqkit.errors import ConfigError, DataError
from vqkit.models import Model
from vqkit.networks import DECODERS

NAMES = ["anna", "ben", "carla"]
SEANET = {"type": "seanet", "config": {"strides": [2, 3], "hidden_channels": 8, "residual_blocks": 1}}


def conditional(rung: str = "vqvae", axes: int = 2, **options: Any) -> Model:
    """A model whose decoder has three classes, in evaluation mode."""
    options = {"classes": 3, "class_names": NAMES, "condition_channels": 4, **options}
    return new(rung, axes, **options).eval()


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
@pytest.mark.parametrize("rung", NETWORKS)
def test_every_model_of_networks_decodes_under_a_class(rung: str, axes: int) -> None:
    model = conditional(rung, axes)
    for parameter in model.decoder.parameters():  # beside a linear path it begins with zeros
        nn.init.normal_(parameter, std=0.1)
    x = signals(3, 2, axes)
    codes = model.encode(x)
    each = [model.decode(codes, x.shape[2:], condition=name) for name in NAMES]
    assert all(part.shape == x.shape for part in each)
    assert not torch.equal(each[0], each[1])
    mixed = model.decode(codes, x.shape[2:], condition=["carla", 0, "ben"])
    wanted = torch.stack([each[2][0], each[0][1], each[1][2]])
    assert torch.allclose(mixed, wanted, atol=1e-6)
    output = model(x, None, torch.tensor([2, 0, 1]))
    assert torch.allclose(output.reconstruction, wanted, atol=1e-6)
    assert torch.allclose(model.reconstruct(x, [2, 0, 1]), wanted, atol=1e-6)


def test_the_codes_know_nothing_of_the_condition_and_the_embedding_learns() -> None:
    model = conditional()
    x = signals(3, 2, 2)
    with model.conditioned_on("ben"):
        assert torch.equal(model.encode(x), conditional().encode(x))
    model.train()(x, None, torch.tensor([0, 0, 2])).loss.backward()
    assert model.decoder_condition is not None
    gradient = model.decoder_condition.embedding.weight.grad
    assert gradient is not None
    assert [bool(row.any()) for row in gradient] == [True, False, True]


def test_without_conditions_configs_and_tensors_are_what_they_were() -> None:
    model = new("vqvae")
    assert not {"classes", "class_names", "condition_dim", "condition_channels"} & model.config.keys()
    assert not [name for name in model.state_dict() if "condition" in name]


def test_a_decoder_of_ones_own_gets_more_channels() -> None:
    class Foreign(nn.Module):
        """A decoder that is not vqkit's."""

        def __init__(self) -> None:
            super().__init__()
            self.in_channels, self.out_channels, self.downsampling = 6 + 5, 2, 2
            self.layer = nn.ConvTranspose2d(11, 2, 2, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.layer(x)
            return found

    model = new("vqvae", classes=2, condition_channels=5, decoder=Foreign()).eval()
    x = signals(2, 2, 2)
    assert not torch.equal(model.reconstruct(x, 0), model.reconstruct(x, 1))
    with pytest.raises(ConfigError, match="the decoder reads 11 channels; it has to be 9"):
        new("vqvae", classes=2, condition_channels=3, decoder=Foreign())


@pytest.mark.parametrize("name", list(DECODERS))
def test_every_registered_decoder_can_be_conditioned(name: str) -> None:
    axes = DECODERS.get_part(name).supported_axes
    spec: Any = SEANET if name == "seanet" else name
    own = {"encoder": SEANET, "decoder": SEANET, "downsampling": 6} if name == "seanet" else {"decoder": spec}
    model = conditional("vqvae", 2 if 2 in axes else axes[0], **own)
    x = signals(2, 2, model.axes, size=(12,) * model.axes)
    assert not torch.equal(model.reconstruct(x, "anna"), model.reconstruct(x, "ben"))


def test_a_vector_is_a_condition_and_the_same_in_every_batch() -> None:
    model = new("vae grid", condition_dim=5, condition_dropout=0.2).eval()
    x, vectors = signals(4, 2, 2), torch.randn(4, 5)
    latents = model.encode(x)
    together = model.decode(latents, condition=vectors)
    alone = torch.cat([model.decode(latents[[n]], condition=vectors[n].tolist()) for n in range(4)])
    assert torch.allclose(together, alone, atol=1e-6)
    assert model.decoder_condition is not None
    appended = model.decoder_condition.append(latents, vectors)
    assert torch.equal(appended[1:2], model.decoder_condition.append(latents[1:2], vectors[1:2]))
    assert torch.equal(model.decode(latents), model.decode(latents, condition=torch.zeros(5)))  # none begins as zeros
    with pytest.raises(DataError, match=r"condition is torch.float32 of shape \[4, 3\]; give floats of shape \[4, 5\]"):
        model.decode(latents, condition=torch.zeros(4, 3))


def test_dropped_conditions_are_none_and_only_in_training() -> None:
    model = conditional(condition_dropout=0.5)
    x = signals(64, 2, 2)
    codes = model.encode(x)
    layer = model.decoder_condition
    assert layer is not None
    latents = torch.zeros(64, 1, 2)
    assert torch.equal(layer.append(latents, "ben"), layer.append(latents, torch.ones(64, dtype=torch.int64)))
    none = layer.append(latents, None)
    assert torch.equal(none, layer.append(latents, torch.full((64,), -1)))
    layer.train()
    torch.manual_seed(0)
    rows = layer.append(latents, "ben")
    as_none = (rows == none).flatten(1).all(dim=1).sum()
    assert 16 < int(as_none) < 48
    assert model.decode(codes).shape == model.decode(codes, condition=-1).shape


@pytest.mark.parametrize("given", [None, "dora", 3, -1, 1.5, [0, 1], ["anna", "dora"], True])
def test_conditions_that_are_missing_or_unknown_are_refused_with_the_names(given: Any) -> None:
    model = conditional()
    codes = torch.zeros(3, 2, 2, dtype=torch.int64)
    with pytest.raises(DataError, match=r"'anna', 'ben', 'carla'|give torch.int64 of shape \[3\]"):
        model.decode(codes, condition=given)
    with pytest.raises(DataError, match="this model's decoder has none: train one with conditional=True"):
        new("vqvae").eval().decode(codes, condition=given or 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "classes=0: give 1 or more"),
        ({"classes": 2, "class_names": ["a"]}, "1 names for classes=2"),
        ({"classes": 2, "class_names": ["a", "a"]}, "give each class its own name"),
        ({"classes": 2, "condition_dim": 3}, "a condition is a class or a vector"),
        ({"classes": 2, "condition_dropout": 1.0}, "give a probability"),
        ({"classes": 2, "condition_channels": 0}, "condition_channels=0: give 1 or more"),
        ({"condition_channels": 3}, "there is no condition"),
        ({"condition_dropout": 0.1}, "there is no condition to drop"),
        ({"class_names": ["a"]}, "1 names for classes=None"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        new("vqvae", **options)


def test_two_threads_decode_under_their_own_conditions() -> None:
    model = conditional()
    codes, found, barrier = torch.zeros(1, 2, 2, dtype=torch.int64), {}, threading.Barrier(2)

    def decode(name: str) -> None:
        with model.conditioned_on(name):
            barrier.wait()
            found[name] = model.decode(codes)
            barrier.wait()

    threads = [threading.Thread(target=decode, args=(name,)) for name in NAMES[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[name], model.decode(codes, condition=name)) for name in NAMES[:2])


def test_a_saved_model_knows_its_classes(tmp_path: Path) -> None:
    model = conditional()
    model.save_pretrained(tmp_path)
    again = vqkit.load_model(tmp_path)
    assert (again.class_names, again.conditions.classes) == (NAMES, 3)
    x = signals(2, 2, 2)
    assert torch.equal(again.reconstruct(x, "carla"), model.reconstruct(x, "carla"))
    assert '"anna"' in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("causal", [True, False])
def test_fixed_point_and_streams_decode_under_a_class(causal: bool) -> None:
    spec = {"type": "seanet", "config": {**SEANET["config"], "causal": causal}}  # type: ignore[dict-item]
    torch.manual_seed(0)
    model = vqkit.VQVAE(
        16, axes=1, channels=1, code_dim=4, classes=3, class_names=NAMES, encoder=spec, decoder=spec
    ).eval()
    x = torch.rand(3, 1, 61) - 0.5
    whole = model.reconstruct(x, ["ben", "ben", "anna"])
    for number, name in enumerate(["ben", "ben", "anna"]):
        assert torch.equal(whole[[number]], model.reconstruct(x[[number]], name))  # the same alone, to the last bit
        stream = model.stream(name)
        parts = [*(stream.encode(chunk) for chunk in x[[number]].split(7, dim=2)), stream.encode(last=True)]
        back = [*(stream.decode(part) for part in parts[:-1]), stream.decode(parts[-1], last=True, size=61)]
        assert torch.equal(torch.cat(back, dim=2), whole[[number]])
    with pytest.raises(DataError, match="no class given"):
        model.stream().decode(model.encode(x))
    with pytest.raises(DataError, match="'dora' is unknown"):
        model.stream("dora")


def test_for_source_takes_classes_and_names_of_the_labels_or_vectors() -> None:
    x, labels = np.zeros((6, 1, 8, 8), np.uint8), np.array([0, 2, 1, 0, 2, 1])
    source = ArraySource(x, name="x", labels=labels, class_names=NAMES)
    model = vqkit.VQVAE.for_source(source, 8, hidden_channels=8, conditional=True)
    assert (model.config["classes"], model.class_names) == (3, NAMES)
    unnamed = ArraySource(x, name="x", labels=labels)
    assert "class_names" not in vqkit.VAE.for_source(unnamed, 4, hidden_channels=8, conditional=True).config
    vectors = ArraySource(x, name="x", vectors=np.ones((6, 5), np.float32))
    by_vector = vqkit.Autoencoder.for_source(vectors, 4, hidden_channels=8, conditional=True)
    assert by_vector.config["condition_dim"] == 5
    assert vqkit.evaluate(by_vector.eval(), vectors).items == 6
    with pytest.raises(ConfigError, match="have no labels to condition on; say where they are"):
        vqkit.VQVAE.for_source(ArraySource(x, name="x"), 8, conditional=True)


def test_data_sets_are_reconstructed_and_judged_under_their_labels() -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(20))
    model = vqkit.VQVAE.for_source(digits, 8, hidden_channels=8, conditional=True).eval()
    assert digits.labels is not None
    under_labels = torch.cat([model.reconstruct(digits[[n]], int(digits.labels[n])) for n in range(20)])
    assert torch.allclose(model.reconstruct(digits), under_labels, atol=1e-6)
    assert torch.allclose(model.reconstruct(digits, 4)[7], model.reconstruct(digits[[7]], 4)[0], atol=1e-6)
    found = vqkit.evaluate(model, digits)
    mse = float((under_labels - torch.as_tensor(digits[:20]) / 255).square().mean())
    assert found.mse == pytest.approx(mse, rel=1e-4)
    bare = ArraySource(digits[:20], name="x")
    with pytest.raises(ConfigError, match=r"give data that have labels \(a folder for each class, or load_source"):
        vqkit.evaluate(model, bare)
    dropout = vqkit.VQVAE.for_source(digits, 8, hidden_channels=8, conditional=True, condition_dropout=0.1).eval()
    assert vqkit.evaluate(dropout, bare).items == 20


@pytest.mark.parametrize("rung", ["vqvae", "vae vector", "ae grid"])
def test_training_under_labels_is_repeatable_and_finishes(rung: str, tmp_path: Path) -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(60))
    kinds: dict[str, Any] = {"vqvae": vqkit.VQVAE, "vae vector": vqkit.VAE, "ae grid": vqkit.Autoencoder}
    options: dict[str, Any] = {} if rung == "vqvae" else {"latent": rung.split()[1]}

    def made() -> Any:
        model = kinds[rung].for_source(
            digits, 8, hidden_channels=8, conditional=True, condition_dropout=0.1, seed=1, **options
        )
        assert model.decoder_condition is not None
        return model

    settings: dict[str, Any] = {"batch_size": 8, "evaluations": 1, "tensorboard": False, "accumulate": 2}
    first = made()
    begun = first.decoder_condition.embedding.weight.detach().clone()
    run = vqkit.train(first, digits, out=tmp_path / "a", steps=6, **settings)
    assert not torch.equal(first.decoder_condition.embedding.weight, begun)
    again = made()
    vqkit.train(again, digits, out=tmp_path / "b", steps=6, **settings)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert run.evaluation is not None
    loaded = vqkit.load_model(tmp_path / "a")
    if isinstance(loaded.likelihood, vqkit.likelihoods.Gaussian) and rung != "vae vector":
        x = digits[[0]]
        other = copy.deepcopy(loaded)
        other.finish([(x, torch.tensor([int(digits.labels[0])]))])
        assert torch.isfinite(other.likelihood.log_scale).all()


def test_labels_of_other_data_are_read_by_name() -> None:
    x = np.zeros((2, 1, 8, 8), np.uint8)
    model = conditional("vqvae", channels=1)
    other = ArraySource(x, name="x", labels=np.array([0, 1]), class_names=["carla", "anna"])
    labels = model.conditions_of(other)
    assert labels is not None
    assert labels.tolist() == [2, 0]
    foreign = ArraySource(x, name="x", labels=np.array([0, 1]), class_names=["dora", "anna"])
    with pytest.raises(ConfigError, match="'dora', which the model does not know; its classes are 'anna', 'ben'"):
        model.conditions_of(foreign)
