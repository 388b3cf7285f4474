"""Exported graphs: the same indices as the model at any batch and size, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from tests.models.cases import SMALL, ready, signals
from vqkit.errors import ConfigError
from vqkit.export import EXPORT_FORMATS, Graph, export_format, export_model
from vqkit.export.comparing import compare, compare_steps, near_ties
from vqkit.export.exporting import compared
from vqkit.export.formats.base import traced
from vqkit.export.formats.float64 import conv1d, conv_transpose1d, cos, elu
from vqkit.export.graphs import encoder_graph
from vqkit.export.streams import stream_graphs
from vqkit.models.levels.options import LEVELS, named_levels
from vqkit.ops.reproducible import exponent_of

NET = {"type": "seanet", "config": {"strides": [2], "hidden_channels": 4, "residual_blocks": 1}}


def runners(model: Any, folder: Path, name: str = "torch", **options: Any) -> dict[str, Any]:
    found = export_model(model, folder, format=name, **options)
    return {graph: export_format(name).open(path) for graph, path in found.files.items()}


def test_a_graph_takes_any_batch_and_any_size(tmp_path: Path) -> None:
    """Seen red with ``pad_to_multiple`` as it is outside of exports: a size that is no multiple is refused."""
    model = ready("vqvae of 3")
    run = runners(model, tmp_path / "graphs")
    for batch, size in ((1, (8, 6)), (3, (5, 9))):
        x = signals(batch, 2, 2, seed=batch, size=size)
        indices = model.encode(x)
        assert np.array_equal(run["encoder"]([x.numpy()])[0], indices.numpy())
        decoded = run["decoder"]([indices.numpy()])[0]
        assert np.allclose(decoded, model.decode(indices).numpy(), atol=1e-6)


@pytest.mark.parametrize("rung", ["pca", "ae vector", "vae grid"])
def test_models_without_a_codebook_give_latents(rung: str, tmp_path: Path) -> None:
    found = export_model(ready(rung), tmp_path / "graphs", format="torch").differences
    assert found.indices == 0
    assert found.latent_error is not None
    assert found.latent_error < 1e-5


def test_a_step_of_a_stream_is_the_stream() -> None:
    """Two chunks with the state between them: the indices and the samples of the whole."""
    torch.manual_seed(0)
    model = vqkit.VQVAE(16, axes=1, channels=1, code_dim=4, encoder=NET, decoder=NET, num_codebooks=2)
    model.prepare([signals(4, 1, 1, size=(32,))])
    model.eval().requires_grad_(False)
    x = signals(2, 1, 1, size=(20,))
    indices = model.encode(x)
    for graph, given, wanted, cut in zip(
        stream_graphs(model), (x, indices), (indices, model.decode(indices)), ((2, 8), (1, 4)), strict=True
    ):
        axis, first = cut
        program = traced(graph).module()
        states, parts = graph.examples[1:], []
        for chunk in (given.narrow(axis, 0, first), given.narrow(axis, first, given.shape[axis] - first)):
            part, *states = program(chunk, *states)
            parts.append(part)
        joined = torch.cat(parts, dim=1 if graph.name == "stream_encoder" else 2)
        assert torch.equal(joined, wanted), graph.name


def test_conditions_are_an_input(tmp_path: Path) -> None:
    model = vqkit.VQVAE(16, channels=1, classes=3, downsampling=2, **SMALL).eval()
    run = runners(model, tmp_path / "graphs", parts=["decoder"])["decoder"]
    indices = torch.randint(16, (3, 2, 2))
    told = run([indices.numpy(), np.array([0, 2, 1])])[0]
    assert np.allclose(told, model.decode(indices, condition=[0, 2, 1]).numpy(), atol=1e-6)


@pytest.mark.parametrize(("options", "words"), [({"parts": ["stream"]}, "no step"), ({"parts": ["x"]}, "choose of")])
def test_what_a_model_has_not_is_refused(options: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        export_model(ready("vqvae"), tmp_path / "graphs", format="torch", **options)
    assert not (tmp_path / "graphs").exists()


def test_a_network_that_no_graph_holds_is_named(tmp_path: Path) -> None:
    class Asks(torch.nn.Module):
        in_channels, out_channels, downsampling = 1, 4, 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.expand(-1, 4, -1, -1) * (2 if float(x.sum()) > 0 else 1)

    model = vqkit.VQVAE(16, channels=1, code_dim=4, encoder=Asks(), **{**SMALL, "downsampling": 1}).eval()
    with pytest.raises(ConfigError, match="Asks"):
        export_model(model, tmp_path / "graphs", format="torch")
    assert not (tmp_path / "graphs").exists()


def test_graphs_of_another_model_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = EXPORT_FORMATS["torch"].open

    def other(self: Any, path: Path) -> Any:
        run = real(self, path)
        return lambda given: [(each + 1) % 5 if each.dtype == np.int64 else each for each in run(given)]

    monkeypatch.setattr(EXPORT_FORMATS["torch"], "open", other)
    with pytest.raises(ConfigError, match="not the model"):
        export_model(ready("vqvae"), tmp_path / "graphs", format="torch")
    assert not (tmp_path / "graphs").exists()


@pytest.mark.parametrize("rung", ["vqvae", "vqvae of 3"])
def test_only_codes_that_are_equally_near_are_near_ties(rung: str) -> None:
    model: Any = ready(rung)
    quantizer = model.quantizer
    codes = torch.stack(
        [
            torch.zeros(quantizer.num_codebooks, dtype=torch.int64),
            torch.ones(quantizer.num_codebooks, dtype=torch.int64),
        ]
    )
    a, b = (quantizer.lookup(each[None] if quantizer.num_codebooks > 1 else each).double() for each in codes)
    rows = torch.cat([(a + b) / 2 + (a - b) * 1e-7, a]).float()
    if quantizer.num_codebooks == 1:  # the middle of two codes may be nearest to a third
        rows[0] = _between(quantizer)
    ours = quantizer.encode(rows).reshape(2, -1)
    theirs = ours.clone()
    near = near_ties(model, rows, ours, theirs)
    assert near.tolist() == [True, True]
    theirs[1, 0] = (ours[1, 0] + 1) % quantizer.codebook_size
    assert near_ties(model, rows, ours, theirs).tolist() == [True, False]


def _between(quantizer: Any) -> torch.Tensor:
    return quantizer.lookup(torch.tensor([0]))[0]


def test_comparison_counts(tmp_path: Path) -> None:
    model = ready("vqvae")
    x = signals(3, 2, 2)
    shifted = lambda given: [(model.encode(torch.from_numpy(given[0])).numpy() + 1) % 5]  # noqa: E731
    found = compare(model, {"encoder": shifted}, [x], "three")
    assert (found.signals, found.indices, found.near_ties + found.others) == (3, 27, 27)
    assert found.others > 20
    assert found.signal_error is None


def test_operations_of_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 40, generator=generator, dtype=torch.float64)
    for kernel, stride, dilation, groups in ((3, 1, 2, 1), (20, 5, 1, 1), (5, 1, 1, 4), (4, 2, 1, 1)):
        weight = torch.randn(8 if groups == 1 else 4, 4 // groups, kernel, generator=generator, dtype=torch.float64)
        there = torch.nn.functional.conv1d(x, weight, stride=stride, dilation=dilation, groups=groups)
        assert torch.allclose(conv1d(x, weight, None, [stride], [0], [dilation], groups), there)
    for kernel, stride in ((4, 2), (5, 2), (3, 4)):
        weight = torch.randn(4, 3, kernel, generator=generator, dtype=torch.float64)
        there = torch.nn.functional.conv_transpose1d(x, weight, stride=stride)
        assert torch.allclose(conv_transpose1d(x, weight, None, [stride]), there)
    assert torch.allclose(elu(x), torch.nn.functional.elu(x))
    assert torch.allclose(cos(x), x.cos())


def test_exponents_of_an_exported_graph_are_those_of_the_bits() -> None:
    class Exponent(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return exponent_of(x)

    powers = torch.pow(2.0, torch.arange(-300.0, 300.0, dtype=torch.float64))
    x = torch.cat([powers, powers * (1 - 2.0**-53), powers * (1 + 2.0**-52)])
    program = torch.export.export(Exponent(), (x,)).module()
    assert torch.equal(program(x), exponent_of(x).long())


def test_a_format_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Names(vqkit.export.ExportFormat):
        suffix = ".names"

        def write(self, graph: Graph, path: Path, metadata: Any) -> None:
            path.write_text(" ".join(graph.inputs))

        def open(self, path: Path) -> Any:
            return lambda given: [ready("vqvae").encode(torch.from_numpy(given[0])).numpy()]

    monkeypatch.setattr(EXPORT_FORMATS, "_parts", {**EXPORT_FORMATS._parts, "names": Names})
    found = export_model(ready("vqvae"), tmp_path / "graphs", format="names", parts=["encoder"])
    assert found.files["encoder"].read_text() == "signals"


def test_a_graph_says_its_axes() -> None:
    graph = encoder_graph(ready("pca"))
    assert graph.inputs == {"signals": ("batch", 2, 6, 5)}


@pytest.mark.parametrize("value", [np.nan, 0.7])
def test_values_of_another_decoder_are_not_the_models(value: float) -> None:
    """Also those that are no numbers, whose largest difference is none, and those of another shape."""
    model, x = ready("vqvae"), signals(3, 2, 2)
    assert compare(model, {"decoder": lambda _: [np.zeros((1, 2, 3, 3), np.float32)]}, [x], "x").signal_error == np.inf
    wrong = np.full_like(model.decode(model.encode(x)).numpy(), value)
    with pytest.raises(ConfigError, match="are not the model: over 3 signals of three"):
        compared(model, [Graph("decoder", model, (), {}, {})], {"decoder": lambda _: [wrong]}, iter([x]), "three")
    model, x = ready("ae vector"), signals(3, 2, 2)
    latents = np.full_like(model.encode(x).numpy(), value)
    with pytest.raises(ConfigError, match="latents differ by"):
        compared(model, [Graph("encoder", model, (), {}, {})], {"encoder": lambda _: [latents]}, iter([x]), "three")


def test_steps_of_a_stream_are_compared() -> None:
    """A graph that forgets its state gives other indices than the whole sound."""
    torch.manual_seed(0)
    model = vqkit.VQVAE(16, axes=1, channels=1, code_dim=4, encoder=NET, decoder=NET, num_codebooks=2)
    model.prepare([signals(4, 1, 1, size=(32,))])
    model.eval().requires_grad_(False)
    graphs = stream_graphs(model)
    whole = {graph.name: _run(graph, keeps=True) for graph in graphs}
    x = signals(2, 1, 1, size=(21,))
    found = compare_steps(model, graphs, whole, x, "two")
    assert (found.signals, found.indices, found.others, found.signal_error) == (2, 2 * 10 * 2, 0, 0.0)
    assert found.problem(2.0) is None
    forgets = {graph.name: _run(graph, keeps=False) for graph in graphs}
    assert "are none" in str(compare_steps(model, graphs, forgets, x, "two").problem(2.0))


def _run(graph: Graph, keeps: bool) -> Any:
    def run(given: Any) -> Any:
        with torch.enable_grad():  # the way of graphs
            found = graph.module(*(torch.from_numpy(each) for each in given))
        return [each.detach().numpy() * (1 if keeps or number == 0 else 0) for number, each in enumerate(found)]

    return run


def test_a_folder_that_holds_something_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqkit.export.exporting.encoder_graph", None)  # nothing is computed
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(ConfigError, match="already holds something"):
        export_model(ready("vqvae"), tmp_path / "full", format="torch")
    with pytest.raises(ConfigError, match="is no folder"):
        export_model(ready("vqvae"), tmp_path / "full" / "mine.txt", format="torch")


@pytest.mark.parametrize("quantizer", ["gaussian", *(pytest.param(name, marks=pytest.mark.slow) for name in LEVELS)])
def test_quantizers_that_are_no_plain_codebook_are_exported(quantizer: str, tmp_path: Path) -> None:
    """For batches and signals of any size, as all of them."""
    torch.manual_seed(0)
    given: dict[str, Any] = {"quantizer": quantizer, "code_dim": 4}
    given = named_levels(given, 2, 16, None) if quantizer in LEVELS else {"codebook_size": 16, **given}
    model = vqkit.VQVAE(**given, channels=1, hidden_channels=4, residual_channels=2).eval()
    found = export_model(model, tmp_path / "graphs", format="torch")
    assert (sorted(found.files), found.differences.others) == (["decoder", "encoder"], 0)
