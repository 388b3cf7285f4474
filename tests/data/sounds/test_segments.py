"""Long sounds in segments, and a training on one file of minutes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import vqkit
from tests.data.sounds.files import tones, write
from vqkit.data import Batches, Segments
from vqkit.data.arrays.memory import ArraySource
from vqkit.data.identity import content_fingerprint
from vqkit.data.views.concatenated import ConcatSource
from vqkit.data.views.segments import in_segments
from vqkit.errors import ConfigError, DataError
from vqkit.resources import memory_limited
from vqkit.training.config import TrainConfig
from vqkit.training.inputs.holdout import validation_split


@pytest.mark.parametrize("limit", [None, 1])
def test_segments_join_to_the_whole(tmp_path: Path, limit: int | None) -> None:
    for number, seconds in enumerate((1.0, 0.05, 0.73)):
        write(tmp_path / f"{number % 2}/{number}.flac", tones(seconds, 11_025, 2, number), 11_025)
    source = vqkit.load_source(tmp_path, kind="sound@8000", memory_limit=limit)
    found = Segments(source, 1000)
    names = [str(found.item_name(index)) for index in range(len(found))]
    for index in range(len(source)):
        name = str(source.item_name(index))
        mine = [number for number, each in enumerate(names) if each.startswith(name)]
        assert np.array_equal(np.concatenate([found.read(number) for number in mine], axis=1), source.read(index))
        assert found.labels is not None
        assert source.labels is not None
        assert set(found.labels[mine]) == {source.labels[index]}
    assert names[:2] == ["0/0.flac", "0/0.flac from 125 ms"] or names[0] == "0/0.flac from 0 ms"
    some = found.subset([3, 0])
    assert np.array_equal(some.read(0), found.read(3))
    assert np.array_equal(found.part(1, (10,), (20,)), found.read(1)[:, 10:30])
    assert content_fingerprint(found) != content_fingerprint(Segments(source, 900))
    assert found.with_channels(1).read(2).shape == (1, 1000)
    assert Segments(source, 1000, shortest=900).item_sizes().min() == 400  # an item that is short itself
    with Batches(found, 4, crop=300, seed=1) as batches:
        assert batches.batch(0).shape == (4, 2, 300)
    with pytest.raises(ConfigError, match="length=0"):
        Segments(source, 0)
    with pytest.raises(ConfigError, match="one axis"):
        Segments(vqkit.load_source("builtin:digits"), 5)


def test_only_long_sounds_are_cut() -> None:
    short = vqkit.load_source(np.zeros((2, 1, 80_000), np.float32), kind="sound@8000")
    assert in_segments(short) is short
    long = vqkit.load_source(np.zeros((2, 1, 250_000), np.float32), kind="sound@8000")
    assert in_segments(long).item_sizes().ravel().tolist() == [76_800, 76_800, 76_800, 19_600] * 2
    unknown = vqkit.load_source(np.zeros((2, 1, 250_000), np.float32), kind="sound")
    assert in_segments(unknown) is unknown
    assert in_segments(vqkit.load_source("builtin:digits")).axes == 2


def test_one_long_file_is_trained_on(tmp_path: Path) -> None:
    file = write(tmp_path / "long.flac", tones(60, 8_000), 8_000)
    source = vqkit.load_source(file, memory_limit=1)
    training, held_out = validation_split(source, TrainConfig(steps=1, validation=0.2))
    assert (len(training), len(held_out)) == (6, 1)
    names = [str(part.item_name(index)) for part in (training, held_out) for index in range(len(part))]
    assert len(set(names)) == 7
    model = vqkit.VQVAE.for_source(source, codebook_size=8, code_dim=4, hidden_channels=8, residual_channels=4)
    run = vqkit.train(
        model, source, out=tmp_path / "run", steps=2, batch_size=2, validation=0.2, quiet=True, tensorboard=False
    )
    assert run.evaluation is not None
    assert run.evaluation["items"] == 1


_READING = """
import resource, sys
import vqkit
from vqkit.data import RandomCrops
from vqkit.data.views.segments import in_segments

source = vqkit.load_source(sys.argv[1], kind="sound@16000", memory_limit="1MB")
for index in range(20):
    assert RandomCrops(in_segments(source), 16_000, 100).read(index).shape == (1, 16_000)
for index in range(0, len(in_segments(source)), 50):
    in_segments(source).read(index)
print(source.size[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_an_hour_takes_the_memory_of_a_minute(tmp_path: Path) -> None:
    """Peaks of processes that check a file and read parts of it; an hour is 345 MB as floats."""
    second = (tones(1, 24_000) * 0.8).T
    peaks = []
    for minutes in (1, 60):
        with soundfile.SoundFile(tmp_path / "long.wav", "w", 24_000, 1, "PCM_U8") as file:
            for _ in range(minutes * 60):
                file.write(second)
        run = subprocess.run(
            [sys.executable, "-c", _READING, str(tmp_path / "long.wav")], capture_output=True, text=True, check=True
        )
        samples, peak = map(int, run.stdout.split())
        assert samples == minutes * 60 * 16_000
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 60, peaks


def test_the_range_of_values_is_told_without_holding_a_long_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "sounds/a.wav", tones(0.2, 8000), 8000)
    files = vqkit.load_source(tmp_path / "sounds", kind="sound@8000", memory_limit=1)
    monkeypatch.setattr("vqkit.signals.audio_file.AudioFile.read", None)
    assert files.value_range() == (-1.0, 1.0), "files were looked through when they were opened"
    array = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 1, 1000)).astype(np.float32)
    source = vqkit.load_source(array, kind="sound@8000")
    assert isinstance(source, ArraySource)
    monkeypatch.setattr("vqkit.data.source.BLOCK_VALUES", 300)
    monkeypatch.setattr(source, "gather", None)
    source._values = None
    assert source.value_range() == (array.min(), array.max())
    source._values, source._array = None, np.where(array == array[1, 0, -1], np.nan, array)
    with pytest.raises(DataError, match="item 1 holds NaN or Inf"):
        source.value_range()


@pytest.mark.parametrize("limit", [None, 0])
def test_parts_of_an_array_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None) -> None:
    array = np.random.default_rng(0).uniform(-0.9, 0.9, (3, 1, 1000)).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    source = vqkit.load_source(tmp_path / "a.npy", kind="sound@8000", memory_limit=limit)
    joined = ConcatSource([source.subset([2]), source.subset([1, 0])])
    assert source.reads_parts
    assert joined.reads_parts
    monkeypatch.setattr(ArraySource, "gather", None)
    assert np.array_equal(source.part(1, (100,), (50,)), array[1][:, 100:150])
    assert np.array_equal(joined.part(2, (900,), (100,)), array[0][:, 900:])


def test_a_higher_rate_keeps_to_the_memory_limit(tmp_path: Path) -> None:
    write(tmp_path / "a.flac", tones(1.0, 8_000, 1, 0), 8_000)
    source = vqkit.load_source(tmp_path)
    assert source.in_memory
    with memory_limited(100_000):
        assert source.with_kind("sound@16000").in_memory
        higher = source.with_kind("sound@48000")
        assert not higher.in_memory
        assert higher.read(0).shape == (1, 48_000)
        assert source.with_kind("sound@4000").in_memory
