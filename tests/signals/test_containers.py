"""Sounds that only PyAV reads: lengths and beginnings as they were written, parts of the whole, faults in one line."""

from __future__ import annotations

import contextlib
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vqkit
from vqkit.errors import DataError
from vqkit.signals.audio_file import AudioFile
from vqkit.signals.containers import EXTENSIONS, is_container

av = pytest.importorskip("av", reason="containers need PyAV")

RATE = 44_100
LENGTH = 2 * RATE + 777
LOSSY = {"a.m4a": ("aac", "ipod"), "a.aac": ("aac", "adts"), "a.ac3": ("ac3", "ac3")}
LOSSLESS = {"b.m4a": ("alac", "ipod"), "b.mka": ("flac", "matroska"), "b.wv": ("wavpack", "wv")}
ERROR = {"b.m4a": 2**-15, "b.mka": 2**-15, "b.wv": 2**-7}  # by the bits that FFmpeg's encoders take first


def tone(channels: int = 1) -> Any:
    time = np.arange(LENGTH) / RATE
    return np.stack([0.4 * np.sin(2 * np.pi * (440 + 50 * c) * time * (1 + 0.1 * time)) for c in range(channels)])


def write(path: Path, codec: str, form: str, samples: Any, rate: int = RATE) -> Path:
    """Write ``[channels, n]`` as FFmpeg does, with the encoder's priming and padding."""
    layout = "mono" if len(samples) == 1 else "stereo"
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        context = stream.codec_context
        context.layout, context.format = layout, context.codec.audio_formats[0].name
        context.time_base = Fraction(1, rate)
        context.open()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        resampler, fifo, place = av.AudioResampler(context.format.name, layout, rate), av.AudioFifo(), 0
        for each in resampler.resample(frame) + resampler.resample(None):
            fifo.write(each)
        while (part := fifo.read(context.frame_size or 1024, partial=True)) is not None:
            part.pts, part.time_base = place, Fraction(1, rate)
            place += part.samples
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_sounds_come_back_to_the_sample(tmp_path: Path, name: str, channels: int) -> None:
    samples = tone(channels)
    file = AudioFile(write(tmp_path / name, *LOSSLESS[name], samples))
    assert (file.rate, file.channels, file.frames) == (RATE, channels, LENGTH)
    assert np.abs(file.read() - samples).max() <= ERROR[name]
    file.check()


def test_priming_and_padding_of_aac_are_left_out_where_the_file_says_them(tmp_path: Path) -> None:
    samples = tone()
    for name, delay, length in (("a.m4a", 0, LENGTH), ("a.aac", 1024, None)):
        file = AudioFile(write(tmp_path / name, *LOSSY[name], samples))
        found = file.read()[0]
        assert file.frames == length or (length is None and file.frames >= LENGTH + delay)
        for place in (40, 5000):
            own = samples[0, place : place + 50_000]
            likeness = [float(found[place + lag : place + lag + 50_000] @ own) for lag in range(1050)]
            assert int(np.argmax(likeness)) == delay
        file.check()


@pytest.mark.parametrize("name", ["a.m4a", "b.mka", "a.aac", "a.ac3"])
def test_parts_are_those_of_the_whole_in_any_order(tmp_path: Path, name: str) -> None:
    noise = 0.3 * np.random.default_rng(0).standard_normal((1, LENGTH)).clip(-3, 3)
    path = write(tmp_path / name, *(LOSSY | LOSSLESS)[name], noise)
    file = AudioFile(path)
    whole = file.read()
    for start, stop in (
        (40_000, 60_000),
        (60_000, 60_001),
        (100, 5000),
        (0, 1),
        (file.frames - 5, file.frames),
        (7, 7),
    ):
        assert np.array_equal(file.read(start, stop), whole[:, start:stop])
    assert np.array_equal(AudioFile(path.read_bytes()).read(1000, 2000), whole[:, 1000:2000])
    resampled = file.read(rate=16_000)
    assert np.array_equal(AudioFile(path).read(20_000, 20_500, rate=16_000), resampled[:, 20_000:20_500])


def test_a_folder_of_them_is_a_source(tmp_path: Path) -> None:
    for name, about in (LOSSY | LOSSLESS).items():
        write(tmp_path / name, *about, tone())
    (tmp_path / "cut.m4a").write_bytes((tmp_path / "a.m4a").read_bytes()[:9000])
    (tmp_path / "noise.m4a").write_bytes(b"\0\0\0\x1cftypM4A " + bytes(99))
    (tmp_path / "text.wma").write_text("no sound")
    (tmp_path / "empty.aac").touch()
    source = vqkit.load_source(tmp_path)
    assert len(source) == 6
    assert {each.name for each in source.skipped} == {"cut.m4a", "noise.m4a", "text.wma", "empty.aac"}
    assert all(each.reason for each in source.skipped)
    assert vqkit.load_source(tmp_path / "a.m4a").item_size(0) == (LENGTH,)


@pytest.mark.parametrize("name", [*LOSSY, *LOSSLESS])
def test_damage_is_an_error_of_the_file(tmp_path: Path, name: str) -> None:
    data = write(tmp_path / name, *(LOSSY | LOSSLESS)[name], tone()).read_bytes()
    assert is_container(data)
    rng = np.random.default_rng(0)
    for _ in range(12):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), 6):
            changed[place] = rng.integers(256)
        with contextlib.suppress(DataError):  # whatever else is a fault
            AudioFile(bytes(changed[: rng.integers(12, len(data))])).check()


def test_other_files_are_not_taken_for_containers(tmp_path: Path) -> None:
    import soundfile

    for form, subtype in (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")):
        soundfile.write(file := io.BytesIO(), tone()[0, :9000], RATE, format=form, subtype=subtype)
        assert not is_container(file.getvalue())
    assert not is_container(tmp_path / "none.m4a")
    assert ".m4a" in EXTENSIONS


def test_without_pyav_they_are_skipped_with_the_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import soundfile

    write(tmp_path / "a.m4a", *LOSSY["a.m4a"], tone())
    soundfile.write(tmp_path / "b.wav", tone()[0], RATE)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (skipped,) = vqkit.load_source(tmp_path).skipped
    assert skipped.name == "a.m4a"
    assert skipped.reason.endswith('pip install "vqkit[containers]"')
