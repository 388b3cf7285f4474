"""Sound in ONNX Runtime, whole and chunk by chunk: the indices and the samples of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from tests.models.cases import signals
from vqkit.export import export_format, export_model

pytestmark = pytest.mark.slow  # writing four graphs in fixed point as ONNX takes a minute
NET = {"type": "seanet", "config": {"strides": [2, 3], "hidden_channels": 4, "residual_blocks": 1}}
FRAME = 6


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, dict[str, Any]]:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    torch.manual_seed(0)
    model = vqkit.VQVAE(16, axes=1, channels=1, code_dim=4, encoder=NET, decoder=NET, num_codebooks=2)
    model.prepare([signals(4, 1, 1, size=(20 * FRAME,))])
    model.eval().requires_grad_(False)
    sounds = signals(6, 1, 1, size=(20 * FRAME + 5,)).numpy()
    found = export_model(model, tmp_path_factory.mktemp("sound") / "graphs", data=sounds)
    return model, found, {name: export_format("onnx").open(path) for name, path in found.files.items()}


def test_every_index_of_whole_sounds_is_the_same(exported: Any) -> None:
    _, found, run = exported
    assert set(run) == {"encoder", "decoder", "stream_encoder", "stream_decoder"}
    differences = found.differences
    assert (differences.signals, differences.indices) == (6, 6 * 21 * 2)
    assert differences.near_ties == differences.others == 0  # both compute in fixed point
    assert differences.signal_error < 1e-6


@pytest.mark.parametrize("frames", [1, 3, 7])
def test_chunks_are_the_whole(exported: Any, frames: int) -> None:
    """Seen red with a state of zeros at every step: 35 of 40 indices."""
    model, _, run = exported
    x = signals(2, 1, 1, seed=1, size=(20 * FRAME,))
    indices = model.encode(x)
    steps = in_steps(run["stream_encoder"], x.numpy(), frames * FRAME, axis=2, join=1, found=exported[1])
    assert int((steps != indices.numpy()).sum()) == 0
    samples = in_steps(run["stream_decoder"], indices.numpy(), frames, axis=1, join=2, found=exported[1])
    assert np.abs(samples - model.decode(indices).numpy()).max() < 1e-6


def in_steps(run: Any, given: Any, step: int, *, axis: int, join: int, found: Any) -> Any:
    """Compute a stream as ``export.json`` says: states of zeros at first, then what the step before gave."""
    graph = found.description["graphs"]["stream_encoder" if axis == 2 else "stream_decoder"]
    shapes = [axes for name, axes in graph["inputs"].items() if name.startswith("state_")]
    assert graph["first_state"] == "zeros"
    states = [
        np.zeros([len(given), *axes[1:]], dtype=kind) for axes, kind in zip(shapes, graph["state_dtypes"], strict=True)
    ]
    parts = []
    for begin in range(0, given.shape[axis], step):
        chunk = np.take(given, range(begin, min(begin + step, given.shape[axis])), axis=axis)
        part, *states = run([np.ascontiguousarray(chunk), *states])
        parts.append(part)
    return np.concatenate(parts, axis=join)
