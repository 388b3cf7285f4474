"""Samples out of a pipe: every type of them as an outside reader has them, headers that lie, faults behind the good."""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO, cast

import numpy as np
import pytest

from vqkit.errors import ConfigError, DataError
from vqkit.signals.pcm import PcmFormat, PcmReader
from vqkit.signals.wav import wav_header

RATE = 8000
WAVE = np.random.default_rng(0).uniform(-1, 1, (500, 2))
SUBTYPES = {
    "PCM_U8": "u8",
    "PCM_16": "s16le",
    "PCM_24": "s24le",
    "PCM_32": "s32le",
    "FLOAT": "f32le",
    "DOUBLE": "f64le",
}


class Dripping(io.RawIOBase):
    """A pipe that gives one, two, ... seven bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._file, self._next = io.BytesIO(data), 0

    def read1(self, most: int) -> bytes:
        self._next = self._next % 7 + 1
        return self._file.read(min(most, self._next))


def read(data: bytes, raw: PcmFormat | None = None, channels: int = 2) -> tuple[Any, str]:
    """All samples that come, and what is said at their end."""
    pieces: list[Any] = [np.zeros((channels, 0), np.float32)]
    try:
        pieces.extend(PcmReader(cast(BinaryIO, Dripping(data)), raw, channels=channels))
    except DataError as error:
        return np.concatenate(pieces, axis=1), str(error)
    return np.concatenate(pieces, axis=1), ""


def sixteen(count: int = 500, **sizes: int) -> bytes:
    """A WAV of 16 bits whose header says other lengths than it has."""
    body = np.rint(WAVE[:count] * 32767).astype("<i2").tobytes()
    head = bytearray(wav_header(2, RATE, len(body)))
    if "riff" in sizes:
        head[4:8] = struct.pack("<I", sizes["riff"])
    if "data" in sizes:
        head[-4:] = struct.pack("<I", sizes["data"])
    return bytes(head) + body


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_samples_are_those_of_an_outside_reader(subtype: str) -> None:
    soundfile = pytest.importorskip("soundfile", reason="the oracle")
    for form in ("WAV", "WAVEX", "RF64"):
        file = io.BytesIO()
        soundfile.write(file, WAVE, RATE, subtype=subtype, format=form)
        expected, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32", always_2d=True)
        reader = PcmReader(io.BytesIO(file.getvalue()), channels=2)
        assert reader.format == PcmFormat(SUBTYPES[subtype], RATE, 2)
        assert np.array_equal(np.concatenate(list(reader), axis=1), expected.T)
    samples = np.ascontiguousarray(expected)
    raw = PcmFormat(SUBTYPES[subtype], RATE, 2)
    if subtype in ("PCM_16", "FLOAT"):
        soundfile.write(file := io.BytesIO(), WAVE, RATE, subtype=subtype, format="RAW")
        found, said = read(file.getvalue(), raw)
        assert said == ""
        assert np.array_equal(found, samples.T)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_of_a_length_that_nobody_knew_all_that_comes_is_sound(length: int) -> None:
    found, said = read(sixteen(riff=length, data=length))
    assert (found.shape, said) == ((2, 500), "")
    assert np.array_equal(found, read(sixteen())[0])


def test_what_a_header_says_too_much_or_too_little_is_said_behind_the_samples() -> None:
    found, said = read(sixteen(data=4000))
    assert (found.shape, said) == ((2, 500), "ends early: its header says 4,000 bytes of samples, and 2,000 came")
    found, said = read(sixteen() + b"LIST\x04\0\0\0INFO")
    assert (found.shape, said) == ((2, 500), "")
    found, said = read(sixteen(data=400))
    assert found.shape == (2, 100)
    assert "1,600 bytes follow the 400 of samples" in said
    found, said = read(sixteen(data=0)[:-3])
    assert found.shape == (2, 499)
    assert "1 of 4 bytes" in said


@pytest.mark.parametrize(("subtype", "behind"), [("PCM_U8", b""), ("PCM_24", b"LIST\x04\0\0\0INFO")])
def test_an_odd_number_of_bytes_is_filled_up(subtype: str, behind: bytes) -> None:
    soundfile = pytest.importorskip("soundfile", reason="writes the byte that fills up")
    soundfile.write(file := io.BytesIO(), WAVE[:3, 0], RATE, subtype=subtype, format="WAV")
    written = file.getvalue()
    assert (len(written) % 2, written[-1]) == (0, 0)
    found, said = read(written + behind, channels=1)
    assert (found.shape, said) == ((1, 3), "")
    assert read(written[:-1] + b"LIST" + behind, channels=1)[1] == ""  # a writer that does not
    assert "3 bytes follow" in read(written[:-1] + b"\1\2\3", channels=1)[1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 300.0])
def test_what_is_no_sample_is_refused_behind_those_before_it(bad: float) -> None:
    values = np.full(100, 0.25, "<f4")
    values[60:] = bad
    found, said = read(values.tobytes(), PcmFormat("f32le", RATE), channels=1)
    assert found.shape == (1, 60)
    assert "no player plays" in said


def test_channels_are_mixed_and_what_is_beyond_full_scale_is_counted() -> None:
    both = np.array([[0.5, -0.25], [2.0, 1.5]], "<f4")
    reader = PcmReader(io.BytesIO(both.tobytes()), PcmFormat("f32le", RATE, 2), channels=1)
    assert np.concatenate(list(reader), axis=1).tolist() == [[0.125, 1.0]]
    assert reader.beyond == 2
    assert read(both.tobytes(), PcmFormat("f32le", RATE, 1), channels=2)[0].tolist() == [[0.5, -0.25, 1, 1]] * 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"fLaC" * 9, "no WAV"),
        (sixteen()[:30], "no samples follow"),
        (sixteen().replace(b"data", b"junk"), "no samples follow"),
        (b"RIFF\0\0\0\0WAVEdata\x10\0\0\0" + bytes(16), "before the chunk"),
        (b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0" + bytes(16), "16 are needed"),
        (sixteen().replace(struct.pack("<HH", 1, 2), struct.pack("<HH", 7, 2), 1), "format 7"),
        (sixteen().replace(struct.pack("<I", RATE), struct.pack("<I", 3), 1), "3 samples a second"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x7f" + bytes(16), "before its samples"),
    ],
)
def test_what_is_no_wav_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        PcmReader(io.BytesIO(data))


def test_formats_are_read_in_words() -> None:
    assert PcmFormat.of("s16le") == PcmFormat("s16le")
    assert PcmFormat.of("f32le@48kx2") == PcmFormat("f32le", 48000, 2)
    assert PcmFormat.written("f32le") == PcmFormat("f32le")
    for text in ("", "mp3", "s16le@", "s16le@1", "s16le@16000x0", "s16le x2", "s16le@16000x999"):
        with pytest.raises(ConfigError, match="s16le@16000"):
            PcmFormat.of(text)
    with pytest.raises(ConfigError, match="s16le or f32le"):
        PcmFormat.written("u8")
    for name in ("s16le", "f32le"):
        samples = np.round(WAVE.T * 100).astype(np.float32) / 128
        form = PcmFormat(name, RATE, 2)
        found = form.samples(form.bytes_of(samples))
        assert np.abs(found - samples).max() < 1e-4
