"""Memory of the lab over many uploads: resident memory of the server, and what its folder of files holds.

    python benchmarks/lab_memory.py --uploads 200

Pictures, each different, are uploaded and compared one after another, by requests as the
page makes them, each in a session of its own; every 20 uploads a line says the resident memory (MiB), the files that
lie in the server's folder, and the Python objects alive. The files of a session are deleted when they are old, so
their number follows the time, not the number of uploads. The pictures are of random pixels.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import io
import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from PIL import Image

import vqkit
from vqkit.lab import Workshop
from vqkit.lab.opening import served_lab
from vqkit.models import VQVAE

_EVERY = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--side", type=int, default=192, help="of the pictures, in pixels")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    photos = vqkit.load_source("builtin:photos")
    model = VQVAE(64, channels=3, downsampling=8, hidden_channels=8, residual_channels=4, code_dim=4, linear_path=True)
    model.prepare([torch.from_numpy(np.asarray(photos.gather(range(64))))])
    generator = np.random.default_rng(0)
    lines = []
    with served_lab(Workshop.of({"photo": model})) as address:
        client = Client(address)
        for number in range(1, arguments.uploads + 1):
            pixels = generator.integers(0, 256, (arguments.side, arguments.side, 3)).astype(np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            client.compare(file.getvalue(), f"{number}.png")
            if number % _EVERY == 0 or number == 1:
                gc.collect()
                lines.append({"uploads": number, **_state()})
                print("  ".join(f"{name} {value:,}" for name, value in lines[-1].items()), flush=True)
    half = lines[len(lines) // 2]
    grown = lines[-1]["resident MiB"] - half["resident MiB"]
    print(f"from upload {half['uploads']} to {lines[-1]['uploads']}: {grown:+,} MiB")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(lines, indent=1))


class Client:
    """Requests as the page makes them."""

    def __init__(self, address: str) -> None:
        self.place = urlparse(address)
        config = json.loads(self._ask("GET", "/config"))
        kinds = {part["id"]: part["type"] for part in config["components"]}
        wanted = ["dropdown", "file", "dropdown", "dropdown"]
        found = [each for each in config["dependencies"] if [kinds[part] for part in each["inputs"]] == wanted]
        self.call = found[0]["id"]

    def compare(self, content: bytes, name: str) -> None:
        """Upload a picture and have it compared; raises unless that works."""
        edge = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode()
        body = edge + b'"\r\nContent-Type: image/png\r\n\r\n' + content + b"\r\n--edge--\r\n"
        path = json.loads(self._ask("POST", "/gradio_api/upload", body, "multipart/form-data; boundary=edge"))[0]
        session = os.urandom(6).hex()
        data = ["photo", {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}, None, "256"]
        request = {"data": data, "fn_index": self.call, "session_hash": session, "trigger_id": None, "event_data": None}
        self._ask("POST", "/gradio_api/queue/join", json.dumps(request).encode(), "application/json")
        client = self._client()
        client.request("GET", f"/gradio_api/queue/data?session_hash={session}")
        answer = client.getresponse()
        told = b""
        while (line := answer.readline()) and b"process_completed" not in line:
            told += line
        client.close()
        if b"PSNR" not in told + line:
            raise RuntimeError(f"upload {name} was not compared: {(told + line)[-400:]!r}")

    def _client(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(str(self.place.hostname), self.place.port, timeout=300)

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "text/plain") -> bytes:
        client = self._client()
        client.request(method, path, body, {"Content-Type": kind})
        answer = client.getresponse()
        content = answer.read()
        client.close()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {content[:200]!r}")
        return content


def _state() -> dict[str, Any]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = [each for each in Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*") if each.is_file()]
    return {
        "resident MiB": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20),
        "objects": len(gc.get_objects()),
        "files": len(files),
        "files MiB": round(sum(each.stat().st_size for each in files) / 2**20),
    }


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s")
