"""Folders of sound files as sources: formats, sample rates, channels, classes, and files without sound."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

import vqkit
from tests.data.sounds.files import FORMATS, tones, write
from vqkit.data import Batches, CenterCrops, RandomCrops
from vqkit.data.identity import content_fingerprint
from vqkit.errors import ConfigError, DataError
from vqkit.signals import Sound
from vqkit.signals.audio_file import AudioFile
from vqkit.tokens import detokenize


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_each_format(name: str, tmp_path: Path) -> None:
    samples = tones()
    source = vqkit.load_source(write(tmp_path / f"a.{name}", samples))
    assert (source.kind, source.channels, source.size, source.notes) == (Sound(48_000), 1, (48_000,), [])
    lossy = name in ("ogg", "opus", "mp3")
    error = float(np.abs(source.read(0) - samples).mean())
    assert error < (0.05 if lossy else 1 / 100 if name.startswith("u8") else 1e-4)
    for start, size in ((0, 10), (20_000, 9_000), (47_000, 1000)):
        part = source.part(0, (start,), (size,))
        assert np.array_equal(part, source.read(0)[:, start : start + size])
    on_demand = vqkit.load_source(tmp_path / f"a.{name}", memory_limit=1)
    for start, size in ((0, 10), (20_000, 9_000), (47_000, 1000)):
        part = on_demand.part(0, (start,), (size,))
        assert np.allclose(part, source.read(0)[:, start : start + size], atol=0 if name != "mp3" else 1e-6)


def test_a_folder_is_sorted_and_has_classes(tmp_path: Path) -> None:
    for number, place in enumerate(("b/2.flac", "a/1.wav", "b/1.wav")):
        write(tmp_path / place, tones(0.1 * (number + 1), 8_000), 8_000)
    (tmp_path / "a" / "notes.txt").write_text("no sound")
    source = vqkit.load_source(tmp_path)
    assert [source.item_name(index) for index in range(3)] == ["a/1.wav", "b/1.wav", "b/2.flac"]
    assert (source.class_names, source.labels.tolist()) == (["a", "b"], [0, 1, 1])
    assert source.item_sizes().tolist() == [[1600], [2400], [800]]
    assert source.describe() == ("3 mono sounds at 8 kHz of 3 sizes (0.1 s, 0.2 s, 0.3 s) in memory (19 kB), 2 classes")
    assert source.spec == str(tmp_path.resolve())
    again = vqkit.load_source(tmp_path, kind="sound")
    assert (again.kind, again.spec) == (source.kind, f"sound:{tmp_path.resolve()}")


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    """The oracle is SciPy's polyphase filter, another one than soxr's: equal far from the ends, up to their ripples."""
    for rate in (8_000, 11_025, 44_100, 48_000):
        write(tmp_path / f"{rate}.float.wav", tones(3, rate), rate, "float.wav")
    source = vqkit.load_source(f"sound@16k:{tmp_path}")
    assert source.kind == Sound(16_000)
    assert source.item_sizes()[:, 0].tolist() == [48_000] * 4
    assert source.notes[0] == "1 of 4 sounds: resampled from 11.025 to 16 kHz"
    for index in range(4):
        rate = int(str(source.item_name(index)).partition(".")[0])
        common = np.gcd(rate, 16_000)
        expected = resample_poly(tones(3, rate)[0].astype(np.float64), 16_000 // common, rate // common)
        inner = slice(2_000, -2_000)
        assert np.abs(source.read(index)[0][inner] - expected[inner]).max() < 5e-3
        assert np.abs(source.read(index)[0][inner] - tones(3, 16_000)[0][inner]).max() < 1e-3  # the chord itself


def test_a_part_has_the_numbers_of_the_whole(tmp_path: Path) -> None:
    write(tmp_path / "a.flac", tones(5, 44_100, 2), 44_100)
    write(tmp_path / "b.ogg", tones(4, 22_050, 2), 22_050)
    whole = vqkit.load_source(tmp_path, kind="sound@16000")
    parts = vqkit.load_source(tmp_path, kind="sound@16000", memory_limit=1000)
    assert whole.in_memory
    assert not parts.in_memory
    assert content_fingerprint(whole) == content_fingerprint(parts)
    rng = np.random.default_rng(0)
    for index in (0, 1):
        assert np.array_equal(parts.read(index), whole.read(index))
        length = whole.item_size(index)[0]
        for start in (0, 1, 32_767, length - 500, *rng.integers(0, length - 500, 8)):
            part = parts.part(index, (int(start),), (500,))
            assert np.array_equal(part, whole.read(index)[:, start : start + 500])
    for made in (lambda source: RandomCrops(source, 700, 6, seed=3), lambda source: CenterCrops(source, 90_000)):
        for index in range(len(made(whole))):
            assert np.array_equal(made(parts).read(index), made(whole).read(index))
    with Batches(whole, 4, crop=800, seed=1) as one, Batches(parts, 4, crop=800, seed=1) as other:
        assert np.array_equal(one.batch(5), other.batch(5))
    moved = pickle.loads(pickle.dumps(parts))  # noqa: S301 (what worker processes do)
    assert np.array_equal(moved.read(1), whole.read(1))
    assert np.array_equal(parts.subset([1]).read(0), whole.read(1))


def test_channels_are_mixed_and_told(tmp_path: Path) -> None:
    stereo = tones(0.5, 8_000, 2)
    write(tmp_path / "a.wav", stereo, 8_000)
    assert vqkit.load_source(tmp_path).channels == 2
    assert np.abs(vqkit.load_source(tmp_path, channels=1).read(0) - stereo.mean(axis=0)).max() < 1e-4
    write(tmp_path / "b.wav", tones(0.5, 8_000), 8_000)
    write(tmp_path / "c.wav", tones(0.5, 8_000, 6), 8_000)
    mono = vqkit.load_source(tmp_path)
    assert mono.channels == 1
    assert mono.notes == [
        "1 of 3 sounds: 2 channels mixed down to 1",
        "1 of 3 sounds: 6 channels mixed down to 1",
    ]
    assert np.array_equal(mono.read(0), vqkit.load_source(tmp_path / "a.wav", channels=1).read(0))
    both = mono.with_channels(2)
    assert both.read(0).shape == (2, 4_000)
    assert np.abs(both.read(0) - stereo).max() < 1e-4
    assert np.array_equal(both.read(1)[0], both.read(1)[1])
    with pytest.raises(ConfigError, match=r"channels=3.*1 \(mono\) or 2 \(stereo\)"):
        vqkit.load_source(tmp_path, channels=3)


def test_stereo_that_a_model_needs_in_mono_says_so(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / f"{number}.wav", tones(0.5, 8_000, 2), 8_000)
    stereo = vqkit.load_source(tmp_path)
    assert stereo.channels == 2
    assert stereo.notes == []
    assert stereo.with_channels(1).notes == ["2 of 2 sounds: 2 channels mixed down to 1"]
    assert stereo.notes == []


@pytest.mark.parametrize("lengths", [(900, 900), (900, 400)])
def test_arrays_are_mixed_too(lengths: tuple[int, int]) -> None:
    arrays = [tones(0.5, 8_000, 2)[:, :length] for length in lengths]
    stereo = vqkit.load_source(arrays, kind="sound@8000")
    mono = stereo.with_channels(1)
    assert mono.notes == [*stereo.notes, "2 of 2 sounds: 2 channels mixed down to 1"]
    for number, array in enumerate(arrays):
        assert np.array_equal(mono.read(number), array.mean(axis=0, keepdims=True))
        assert np.array_equal(mono.part(number, (100,), (50,)), mono.read(number)[:, 100:150])
        assert np.array_equal(mono.with_channels(2).read(number)[1], mono.read(number)[0])
    assert mono.with_channels(2).notes == mono.notes
    assert pickle.loads(pickle.dumps(mono)).channels == 1  # noqa: S301


def test_floats_of_several_sizes_stay_what_they_are() -> None:
    gray = [np.full((1, side, 8), 0.25, np.float32) for side in (8, 9)]
    assert vqkit.load_source(gray).with_channels(3).read(1).max() == 0.25


def test_the_rate_of_most_of_the_time_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", tones(3, 8_000), 8_000)
    for number in range(2):
        write(tmp_path / f"{number}.wav", tones(1, 44_100), 44_100)
    source = vqkit.load_source(tmp_path)
    assert source.kind == Sound(8_000)
    assert source.notes == ["2 of 3 sounds: resampled from 44.1 to 8 kHz"]
    other = source.with_kind("sound@44100")
    assert other.item_sizes()[:, 0].tolist() == [44_100, 44_100, 3 * 44_100]
    assert source.with_kind("sound") is source
    with pytest.raises(DataError, match=r"no images \(kind='image'\)"):
        source.with_kind("image")


def test_files_without_sound_are_skipped_and_named(tmp_path: Path) -> None:
    good = tones(1, 8_000)
    for number in range(12):
        write(tmp_path / f"good{number:02}.wav", good, 8_000)
    write(tmp_path / "silent.wav", good * 0, 8_000)
    write(tmp_path / "constant.wav", good * 0 + 0.25, 8_000)
    write(tmp_path / "none.wav", good[:, :0], 8_000)
    write(tmp_path / "nan.wav", good * np.nan, 8_000, "float.wav")
    write(tmp_path / "integers.wav", good * 32768, 8_000, "float.wav")
    (tmp_path / "empty.flac").write_bytes(b"")
    (tmp_path / "text.mp3").write_text("no sound at all, but words of some length" * 100)
    for name in ("wav", "aiff", "flac", "ogg", "opus"):
        data = write(tmp_path / f"cut.{name}", tones(2), 48_000).read_bytes()
        (tmp_path / f"cut.{name}").write_bytes(data[: len(data) * 2 // 3])
    reasons = {each.name: each.reason for each in vqkit.load_source(tmp_path).skipped}
    assert "silence" in reasons.pop("silent.wav")
    assert "0.25" in reasons.pop("constant.wav")
    assert "no samples" in reasons.pop("none.wav")
    assert "NaN" in reasons.pop("nan.wav")
    assert "divide 16-bit numbers by 32768" in reasons.pop("integers.wav")
    assert "empty" in reasons.pop("empty.flac")
    assert "not readable as a sound" in reasons.pop("text.mp3")
    assert sorted(reasons) == [f"cut.{name}" for name in ("aiff", "flac", "ogg", "opus", "wav")]
    assert all("ends early" in reason or "damaged" in reason for reason in reasons.values()), reasons
    with pytest.raises(DataError, match=r"ends early: its header says 192,000 bytes of samples, and 127,\d+ are there"):
        vqkit.load_source(tmp_path / "cut.wav")


def test_lying_headers(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.wav", tones(1, 8_000), 8_000).read_bytes())
    for name, at, value in (("rate", 24, 5), ("huge", 24, 2**31 - 1), ("long", 40, 2**30), ("chunk", 16, 2**31)):
        lying = data.copy()
        lying[at : at + 4] = value.to_bytes(4, "little")
        (tmp_path / f"{name}.wav").write_bytes(lying)
        with pytest.raises(DataError, match=f"{name}.wav|none of 1"):
            vqkit.load_source(tmp_path / f"{name}.wav")
    streamed = data.copy()
    streamed[40:44] = b"\xff" * 4  # a length that was not known when the header was written, as of a pipe
    (tmp_path / "streamed.wav").write_bytes(streamed)
    assert vqkit.load_source(tmp_path / "streamed.wav").size == (8_000,)
    flac = bytearray(write(tmp_path / "a.flac", tones(1, 8_000), 8_000).read_bytes())
    flac[22:26] = (2**31).to_bytes(4, "big")  # STREAMINFO: samples in all
    (tmp_path / "long.flac").write_bytes(flac)
    with pytest.raises(DataError, match=r"long\.flac: (damaged|ends early)"):
        vqkit.load_source(tmp_path / "long.flac")


@pytest.mark.parametrize(("form", "endian"), [("WAV", "BIG"), ("RF64", "FILE"), ("W64", "FILE"), ("AU", "FILE")])
def test_cut_files_of_rarer_headers(form: str, endian: str) -> None:
    soundfile.write(file := io.BytesIO(), tones(1, 8_000).T, 8_000, format=form, endian=endian, subtype="PCM_16")
    whole = file.getvalue()
    assert AudioFile(whole).frames == 8_000
    with pytest.raises(DataError, match=r"ends early: its header says 16,\d+ bytes"):
        AudioFile(whole[:9_000])


def test_a_recording_that_was_not_finished_is_told_for_what_it_is(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.wav", tones(1, 8_000), 8_000).read_bytes())
    data[40:44] = bytes(4)
    with pytest.raises(DataError, match="says no samples, and 16,000 bytes follow"):
        AudioFile(bytes(data))
    with pytest.raises(DataError, match="no samples in it"):
        AudioFile(bytes(data[:44]))


def test_a_flac_out_of_a_pipe_knows_no_length(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="reads it")
    path = write(tmp_path / "a.flac", tones(1, 8_000), 8_000)
    expected, data = AudioFile(path).read(), bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO: samples in all, 36 bits
    data[22:26] = bytes(4)
    path.write_bytes(data)
    source = vqkit.load_source(path)
    assert np.array_equal(source.read(0), expected)
    assert np.array_equal(AudioFile(bytes(data)).read(7_000, 7_500), expected[:, 7_000:7_500])


def test_what_a_person_should_know_is_noted(tmp_path: Path) -> None:
    write(tmp_path / "clipped.wav", (tones(1, 8_000) * 5).clip(-1, 1), 8_000)
    write(tmp_path / "offset.wav", tones(1, 8_000) * 0.5 + 0.2, 8_000)
    loud = tones(1, 8_000)
    loud[0, 100] = 1.2
    write(tmp_path / "loud.wav", loud, 8_000, "float.wav")
    source = vqkit.load_source(tmp_path)
    assert source.notes == [
        "1 of 3 sounds: clipped (many samples are at full scale)",
        "1 of 3 sounds: samples beyond full scale are taken for full scale",
        "1 of 3 sounds: a constant offset (DC)",
    ]
    assert source.read(1).max() == 1


def test_a_changed_file_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", tones(1, 8_000), 8_000)
    source = vqkit.load_source(tmp_path, memory_limit=1)
    write(tmp_path / "a.wav", tones(2, 8_000), 8_000)
    with pytest.raises(DataError, match=r"a\.wav was readable.*another length"):
        source.read(0)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(DataError, match=r"a\.wav was readable.*No such file"):
        source.subset([0]).read(0)


def test_a_model_has_the_rate_of_its_data(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "data" / f"{number}.wav", tones(0.5, 8_000, seed=number), 8_000)
        write(tmp_path / "other" / f"{number}.wav", tones(0.5, 48_000, 2, seed=number))
    source = vqkit.load_source(tmp_path / "data")
    model = vqkit.VQVAE.for_source(source, codebook_size=8, code_dim=4, hidden_channels=8, residual_channels=4, seed=0)
    assert model.config["kind"] == "sound@8000"
    run = vqkit.train(model, source, out=tmp_path / "run", steps=2, batch_size=2, quiet=True, tensorboard=False)
    assert run.evaluation is not None
    loaded = vqkit.load_model(tmp_path / "run")
    assert loaded.kind == Sound(8_000)
    with pytest.raises(DataError, match=r"48 kHz.*kind='sound@8000'"):
        vqkit.evaluate(loaded, vqkit.load_source(tmp_path / "other"))
    found = vqkit.evaluate(loaded, tmp_path / "other")  # resampled and mixed down
    assert found.items == 6
    tokens = vqkit.tokenize(loaded, vqkit.load_source(tmp_path / "data"), tmp_path / "tokens")
    detokenize(loaded, tokens, tmp_path / "decoded")
    first = tmp_path / "decoded" / Path(source.item_name(0)).with_suffix(".wav")
    decoded = vqkit.load_source(first)
    assert (decoded.kind, decoded.size) == (Sound(8_000), (4_000,))
    assert np.abs(decoded.read(0) - loaded.reconstruct(source.read(0)[None]).numpy()[0]).max() < 1e-4
    assert "left out what vqkit wrote: decoded and 2 more" in " ".join(vqkit.load_source(tmp_path).notes)
    assert len(vqkit.load_source(tmp_path)) == 12
