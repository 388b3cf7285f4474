"""The service of ``examples/service.py``: right from many threads, in batches, and plain about mistakes."""

from __future__ import annotations

import io
import json
import runpy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vqkit

pytest.importorskip("fastapi", reason="the service needs fastapi, which is not installed")
pytest.importorskip("httpx", reason="its test client needs httpx, which is not installed")
from fastapi.testclient import TestClient

FILE = Path(__file__).parents[2] / "examples" / "service.py"
SERVICE = runpy.run_path(str(FILE))
"""Made once: the classes and functions of the program."""


@pytest.fixture(scope="module")
def model() -> vqkit.VQVAE:
    torch.manual_seed(0)
    return vqkit.VQVAE(64, hidden_channels=16, residual_channels=8, code_dim=8).eval()


@pytest.fixture(scope="module")
def client(model: vqkit.VQVAE) -> TestClient:
    return TestClient(SERVICE["make_app"](model), raise_server_exceptions=True)


def png(pixels: np.ndarray[Any, Any], kind: str = "PNG") -> bytes:
    Image.fromarray(pixels).save(file := io.BytesIO(), kind)
    return file.getvalue()


def pictures(count: int, height: int = 12, width: int = 10) -> list[np.ndarray[Any, Any]]:
    return list(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def test_it_is_short() -> None:
    assert len(FILE.read_text(encoding="utf-8").splitlines()) <= 80


def test_a_picture_becomes_tokens_and_a_picture(client: TestClient, model: vqkit.VQVAE) -> None:
    (pixels,) = pictures(1)
    answer = client.post("/encode", content=png(pixels))
    assert answer.status_code == 200
    assert answer.json() == {"size": [12, 10], "indices": model.encode(pixels)[0].tolist()}
    back = client.post("/decode", content=answer.content)
    assert back.headers["content-type"] == "image/png"
    wanted = model.kind.show(model.reconstruct(pixels)[0].numpy())
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(back.content))), np.asarray(wanted))


def test_requests_of_eight_threads_get_what_they_would_get_alone(client: TestClient, model: vqkit.VQVAE) -> None:
    given = pictures(60) + pictures(40, 8, 8)
    alone = [model.encode(each)[0].tolist() for each in given]
    files = [png(each) for each in given]

    def ask(number: int) -> bool:
        answer = client.post("/encode", content=files[number % 100])
        return bool(answer.json()["indices"] == alone[number % 100])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(300)))


def test_what_waits_runs_together_and_a_mistake_is_its_own() -> None:
    batches: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    def slow(batch: torch.Tensor) -> torch.Tensor:
        batches.append(len(batch))
        started.set()
        go_on.wait(10)
        if (batch < 0).any():
            raise ValueError("below 0")
        return batch * 2

    call: Callable[[torch.Tensor], torch.Tensor] = SERVICE["_Batcher"](slow)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(call, torch.tensor([1]))
        started.wait(10)
        others = [pool.submit(call, torch.tensor([number])) for number in (2, -1, 3, 4)]
        while len(call.jobs) < 5:  # type: ignore[attr-defined]
            pass
        go_on.set()
        assert first.result(10).tolist() == [2]
        assert [others[number].result(10).tolist() for number in (0, 2, 3)] == [[4], [6], [8]]
        with pytest.raises(ValueError, match="below 0"):
            others[1].result(10)
    assert batches == [1, 4, 1, 1, 1, 1]
    assert not call.jobs  # type: ignore[attr-defined]


def tokens(indices: object, size: object = (4, 4)) -> bytes:
    return json.dumps({"size": size, "indices": indices}).encode()


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("decode", tokens([[64]]), 400, "DataError: indices reach from 64 to 64; this codebook has 64 codes"),
        ("decode", tokens([[-1]]), 400, "DataError: indices reach from -1"),
        ("decode", tokens([[0.5]]), 400, "DataError: indices are torch.float32"),
        ("decode", tokens([[2**70]]), 400, "ValueError: Overflow"),
        ("decode", tokens([["a.png"]]), 400, "ValueError: "),
        ("decode", tokens("/etc/passwd"), 400, "TypeError: "),
        ("decode", tokens([[0, 1], [0]]), 400, "ValueError: expected sequence of length 2"),
        ("decode", tokens([[0, 1]]), 400, "the indices are those of another size"),
        ("decode", tokens(3), 400, "the indices are those of another size"),
        ("decode", tokens([[0]], [4]), 400, "ValueError: not enough values"),
        ("decode", tokens([[0]], [-4, -4]), 413, "a picture has 1 to"),
        ("decode", tokens([[0]], [1 << 30, 1 << 30]), 413, "a picture has 1 to"),
        ("decode", b"{", 400, "JSONDecodeError: "),
        ("decode", b"\xff", 400, "UnicodeDecodeError: "),
        ("decode", b"[" * 100_000, 400, "RecursionError: "),
        ("decode", b"{}", 400, "KeyError: 'size'"),
        ("encode", b"no picture", 415, "the body is no whole PNG, JPEG or WebP"),
        (
            "encode",
            png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "WEBP")[:200],
            415,
            "the body is no whole PNG, JPEG or WebP",
        ),
        ("encode", b"", 415, "the body is no whole PNG, JPEG or WebP"),
        ("encode", png(np.zeros((4, 4), np.uint8), "GIF"), 415, "the body is no whole PNG, JPEG or WebP"),
        ("encode", png(np.zeros((1, (4 << 20) + 1), np.uint8)), 413, "a picture has at most 4,194,304 pixels"),
        ("encode", bytes((16 << 20) + 1), 413, "a request has at most 16,777,216 bytes"),
        ("encode", png(pictures(1)[0])[:-200], 400, "DataError: "),
        ("other", b"", 404, "POST to /encode or /decode"),
    ],
)
def test_a_mistake_is_a_status_and_one_line(client: TestClient, path: str, body: bytes, status: int, says: str) -> None:
    answer = client.post(f"/{path}", content=body)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"detail"}
    assert answer.json()["detail"].startswith(says), answer.text
    assert "\n" not in answer.json()["detail"]
