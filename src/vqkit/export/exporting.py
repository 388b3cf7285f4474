"""Export of a model to a folder: its graphs, a description of them, and a check over a whole set."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, final

import torch

from vqkit._version import __version__
from vqkit.checking import counted
from vqkit.data import Source, evaluation_batches
from vqkit.data.batches import fitting_batch
from vqkit.errors import ConfigError
from vqkit.export.comparing import TOLERANCE, Differences, compare, compare_steps
from vqkit.export.formats import export_format
from vqkit.export.formats.base import Runner
from vqkit.export.graphs import Graph, check_exported, decoder_graph, encoder_graph
from vqkit.export.streams import no_stream, stream_graphs
from vqkit.models import IndexModel, Model
from vqkit.models.matching import in_channels, open_source
from vqkit.networks.sound.layers import Layer
from vqkit.pretrained.identity import model_digest
from vqkit.storage.atomic import new_folder, write_json

PARTS = ("encoder", "decoder", "stream")
DESCRIPTION = "export.json"
_BATCH = 64
_NOISE = 16


@final
@dataclass(frozen=True)
class Export:
    """An exported model.

    Attributes:
        folder: of the files.
        files: of the graphs, by name.
        description: what ``export.json`` says.
        differences: from the model.
        left_out: parts that the model does not have, and why.

    Example:
        >>> import tempfile, vqkit
        >>> model = vqkit.PCA(2, axes=0, channels=3).eval()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = vqkit.export_model(model, f"{folder}/graphs", format="torch", parts=["decoder"])
        ...     found.description["graphs"]["decoder"]["inputs"]
        {'latents': ['batch', 2]}
    """

    folder: Path
    files: dict[str, Path]
    description: dict[str, Any]
    differences: Differences
    left_out: dict[str, str]


def export_model(
    model: Any,
    out: str | Path,
    *,
    format: str = "onnx",  # noqa: A002
    data: Any = None,
    parts: Sequence[str] | None = None,
) -> Export:
    """Write a model as graphs that other runtimes compute: signals to indices, indices to signals.

    The graphs take batches and signals of any size (of models of one size: that one), and hold all that the model does
    to a signal: its normalization, its padding to whole positions, the networks, the search. What is written is read
    back and compared with the model over a whole set (steps of a stream over its first batch, in two chunks); indices
    may differ at near ties alone, and decoded values by rounding.

    Args:
        model: a model of signals (or the path of one), in evaluation mode.
        out: a new folder: ``encoder.onnx``, ``decoder.onnx``, for sound ``stream_encoder.onnx`` and
            ``stream_decoder.onnx``, and ``export.json``, which describes them.
        format: a name of ``vqkit.export.EXPORT_FORMATS``: ``"onnx"``, ``"torch"``.
        data: to compare over, as ``load_source`` takes it; None: 16 signals of noise.
        parts: of ``"encoder"``, ``"decoder"``, ``"stream"``; None: all that the model has.

    Raises:
        ConfigError: a part that cannot be exported, with the repair; a folder with something in it; or graphs whose
            indices are other than the model's beyond near ties, or whose values are others, of which nothing is kept.
        MissingExtraError: the packages of the format are not installed.

    Example:
        >>> import tempfile, vqkit
        >>> model = vqkit.VQVAE(16, hidden_channels=8, residual_channels=4).eval()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = vqkit.export_model(model, f"{folder}/graphs", format="torch")
        ...     sorted(found.files), found.differences.others
        (['decoder', 'encoder'], 0)
    """
    if isinstance(model, str | Path):
        from vqkit.models import load_model

        model = load_model(model)
    check_exported(model)
    chosen = export_format(format)
    chosen.check()
    _check_new(Path(out))
    model = copy.deepcopy(model).cpu().requires_grad_(False)
    graphs, left_out = _graphs(model, parts)
    batches, name = _batches(model, data)
    words = {"vqkit": __version__, "model_digest": model_digest(model), "signal": json.dumps(_signal(model))}
    with new_folder(Path(out)) as folder:
        files = {graph.name: f"{graph.name}{chosen.suffix}" for graph in graphs}
        for graph in graphs:
            chosen.write(graph, folder / files[graph.name], {**words, "graph": graph.name})
        runners = {graph.name: chosen.open(folder / files[graph.name]) for graph in graphs}
        found = compared(model, graphs, runners, batches, name)
        description = _describe(model, format, graphs, files, found)
        write_json(folder / DESCRIPTION, description)
    paths = {graph: Path(out) / file for graph, file in files.items()}
    return Export(Path(out), paths, description, found, left_out)


def _graphs(model: Model, parts: Sequence[str] | None) -> tuple[list[Graph], dict[str, str]]:
    """The graphs that are wanted, and what is left out since the model has none, with the reason."""
    unknown = set(parts or ()) - set(PARTS)
    if unknown or (parts is not None and not parts):
        raise ConfigError(f"parts={list(parts or ())}: choose of {', '.join(PARTS)}")
    wanted, left_out = PARTS if parts is None else tuple(parts), {}
    why = no_stream(model)
    if parts is None and why is not None:
        wanted = PARTS[:2]
        if model.axes == 1:
            left_out["stream"] = why
    graphs = [encoder_graph(model)] if "encoder" in wanted else []
    graphs += [decoder_graph(model)] if "decoder" in wanted else []
    warm_up(model, graphs)  # before the steps of streams, which keep what they are made with
    return graphs + (stream_graphs(model) if "stream" in wanted else []), left_out


def warm_up(model: Model, graphs: Iterable[Graph]) -> None:
    """Let tables that are made at first use be made of numbers, and not of a trace's; weights in fixed point too."""
    for layer in model.modules():
        if isinstance(layer, Layer):
            layer.hold_weight()
    with torch.no_grad():
        for graph in graphs:
            graph.module(*graph.examples)


def _batches(model: Model, data: Any) -> tuple[Iterator[Any], str]:
    """Signals to compare over, and their name."""
    if data is None:
        size = encoder_graph(model).examples[0].shape[2:]
        low, high = model.signal_range or (-3.0, 3.0)
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand(_NOISE, model.channels, *size, generator=generator) * (high - low) + low
        if model.signal_range is None:
            noise = noise * model.signal_std + model.signal_mean
        return iter(noise.split(_NOISE - 1)), "noise"
    source = data if isinstance(data, Source) else open_source(model, data)
    source = in_channels(model, source)
    return (signals for _, signals in evaluation_batches(source, fitting_batch(source, _BATCH))), source.name


def _check_new(out: Path) -> None:
    """Raise ``ConfigError``, before anything is computed, where a new folder cannot be."""
    if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
        what = "holds something" if out.is_dir() else "is no folder"
        raise ConfigError(f"{out} already {what}; an export is a new folder: name another, or delete that one")


def compared(
    model: Model, graphs: Sequence[Graph], runners: dict[str, Runner], batches: Iterator[Any], name: str
) -> Differences:
    """What differs between the graphs and the model. Raises ConfigError where they are others."""
    first = next(batches)
    steps = [graph for graph in graphs if graph.name.startswith("stream_")]
    every = [compare_steps(model, steps, runners, first, name)] if steps else []
    if len(steps) < len(graphs):
        every = [compare(model, runners, chain([first], batches), name), *every]
    low, high = model.signal_range or (0.0, float(model.signal_std.max()))
    problem = next((words for each in every if (words := each.problem(high - low)) is not None), None)
    if problem is not None:
        raise ConfigError(
            f"the exported graphs are not the model: {problem}; nothing was kept. Please report it with the model's "
            "config"
        )
    return every[0]


def _signal(model: Model) -> dict[str, Any]:
    """What a graph reads: the preprocessing that is left to who calls it."""
    value_range = model.signal_range
    return {
        "kind": model.kind.name,
        "channels": model.channels,
        "dtype": "float32",
        "layout": "batch, channels, then the axes of the signal",
        "range": None if value_range is None else list(value_range),
        "preprocessing": "none beside this range: mean, scale and padding are in the graph",
        **({} if getattr(model.kind, "rate", None) is None else {"sample_rate": model.kind.rate}),
    }


def _describe(
    model: Model, name: str, graphs: Sequence[Graph], files: dict[str, str], found: Differences
) -> dict[str, Any]:
    codes: dict[str, Any] = {}
    if isinstance(model, IndexModel):
        codes = {"codebook_size": model.codebook_size, "num_codebooks": model.num_codebooks}
    if getattr(model, "downsampling", None) is not None:
        codes["downsampling"] = model.downsampling
    names = model.class_names
    return {
        "vqkit": __version__,
        "format": name,
        "model": {"type": model.model_type, "digest": model_digest(model), **codes},
        "signal": _signal(model),
        **({} if names is None else {"class_names": names}),
        "graphs": {graph.name: _values(graph, files[graph.name]) for graph in graphs},
        "size": "decoded signals are of whole positions of the grid: cut them to the size of the original",
        "check": {**asdict(found), "tolerance": TOLERANCE},
    }


def _values(graph: Graph, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "inputs": {name: list(axes) for name, axes in graph.inputs.items()},
        "outputs": {name: list(axes) for name, axes in graph.outputs.items()},
        **graph.more,
    }


def describe_parts(export: Export) -> str:
    """Return the files in words, for a terminal."""
    return f"{counted(len(export.files), 'graph')} ({', '.join(path.name for path in export.files.values())})"
