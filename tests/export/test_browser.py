"""An exported model in a real browser: ``examples/export/browser.html`` gives the model's indices and pixels."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vqkit
from tests.models.cases import SMALL, signals
from vqkit.export import export_model

PAGE = Path(__file__).parents[2] / "examples" / "export" / "browser.html"
NEEDED = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
HEIGHT, WIDTH = 13, 18


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A folder with onnxruntime-web of npm, as ``npm install`` leaves it."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    command = [npm, "pack", "onnxruntime-web@1", "--pack-destination", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"npm does not give onnxruntime-web: {done.stderr.strip()[-200:]}")
    place = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    place.mkdir(parents=True)
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as packed:
        for name in NEEDED:
            file = packed.extractfile(f"package/dist/{name}")
            assert file is not None
            (place / name).write_bytes(file.read())
    return tmp_path


@pytest.fixture
def browser() -> Iterator[Any]:
    """Chromium; without it the test is skipped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(
        (path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None
    )
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_a_browser_gives_the_indices_and_the_pixels_of_the_model(channels: int, runtime: Path, browser: Any) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    torch.manual_seed(0)
    model = vqkit.VQVAE(64, channels=channels, quantizer="fsq", downsampling=2, **SMALL)
    model.prepare([signals(8, channels, 2, size=(16, 16))])
    model.eval()
    export_model(model, runtime / "graphs")
    shutil.copy(PAGE, runtime)
    mode, shape = ("L", (HEIGHT, WIDTH)) if channels == 1 else ("RGB", (HEIGHT, WIDTH, 3))
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels, mode).save(runtime / "photo.png")
    x = torch.from_numpy(np.atleast_3d(pixels).transpose(2, 0, 1)[None].copy())
    indices = model.encode(x)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *unused: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(runtime)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = browser.new_page()
        elsewhere: list[str] = []
        address = f"http://127.0.0.1:{server.server_port}/"
        page.on("request", lambda request: request.url.startswith(address) or elsewhere.append(request.url))
        page.goto(f"{address}browser.html?graphs")
        page.wait_for_function("document.title == 'ready'", timeout=120_000)
        page.set_input_files("#file", str(runtime / "photo.png"))
        page.wait_for_function("document.getElementById('said').value != ''", timeout=120_000)
        said = page.evaluate("document.getElementById('said').value")
        script = (
            f"Array.from(document.getElementById('after').getContext('2d').getImageData(0, 0, {WIDTH}, {HEIGHT}).data)"
        )
        shown = np.array(page.evaluate(script)).reshape(HEIGHT, WIDTH, 4)
    finally:
        server.shutdown()
    assert [int(each) for each in said.split()] == indices.flatten().tolist()
    wanted = (model.decode(indices, (HEIGHT, WIDTH))[0].permute(1, 2, 0) * 255).round()
    assert np.abs(shown[:, :, :3] - wanted.numpy()).max() <= 1
    assert (shown[:, :, 3] == 255).all()
    assert elsewhere == []
