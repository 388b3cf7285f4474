"""Folders of sounds that are none, headers that say what cannot be, and sounds that teach nothing."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vqkit
from tests.data.sounds.files import tones, write
from tests.data.sounds.test_hostile import judged
from vqkit.errors import DataError

RATE = 16_000
FLOATS = {"bits": 32, "form": 3}


def wav(
    channels: int = 1, rate: int = RATE, bits: int = 16, data: bytes = b"\1\0\2\0" * 2000, form: int = 1, **said: int
) -> bytes:
    """A WAV file of any header; ``said`` is the length that it says of its samples, or of itself."""
    block = channels * bits // 8 & 0xFFFF
    head = struct.pack("<HHIIHH", form, channels, rate, rate * block & 0xFFFFFFFF, block, bits)
    body = (
        b"fmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", said.get("data_bytes", len(data))) + data
    )
    return b"RIFF" + struct.pack("<I", said.get("file_bytes", 4 + len(body))) + b"WAVE" + body


def floats(*values: float) -> bytes:
    return np.array([*values] * 900, "<f4").tobytes()


BROKEN: dict[str, tuple[bytes, str]] = {
    "no channels": (wav(0), "Channel count is zero"),
    "65535 channels": (wav(65535, data=bytes(65535 * 6)), "Too many channels"),
    "no rate": (wav(rate=0), "a sample rate that cannot be"),
    "rate 1": (wav(rate=1), "says 1 samples a second; 100 to 1,536,000 are read"),
    "rate 4e9": (wav(rate=2**32 - 1), "a sample rate that cannot be"),
    "no bits": (wav(bits=0), "not readable as a sound"),
    "another codec": (wav(form=0xFFFF), "not readable as a sound"),
    "too long": (wav(data_bytes=10**9), "ends early: its header says 1,000,000,000 bytes"),
    "no samples": (wav(data=b""), "no samples"),
    "one sample": (wav(data=b"\0\x20"), "one sample, which is no sound"),
    "NaN": (wav(**FLOATS, data=floats(0.1, np.nan)), "NaN or Inf among its samples"),
    "Inf": (wav(**FLOATS, data=floats(0.1, -np.inf)), "NaN or Inf among its samples"),
    "1e30": (wav(**FLOATS, data=floats(1e30, -1e30)), "which no player plays"),
    "silence": (wav(data=bytes(4000)), "silence: all samples are 0"),
    "empty": (b"", "no bytes at all"),
    "half a header": (b"RIFF\0\0", "Format not recognised"),
    "text": (b"hello world\n" * 300, "Format not recognised"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "Format not recognised"),
    "an Ogg page": (b"OggS" + bytes(range(256)) * 9, "not readable as a sound"),
    "a FLAC mark": (b"fLaC" + bytes(range(256)) * 9, "not readable as a sound"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        write(tmp_path / "data" / f"good{number}.wav", tones(0.1, RATE, seed=number), RATE)
    return tmp_path / "data"


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_sound_is_skipped_and_named(name: str, folder: Path) -> None:
    data, reason = BROKEN[name]
    (folder / "bad.wav").write_bytes(data)
    source = vqkit.load_source(folder, kind="sound")
    assert len(source) == 3
    (skipped,) = source.skipped
    assert skipped.name == "bad.wav"
    assert reason in skipped.reason
    with pytest.raises(DataError, match=r"bad\.wav"):
        vqkit.load_source(folder / "bad.wav", kind="sound")


def test_strange_headers_that_are_sound(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 8001).astype(np.uint8).tobytes()
    (folder / "64 channels.wav").write_bytes(wav(64, data=noise[:6400]))
    (folder / "fast.wav").write_bytes(wav(rate=1_536_000, data=noise[:8000]))
    (folder / "no length of the file.wav").write_bytes(wav(data=noise[:8000], file_bytes=0))
    (folder / "an odd byte.wav").write_bytes(wav(2, data=noise))
    (folder / "denormal.wav").write_bytes(wav(**FLOATS, data=floats(1e-42, 3e-42)))
    source = vqkit.load_source(folder, kind=f"sound@{RATE}")
    assert (len(source), source.skipped) == (8, [])
    for index in range(8):
        assert source.read(index).shape == (1, *source.item_size(index))
        assert np.isfinite(source.read(index)).all()


def test_links_folders_and_pipes_with_names_of_sounds(folder: Path) -> None:
    (folder / "folder.wav").mkdir()
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "gone.wav").symlink_to("nowhere.wav")
    (folder / "again").symlink_to(".")
    os.mkfifo(folder / "pipe.wav")
    source = vqkit.load_source(folder, kind="sound")
    assert len(source) == 3
    assert {each.name: each.reason for each in source.skipped} == {
        "gone.wav": "No such file or directory",
        "loop.wav": "Too many levels of symbolic links",
    }
    with pytest.raises(DataError, match=r"folder\.wav holds no sounds"):
        vqkit.load_source(folder / "folder.wav", kind="sound")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_files_that_may_not_be_read(folder: Path) -> None:
    write(folder / "closed.wav", tones(0.1, RATE), RATE).chmod(0)
    (skipped,) = vqkit.load_source(folder, kind="sound").skipped
    assert (skipped.name, skipped.reason) == ("closed.wav", "Permission denied")


@pytest.mark.parametrize("change", ["rate", "channels", "length", "cut", "text"])
def test_files_that_change_between_two_reads(change: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tones(0.5, RATE), RATE)
    source = vqkit.load_source(tmp_path, kind="sound", memory_limit=1)
    assert source.read(0).shape == (1, RATE // 2)  # the header is known from now on
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif change == "text":
        path.write_text("no sound any more")
    else:
        rate, channels = RATE // (2 if change == "rate" else 1), 2 if change == "channels" else 1
        write(path, tones(1.0 if change in ("rate", "length") else 0.5, rate, channels), rate)
    with pytest.raises(DataError, match=r"a\.wav was readable when the data was opened and is not any more"):
        source.read(0)


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(0, 65535),
    rate=st.integers(0, 2**32 - 1),
    bits=st.integers(0, 65535),
    form=st.sampled_from([0, 1, 2, 3, 6, 7, 17, 80, 85, 0xFFFE, 0xFFFF]),
    said=st.integers(0, 2**32 - 1),
    data=st.binary(max_size=400),
)
def test_any_header(channels: int, rate: int, bits: int, form: int, said: int, data: bytes) -> None:
    judged(wav(channels, rate, bits, data, form, data_bytes=said))


time = np.arange(1000)
EXTREMES: dict[str, Any] = {
    "silence": np.zeros(1000),
    "a constant": np.full(1000, 0.7),
    "full scale": np.ones(1000),
    "a square": np.sign(np.sin(time / 20) + 1e-9),
    "clipped": np.clip(3 * np.sin(time / 11), -1, 1),
    "silence up to the end": np.where(time < 990, 0, np.sin(time)),
    "hardly anything": 1e-30 * np.sin(time),
}


@pytest.mark.parametrize("name", ["silence", "all of them", "3 samples"])
def test_training_on_extremes_stays_finite(name: str, tmp_path: Path) -> None:
    rows = list(EXTREMES.values()) if name == "all of them" else [EXTREMES.get(name, 0.1 * np.sin(time[:3]))] * 6
    sounds = np.stack(rows)[:, None].astype(np.float32)
    source = vqkit.load_source(sounds, kind=f"sound@{RATE}")
    own = {"type": "seanet", "config": {"strides": [2, 5], "hidden_channels": 8, "residual_blocks": 1}}
    model = vqkit.VQVAE.for_source(source, 8, code_dim=4, encoder=own, decoder="seanet", seed=0)
    logged: list[float] = []

    class Watch(vqkit.Callback):
        def on_step(self, step: int, values: Any) -> None:
            logged.extend(float(value) for value in values.values())

    chosen: dict[str, Any] = {
        "steps": 4,
        "batch_size": 3,
        "quiet": True,
        "tensorboard": False,
        "objective": "likelihood + l1 + mel",
        "callbacks": [Watch()],
    }
    run = vqkit.train(model, source, out=tmp_path / "run", **chosen)
    assert run.finished
    assert logged
    assert bool(np.isfinite(logged).all())
    assert bool(torch.isfinite(model.eval().reconstruct(sounds)).all())
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
