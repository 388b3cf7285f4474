"""Several processes: what they compress and restore is what one process does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vqkit
from vqkit import crew
from vqkit.codec import Compressor, Decompressor, Signal, entropy_model
from vqkit.codec.archive.adding import add_signals
from vqkit.codec.parallel import several
from vqkit.codec.reading.several import restore_in_processes
from vqkit.errors import BitstreamError

SIZES = [(8, 8)] * 70 + [(12, 8)] * 3 + [(8, 16)]


@pytest.fixture
def model() -> vqkit.VQVAE:
    return vqkit.VQVAE(8, channels=1, hidden_channels=8, residual_blocks=0).eval()


def _signals() -> list[Signal]:
    draw = np.random.default_rng(0)
    return [Signal(draw.integers(0, 256, (1, *size), np.uint8), f"{n % 3}/{n}.png") for n, size in enumerate(SIZES)]


def _compressor(model: vqkit.VQVAE) -> Compressor:
    return Compressor(
        model, entropy_model(vqkit.HistogramPrior(8, model.grid((8, 8))), 8), beside=[entropy_model(None, 8)]
    )


def _pictures(folder: Path) -> dict[str, np.ndarray]:
    return {str(each.relative_to(folder)): np.array(Image.open(each)) for each in folder.rglob("*.png")}


@pytest.mark.parametrize("how", ["at once", "archive"])
def test_files_of_two_processes_are_those_of_one(model: vqkit.VQVAE, tmp_path: Path, how: str) -> None:
    one, two = io.BytesIO(), io.BytesIO()
    _compressor(model).write(one, _signals())
    compressor = _compressor(model)
    with several(compressor, 2):
        compressor.write(two, _signals())
    assert two.getvalue() == one.getvalue()

    file = tmp_path / "all.vqk"
    if how == "archive":
        add_signals(file, _compressor(model), _signals())
    else:
        file.write_bytes(one.getvalue())
    reader = Decompressor(model, _compressor(model).entropy)
    with file.open("rb") as opened:
        expected = {str(each.name): each.values[0].numpy() for each in reader.read(opened)}
    names = [str(each.name) for each in _signals()]
    for each in range(3):
        (tmp_path / "out" / str(each)).mkdir(parents=True)
    counts = list(restore_in_processes(reader, file, lambda number: tmp_path / "out" / names[number], 2))
    assert sum(counts) == len(SIZES) == len(expected)
    found = _pictures(tmp_path / "out")
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_damage_is_said_as_one_process_says_it(model: vqkit.VQVAE, tmp_path: Path) -> None:
    one = io.BytesIO()
    _compressor(model).write(one, _signals())
    data = bytearray(one.getvalue())
    data[len(data) // 2] ^= 1
    (tmp_path / "all.vqk").write_bytes(data)
    (tmp_path / "out").mkdir()
    reader = Decompressor(model, _compressor(model).entropy)
    with pytest.raises(BitstreamError):
        list(restore_in_processes(reader, tmp_path / "all.vqk", lambda n: tmp_path / "out" / f"{n}.png", 2))


def test_no_more_processes_than_processors_and_tasks(
    model: vqkit.VQVAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[int] = []

    class Counting(crew.Crew):
        def __init__(self, make: Any, given: Any, **named: Any) -> None:
            began.append(len(given))
            super().__init__(make, given[:1], **named)

    monkeypatch.setattr("vqkit.codec.reading.several.Crew", Counting)
    monkeypatch.setattr("vqkit.codec.parallel.Crew", Counting)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    compressor = _compressor(model)
    with several(compressor, 100_000):
        pass
    file = io.BytesIO()
    _compressor(model).write(file, _signals()[:1])
    (tmp_path / "one.vqk").write_bytes(file.getvalue())
    reader = Decompressor(model, _compressor(model).entropy)
    assert sum(restore_in_processes(reader, tmp_path / "one.vqk", lambda n: tmp_path / "one.png", 100_000)) == 1
    assert began == [3, 1]
