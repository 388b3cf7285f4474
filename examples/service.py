"""A service: POST a picture to /encode, its tokens to /decode; requests that wait together run together.

After ``pip install fastapi uvicorn``: ``MODEL=runs/mine uvicorn --app-dir examples --factory service:make_app``. Tokens
are ``{"size": [height, width], "indices": [[...], ...]}``, a mistake is a status and one line, ``{"detail": "..."}``.
"""

import io
import json
import os
import threading
from concurrent.futures import Future

import torch
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from PIL import Image

import vqkit

BYTES, PIXELS, BATCH = 16 << 20, 4 << 20, 16  # of a request, of a picture, pictures that run together


class _Batcher:  # a function of a batch, called with an item by many threads: who has the turn runs the oldest
    def __init__(self, function):
        self.function, self.jobs, self.turn = function, {}, threading.Lock()

    def __call__(self, item):
        self.jobs[own := Future()] = item
        with self.turn:
            while not own.done():
                alike = [job for job, x in list(self.jobs.items()) if x.shape == item.shape and not job.done()]
                self.run(alike[: max(1, min(BATCH, PIXELS // item.numel()))])
        del self.jobs[own]
        return own.result()

    def run(self, jobs):
        try:
            list(map(Future.set_result, jobs, self.function(torch.stack([self.jobs[job] for job in jobs]))))
        except Exception as error:  # noqa: BLE001 (the mistake of one is no mistake of the others)
            jobs[0].set_exception(error) if len(jobs) == 1 else [self.run([job]) for job in jobs]


def make_app(model=None):
    """The service of a model of images."""
    model = model or vqkit.load_model(os.environ.get("MODEL", "runs/mine"))
    encoded, decoded, app = _Batcher(model.encode), _Batcher(model.decode), FastAPI()

    def refuse(wrong, status, reason):
        if wrong:
            raise HTTPException(status, reason)

    def encode(body):
        picture = Image.open(io.BytesIO(body), formats=("PNG", "JPEG", "WEBP"))
        refuse(picture.width * picture.height > PIXELS, 413, f"a picture has at most {PIXELS:,} pixels")
        indices = encoded(signal := model.read_signals(picture)[0])
        return {"size": signal.shape[1:], "indices": indices.tolist()}

    def decode(body):
        given = json.loads(body)
        (height, width), grid = given["size"], torch.tensor(given["indices"])
        refuse(not 0 < height * width <= PIXELS or height < 1, 413, f"a picture has 1 to {PIXELS:,} pixels")
        refuse(grid.shape[:2] != model.grid((height, width)), 400, "the indices are those of another size")
        model.kind.show(decoded(grid)[:, :height, :width].numpy()).save(png := io.BytesIO(), "PNG")
        return Response(png.getvalue(), media_type="image/png")

    @app.post("/{action}")
    async def answer(action: str, request: Request):
        work, body = {"encode": encode, "decode": decode}.get(action), bytearray()
        refuse(work is None, 404, "POST to /encode or /decode")
        async for part in request.stream():
            refuse(len(body) + len(part) > BYTES, 413, f"a request has at most {BYTES:,} bytes")
            body += part
        try:
            return await run_in_threadpool(work, bytes(body))
        except (OSError, Image.DecompressionBombError) as error:
            raise HTTPException(415, "the body is no whole PNG, JPEG or WebP, or a huge one") from error
        except (ValueError, LookupError, TypeError, RuntimeError) as error:  # a VqkitError is a ValueError
            raise HTTPException(400, f"{type(error).__name__}: {error}".partition("\n")[0]) from error

    return app
