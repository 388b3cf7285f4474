"""``--stream``: sound from standard input to standard output, with the tokens and the samples of whole files."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import vqkit
from tests.signals.test_pcm import RATE, WAVE
from vqkit.cli.main import app
from vqkit.codec.inspect import inspect_file
from vqkit.errors import DataError, VqkitError
from vqkit.signals.wav import sixteen_bits, wav_header

WAVES = (0.5 * WAVE[:, :1].T).astype(np.float32)
PCM = sixteen_bits(WAVES).tobytes()
WAV = wav_header(1, RATE, None) + PCM  # as ffmpeg -f wav - writes it


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net = {"type": "seanet", "config": {"strides": [2, 5], "hidden_channels": 4}}
    sizes: dict[str, Any] = {"axes": 1, "channels": 1, "code_dim": 4, "num_codebooks": 3, "stacking": "residual"}
    vqkit.VQVAE(16, encoder=net, decoder=net, kind=f"sound@{RATE}", **sizes).save_pretrained("model")
    vqkit.VQVAE(16, encoder=net, decoder=net, **sizes).save_pretrained("unknown")
    vqkit.VQVAE(16, hidden_channels=8).save_pretrained("images")
    (tmp_path / "whole.wav").write_bytes(wav_header(1, RATE, len(PCM)) + PCM)
    return tmp_path


def run(line: str, given: bytes) -> Any:
    return CliRunner().invoke(app, line.split(), input=given)


def done(line: str, given: bytes) -> bytes:
    result = run(line, given)
    assert result.exit_code == 0, result.exception
    return bytes(result.stdout_bytes)


def refused(line: str, given: bytes = WAV) -> str:
    error = run(line, given).exception
    assert isinstance(error, VqkitError), error
    return str(error)


def whole(name: str = "whole.wav") -> tuple[Any, Any]:
    """The indices and the samples that come back, of the model itself."""
    model = vqkit.load_model("model")
    assert isinstance(model, vqkit.VQVAE)
    source = vqkit.load_source(f"sound@{RATE}:{name}")
    indices = model.encode(source.read(0)[None])
    return indices[0].numpy(), model.decode(indices, (source.item_size(0)[0],))[0].numpy()


def test_tokens_of_a_stream_are_a_line_a_frame(place: Path) -> None:
    result = run("encode model - --stream", WAV)
    rows = np.array([line.split() for line in result.stdout.splitlines()], dtype=int)
    assert np.array_equal(rows, whole()[0])
    assert "latency: 0.00125 s from the first sample of a frame to its indices" in result.stderr
    assert "0.0625 s of sound: 50 frames" in result.stderr
    first = done("encode model - --stream --codebooks 1 --raw s16le@8000", PCM).splitlines()
    assert [int(line) for line in first] == rows[:, 0].tolist()


def test_channels_that_are_mixed_are_told(place: Path) -> None:
    both = sixteen_bits(np.repeat(WAVES, 2, axis=0)).tobytes()
    result = run("encode model - --stream", wav_header(2, RATE, len(both)) + both)
    assert result.stdout == run("encode model - --stream", WAV).stdout
    assert "note: 2 channels mixed down to 1" in result.stderr


@pytest.mark.parametrize("every", ["", " --every 0", " --every 0.02"])
def test_a_stream_is_compressed_and_comes_back(place: Path, every: str) -> None:
    data = done(f"compress - -m model --stream --json sizes.json{every}", WAV)
    about = inspect_file(io.BytesIO(data))
    assert about.group_count == {"": 1, " --every 0": 50, " --every 0.02": 4}[every]
    expected = whole()[1]
    heard = done("decompress - -m model --stream", data)
    assert heard == wav_header(1, RATE, None) + sixteen_bits(expected).tobytes()
    Path("a.vqk").write_bytes(data)
    assert done("decompress a.vqk -m model --stream --raw s16le", b"") == sixteen_bits(expected).tobytes()
    assert done("decompress a.vqk -m model --stream --raw f32le", b"") == expected.T.astype("<f4").tobytes()
    done("decompress a.vqk -m model -o a.wav", b"")
    assert Path("a.wav").read_bytes()[-len(PCM) :] == sixteen_bits(expected).tobytes()
    assert f'"file_bytes": {len(data)}' in Path("sizes.json").read_text()


def test_an_ordinary_file_is_decoded_as_a_stream(place: Path) -> None:
    done("compress whole.wav -m model -o b.vqk", b"")
    expected = sixteen_bits(whole()[1]).tobytes()
    assert done("decompress b.vqk -m model --stream --raw s16le", b"") == expected
    assert done("decompress - -m model --stream --raw s16le", Path("b.vqk").read_bytes()) == expected
    (place / "two").mkdir()
    for name in ("a.wav", "b.wav"):
        (place / "two" / name).write_bytes(Path("whole.wav").read_bytes())
    done("compress two -m model -o two.vqk", b"")
    result = run("decompress two.vqk -m model --stream --raw s16le", b"")
    assert result.stdout_bytes == expected
    assert "several sounds" in str(result.exception)


@pytest.mark.parametrize(
    ("given", "words", "samples"),
    [
        (WAV[:-1], "1 of 2 bytes; the rest is whole; what came before is written", 499),
        (wav_header(1, RATE, 4000) + PCM, "4,000 bytes of samples, and 1,000 came; what came before is written", 500),
        (b"", "no bytes at all", 0),
        (wav_header(1, RATE, None), "no samples came on standard input", 0),
    ],
)
def test_of_a_stream_that_ends_early_what_came_is_whole(place: Path, given: bytes, words: str, samples: int) -> None:
    result = run("compress - -m model --stream", given)
    assert isinstance(result.exception, DataError)
    assert words in str(result.exception)
    if not samples:
        assert result.stdout_bytes == b""
        return
    assert inspect_file(io.BytesIO(result.stdout_bytes)).pixels == samples
    lines = run("encode model - --stream", given)
    assert words in str(lines.exception)
    assert len(lines.stdout.splitlines()) == 50


def test_a_file_that_was_cut_gives_the_samples_before(place: Path) -> None:
    data = done("compress - -m model --stream --every 0.01", WAV)
    result = run("decompress - -m model --stream --raw s16le", data[:-40])
    assert result.exception is not None
    assert "cut short" in str(result.exception)
    expected = sixteen_bits(whole()[1]).tobytes()
    assert expected.startswith(result.stdout_bytes)
    assert len(result.stdout_bytes) >= len(expected) // 2


def test_what_makes_no_stream_is_refused_in_one_line(place: Path) -> None:
    compress, encode = "compress - -m model --stream", "encode model - --stream"
    other = wav_header(1, 44100, None) + PCM
    for line in (compress, encode):
        assert "44,100 samples a second, and the model's have 8,000" in refused(line, other)
        assert "--raw s16le@8000" in refused(f"{line} --raw s16le")
        assert "16,000 samples a second" in refused(f"{line} --raw s16le@16000")
        assert "standard output" in refused(f"{line} -o out")
        assert "--raw" in refused(line, b"fLaC" + bytes(99))
        assert "comes from standard input" in refused(line.replace(" - ", " whole.wav "))
        assert "--stream" in refused(line.replace(" --stream", " -o out"))
        assert "sound" in refused(line.replace("model", "images"))
    assert "--rate" in refused(f"{compress} --rate 0.1")
    assert "--lossless" in refused(f"{compress} --lossless")
    assert "--every 1: the sample rate" in refused("compress - -m unknown --stream --every 1")
    assert "--format" in refused(f"{encode} --format npy")
    assert "--every" in refused("compress whole.wav -m model -o out --every 1")
    for line in ("compress whole.wav -m model", "encode model whole.wav", "decompress a.vqk -m model"):
        assert "--out is missing" in refused(line)
    data = done("compress - -m unknown --stream --raw s16le", PCM)
    assert "--raw s16le" in refused("decompress - -m unknown --stream", data)
    assert len(done("decompress - -m unknown --stream --raw s16le", data)) == len(PCM)
    assert "begins with" in refused("decompress - -m model --stream", b"RIFF....")


def _begun(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vqkit", *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_bytes_come_while_the_pipe_is_open_and_ctrl_c_makes_the_file_whole(place: Path) -> None:
    process = _begun("compress", "-", "-m", "model", "--stream", "--every", "0")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(WAV[:-500])
    process.stdin.flush()
    first = os.read(process.stdout.fileno(), 1 << 16)  # comes although the pipe stays open
    assert first.startswith(b"\x8fVQK")
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert inspect_file(io.BytesIO(first + rest)).pixels == 250
    assert b"250" in said or b"0.03125 s of sound" in said


def test_who_closes_the_output_ends_it_quietly(place: Path) -> None:
    process = _begun("encode", "model", "-", "--stream")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(WAV)
    process.stdin.flush()
    assert process.stdout.readline().count(b" ") == 2
    process.stdout.close()
    for _ in range(2):
        process.stdin.write(PCM * 40)
        process.stdin.flush()
    process.stdin.close()
    said = process.stderr.read()
    assert process.wait(60) == 1
    assert b"Traceback" not in said
    assert b"vqkit: " not in said
