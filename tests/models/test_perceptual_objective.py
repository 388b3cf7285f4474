"""The perceptual objective: against loops, with every kind of network, in runs that stop and go on."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import vqkit
from tests.objectives.cases import decoded, prepared
from tests.training.cases import StopAfter
from vqkit.errors import ConfigError, TrainingInterrupted
from vqkit.evaluation import Classifier
from vqkit.models.perceptual.distances import feature_distances
from vqkit.models.perceptual.objective import PerceptualObjective
from vqkit.models.perceptual.pyramid import RandomPyramid
from vqkit.objectives import Decoded, build_objective
from vqkit.training.checkpoints import checkpoint

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}


def single(given: Decoded) -> Decoded:
    """The same reconstructions in float32."""
    parts = {name: getattr(given, name).detach().float() for name in ("parameters", "target", "signal")}
    parts["parameters"].requires_grad_()
    found: Any = replace(given, **parts, assignment=None)
    return replace(found, mean=given.likelihood.float().mean(parts["parameters"]))  # type: ignore[no-any-return]


def loss(text: str, given: Decoded, axes: int = 2) -> Tensor:
    objective = build_objective(text)
    objective.prepare(axes, 2)
    (found,) = objective.losses(given).values()
    return found


def model_of(**options: Any) -> Any:
    return vqkit.VQVAE(
        16,
        code_dim=4,
        **{"channels": 2, **options},
        hidden_channels=8,
        residual_channels=4,
        downsampling=4,
        residual_blocks=1,
    )


def test_the_distances_are_those_of_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    made, wanted = (torch.randn(2, 3, 2, 2, generator=generator).double() for _ in range(2))
    mask = torch.tensor([[[True, True], [True, False]], [[True, True], [True, True]]])
    distance, gram = feature_distances([made], [wanted], mask, together=False)
    rows = [(item, *place) for item, *place in mask.nonzero().tolist()]
    columns = {channel: [float(wanted[item, channel, y, x]) for item, y, x in rows] for channel in range(3)}
    variances = [float(np.var(values)) for values in columns.values()]
    power = float(np.mean([np.square(values).mean() for values in columns.values()]))
    scales = [(each + 0.01 * float(np.mean(variances)) + 1e-4 * (power + 1)) ** -0.5 for each in variances]

    def normal(maps: Tensor, item: int, channel: int, y: int, x: int) -> float:
        return float((maps[item, channel, y, x] - np.mean(columns[channel])) * scales[channel])

    errors = [
        (normal(made, item, channel, y, x) - normal(wanted, item, channel, y, x)) ** 2
        for item, y, x in rows
        for channel in range(3)
    ]
    assert float(distance) == pytest.approx(float(np.mean(errors)))
    differences, square = [0.0, 0.0], 0.0
    for item in range(2):
        own = [(y, x) for number, y, x in rows if number == item]
        for a in range(3):
            for b in range(3):
                pair = [
                    sum(normal(maps, item, a, *at) * normal(maps, item, b, *at) for at in own) / len(own)
                    for maps in (made, wanted)
                ]
                differences[item] += (pair[0] - pair[1]) ** 2
                square += pair[1] ** 2 / 2
    assert float(gram) == pytest.approx(float(np.mean([2 * ((1 + each / square) ** 0.5 - 1) for each in differences])))


def test_what_stands_elsewhere_has_the_same_gram_matrix() -> None:
    maps = torch.randn(2, 5, 6, 6)
    moved = maps.roll(3, dims=3)
    distance, gram = feature_distances([moved], [maps], None, together=False)
    assert float(distance) > 1.0
    assert float(gram) == pytest.approx(0.0, abs=1e-8)
    flat, none = feature_distances(
        [maps.mean(dim=(0, 2, 3), keepdim=True).expand_as(maps)], [maps], None, together=False
    )
    assert float(flat) == pytest.approx(0.99, abs=0.01)
    assert float(none) > 0.5


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_random_features_are_those_of_the_seed(axes: int) -> None:
    signals = torch.randn(2, 2, *[9] * axes)
    first = RandomPyramid(axes, 2, width=4)(signals)
    torch.manual_seed(99)
    again, other = RandomPyramid(axes, 2, width=4)(signals), RandomPyramid(axes, 2, width=4, seed=1)(signals)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert all(
        float(each.abs().max()) < 1e-5 for each in RandomPyramid(axes, 2, width=4)(torch.ones(1, 2, *[9] * axes))
    )


def test_a_blurred_signal_is_farther_than_one_with_as_much_error_elsewhere() -> None:
    signals = torch.randn(4, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    blurred = nn.functional.avg_pool2d(signals, 3, 1, 1, count_include_pad=False)
    error = (blurred - signals).square().mean().sqrt()
    shifted = signals + error
    network = RandomPyramid(2, 2)
    far, near = (
        sum(feature_distances(network(each), network(signals), None, together=False)) for each in (blurred, shifted)
    )
    assert float(far) > 3 * float(near)


def test_a_constant_batch_gives_no_more_than_the_network_sees() -> None:
    given = single(decoded(2))
    flat = replace(given, target=torch.zeros_like(given.target))
    found = loss("perceptual", flat)
    (gradient,) = torch.autograd.grad(found, given.parameters)
    assert bool(torch.isfinite(found))
    assert bool(torch.isfinite(gradient).all())


def test_under_autocast_it_is_computed_in_float32() -> None:
    given = single(decoded(2))
    plain = loss("perceptual", given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss("perceptual", given), plain)


class Scripted(nn.Module):
    """Two layers and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3)
        self.second = nn.Conv2d(3, 4, 3, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps, coarser maps, means."""
        a = torch.relu(self.first(x))
        b = torch.relu(self.second(a))
        return a, b, b.mean(dim=(2, 3))


def files(folder: Path) -> dict[str, str]:
    """Every kind of network, by name."""
    torch.manual_seed(0)
    model_of().save_pretrained(folder / "model")
    network = Scripted().eval()
    torch.jit.save(torch.jit.trace(network, torch.rand(1, 2, 9, 8)), str(folder / "scripted.pt"))
    dynamic = {0: torch.export.Dim.DYNAMIC}
    torch.export.save(
        torch.export.export(network, (torch.rand(3, 2, 9, 8),), dynamic_shapes=(dynamic,)), folder / "made.pt2"
    )
    Classifier(2, 3).save_features(folder / "classes.pt2")
    return {name: str(folder / name) for name in ("model", "scripted.pt", "made.pt2", "classes.pt2")}


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return files(tmp_path_factory.mktemp("networks"))


@pytest.mark.parametrize("name", ["model", "scripted.pt", "made.pt2", "classes.pt2"])
def test_every_kind_of_network_is_frozen_and_gives_a_gradient(networks: dict[str, str], name: str) -> None:
    given = single(decoded(2))
    objective = build_objective(f"perceptual(features={networks[name]!r})")
    objective.prepare(2, 2)
    (found,) = objective.losses(given).values()
    (gradient,) = torch.autograd.grad(found, given.parameters)
    assert bool(gradient.any())
    assert bool(torch.isfinite(gradient).all())
    assert not list(objective.parameters())
    assert list(objective.state_dict()) == ["_extra_state"]
    assert not any(each.requires_grad for each in objective.network.parameters())  # type: ignore[attr-defined]
    perfect = replace(given, mean=given.target)
    assert [float(each) for each in objective.losses(perfect).values()] == [0.0]


def test_the_encoder_of_a_model_is_what_the_model_computes(networks: dict[str, str]) -> None:
    model = vqkit.load_model(networks["model"])
    signals = torch.rand(2, 2, 8, 12)
    objective = PerceptualObjective(features=networks["model"])
    objective.prepare(2, 2)
    layers = objective.network(signals)
    assert [tuple(each.shape[1:]) for each in layers] == [(4, 4, 6), (8, 2, 3)]
    last: Any = model.encoder.layers[-1] if hasattr(model.encoder, "layers") else [*model.encoder.modules()][-1]
    assert torch.allclose(last(layers[-1]), model.latents(signals), atol=1e-5)


def test_the_file_of_a_classifier_holds_its_maps(networks: dict[str, str]) -> None:
    torch.manual_seed(1)
    classifier = Classifier(1, 3).eval()
    path = classifier.save_features(Path(networks["model"]) / "one.pt2")
    images = torch.rand(5, 1, 17, 32)
    for own, read in zip(classifier.maps(images), torch.export.load(path).module()(images), strict=True):
        assert torch.allclose(own, read, atol=1e-6)


def test_networks_that_are_not_here_or_for_other_signals_are_refused(networks: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("nothing")
    cut = tmp_path / "cut.pt2"
    cut.write_bytes(Path(networks["made.pt2"]).read_bytes()[:2000])
    vqkit.PCA(4, channels=2, size=(8, 8)).save_pretrained(tmp_path / "pca")
    for options, words in (
        ({"features": "nowhere"}, "no such file, and no model"),
        ({"features": str(tmp_path / "text.pt")}, "no network of TorchScript"),
        ({"features": str(cut)}, "no network of TorchScript"),
        ({"features": str(tmp_path / "pca")}, "has no encoder|prepared"),
        ({"features": "timm:resnet18"}, "weights=FILE"),
        ({"features": "timm:resnet18", "weights": "no.safetensors"}, "is none"),
        ({"distance": 0, "gram": 0}, "both 0"),
        ({"gram": float("nan")}, "finite"),
        ({"scales": 0}, "from 1 to 12"),
        ({"features": ""}, "give 'random'"),
        ({"weights": "a"}, "leave them out"),
    ):
        with pytest.raises(ConfigError, match=words):
            PerceptualObjective(**options).prepare(2, 2 if "timm" not in str(options) else 3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="3 on 2"):
        PerceptualObjective(features=networks["model"]).prepare(2, 3)
    objective = PerceptualObjective(features=networks["scripted.pt"])
    objective.prepare(2, 1)
    given = single(decoded(2))
    with pytest.raises(ConfigError, match=r"failed on float32 signals \[4, 1, 9, 8\]"):
        objective.losses(replace(given, mean=given.mean[:, :1], target=given.target[:, :1]))
    with pytest.raises(ConfigError, match="autoregressive"):
        PerceptualObjective().prepare_for(SimpleNamespace(axes=2, channels=2, autoregressive=True))


def test_a_network_of_timm_has_its_weights_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = nn.Sequential(nn.Conv2d(3, 4, 3))
    made.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}  # type: ignore[assignment]
    asked: list[Any] = []
    timm = ModuleType("timm")
    timm.create_model = lambda *words, **options: asked.append((words, options)) or made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", timm)
    weights = {name: torch.full_like(tensor, 0.1) for name, tensor in made.state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    objective = PerceptualObjective(features="timm:small", weights=str(tmp_path / "w.safetensors"))
    objective.prepare(2, 1)
    assert asked == [(("small",), {"pretrained": False, "features_only": True})]
    (found,) = objective.network(torch.full((1, 1, 5, 5), 0.75))
    assert float(found[0, 0, 0, 0]) == pytest.approx(27 * 0.1 + 0.1, rel=1e-5)
    save_file({"other": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match="lacks"):
        PerceptualObjective(features="timm:small", weights=str(tmp_path / "x.safetensors")).prepare(2, 3)


def run(out: Path, features: str, callbacks: Any = (), **more: Any) -> Any:
    pictures = np.random.default_rng(0).random((40, 3, 8, 8), dtype=np.float32)
    return vqkit.train(
        _seeded(), pictures, out=out, steps=8, batch_size=8, evaluations=0, log_every=1,
        objective=f"likelihood + 0.1*perceptual(features={features!r})", callbacks=callbacks, **QUIET, **more,
    )  # fmt: skip


def _seeded(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return model_of(channels=3)


def test_stopped_and_resumed_it_is_the_same_and_never_with_another_network(tmp_path: Path) -> None:
    own = tmp_path / "features"
    _seeded(4).save_pretrained(own)
    pictures = np.random.default_rng(0).random((40, 3, 8, 8), dtype=np.float32)
    whole = run(tmp_path / "whole", str(own))
    for name in ("parts", "other"):
        with pytest.raises(TrainingInterrupted):
            run(tmp_path / name, str(own), callbacks=[StopAfter(5)], checkpoint_seconds=0)
    parts = vqkit.resume(tmp_path / "parts", data=pictures, **QUIET)
    first, second = (
        load_file(checkpoint.found(each.path / "checkpoints")[-1] / checkpoint.TENSORS) for each in (whole, parts)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert [name for name in first if name.startswith("objective")] == ["objective/perceptual/_extra_state"]
    shutil.rmtree(own)
    with pytest.raises(ConfigError, match="no such file"):
        vqkit.resume(tmp_path / "other", data=pictures, **QUIET)
    _seeded(5).save_pretrained(own)
    with pytest.raises(ConfigError, match="not the network that the run was started with"):
        vqkit.resume(tmp_path / "other", data=pictures, **QUIET)
    moved = tmp_path / "moved"
    shutil.move(own, moved)
    changed = f"likelihood + 0.1*perceptual(features={str(moved)!r})"
    assert vqkit.resume(tmp_path / "other", data=pictures, objective=changed, **QUIET).finished


def test_double_moves_the_network_along() -> None:
    objective = PerceptualObjective(width=4)
    with pytest.raises(ConfigError, match="prepare"):
        _ = objective.network
    objective.prepare_for(SimpleNamespace(axes=2, channels=2))
    assert next(objective.double().network.buffers()).dtype == torch.float64


@pytest.mark.parametrize(
    ("text", "axes", "values"),
    [
        ("perceptual(gram=0, scales=2)", 1, (2.56368491, 2.99363466)),
        ("perceptual(gram=0, scales=2)", 2, (1.71617411, 1.84631254)),
        ("perceptual(gram=0, scales=2)", 3, (2.05735079, 2.1279414)),
        ("perceptual(distance=0, seed=1)", 1, (4.30969129, 15.0724363)),
        ("perceptual(distance=0, seed=1)", 2, (8.83927993, 9.0151751)),
        ("perceptual(distance=0, seed=1)", 3, (1.09991722, 2.05609334)),
    ],
)
def test_golden_losses_of_random_networks(text: str, axes: int, values: tuple[float, float]) -> None:
    for masked, value in zip((False, True), values, strict=True):
        (found,) = prepared(text, axes).losses(decoded(axes, masked=masked)).values()
        assert float(found) == pytest.approx(value, rel=1e-8)
