"""Damaged sound files: each is read whole or refused with a reason, whatever was done to its bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.sounds.files import tones, write
from vqkit.errors import DataError
from vqkit.signals.audio_file import AudioFile
from vqkit.signals.wav import write_wav

NAMES = ("wav", "float.wav", "aiff", "flac", "ogg", "opus", "mp3")
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sounds")
    return {name: write(folder / f"a.{name}", tones(0.4, 16_000), 16_000).read_bytes() for name in NAMES}


def judged(data: bytes) -> None:
    """Read all of a file if it is said to be one, or meet the reason why not."""
    reason = ""
    try:
        file = AudioFile(data)
        file.check()
    except DataError as error:
        reason = str(error)
    assert "\n" not in reason
    assert len(reason) < 300
    if reason:
        return
    samples = file.read(rate=8_000, channels=1)
    assert samples.shape == (1, file.length(8_000))
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS, head=st.booleans())
@pytest.mark.parametrize("name", NAMES)
def test_changed_bytes(name: str, originals: dict[str, bytes], edits: list[tuple[float, int]], head: bool) -> None:
    data = bytearray(originals[name])
    for place, value in edits:
        data[int(place * (min(64, len(data)) if head else len(data)))] = value
    judged(bytes(data))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
@pytest.mark.parametrize("name", NAMES)
def test_cut_files_are_refused(name: str, originals: dict[str, bytes], share: float) -> None:
    """All but MP3 without its last frames and Ogg cut between two pages, whose headers say no length."""
    whole = originals[name]
    data = whole[: int(share * len(whole))]
    judged(data)
    if name not in ("mp3", "ogg", "opus"):
        with pytest.raises(DataError):
            AudioFile(data).check()


@settings(max_examples=30, deadline=None)
@given(
    data=st.binary(max_size=200), start=st.sampled_from([b"", b"RIFF\x10\0\0\0WAVE", b"fLaC", b"OggS", b"ID3", b"FORM"])
)
def test_any_bytes(data: bytes, start: bytes) -> None:
    judged(start + data)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.integers(1, 3),
    count=st.integers(1, 300),
    rate=st.sampled_from([100, 8_000, 44_100, 192_000]),
    made=st.sampled_from([None, "sample", "decoded"]),
)
def test_what_is_written_is_read(tmp_path: Path, channels: int, count: int, rate: int, made: str | None) -> None:
    samples = np.random.default_rng(count).uniform(-1, 1, (channels, count)).astype(np.float32)
    samples[0, 0] = 1.0
    write_wav(tmp_path / "a.wav", samples, rate, made=made)
    file = AudioFile(tmp_path / "a.wav")
    assert (file.rate, file.channels, file.frames, file.bits) == (rate, channels, count, 16)
    assert np.abs(file.read() - samples).max() <= 1 / 32767 + 1 / 65536
