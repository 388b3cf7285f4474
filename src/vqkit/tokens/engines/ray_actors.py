"""Actors of Ray, on this machine or a cluster, each with a model of its own."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, final

import torch

from vqkit.checking import reason
from vqkit.crew import Failure
from vqkit.errors import WorkerError
from vqkit.models import IndexModel
from vqkit.models.copies import load_copy
from vqkit.optional import require
from vqkit.pretrained.identity import model_digest
from vqkit.threads import ThreadChoice
from vqkit.tokens.encoder import Encoder, Encoding, Message
from vqkit.tokens.engines.base import ENGINES, Engine
from vqkit.tokens.pieces import Piece

_AHEAD = 2
"""Tasks that an actor has been given: the one that it does, and the next."""


@ENGINES.register("ray")
@final
class RayActors(Engine):
    """Actors of Ray (extra `ray`), on the cluster that `RAY_ADDRESS` names or on this machine; each holds a model.

    The folder and the data have to be at the same paths for all of them. The object store holds the model, the source
    (for data in memory: the data) and, of each actor, the lines of at most two tasks; indices never go through it. Each
    has a CPU, or a GPU where the model is on one.
    """

    def check_installed(self) -> None:
        """Raise ``MissingExtraError`` unless Ray is installed."""
        require("ray", "encodings on Ray")

    def run(
        self, encoding: Encoding, model: IndexModel, tasks: Sequence[Sequence[Piece]], workers: int
    ) -> Iterator[Message]:
        """See ``Engine.run``."""
        ray = require("ray", "encodings on Ray")
        begun_here = not ray.is_initialized()
        if begun_here:
            try:
                ray.init(**_cluster(workers, model.device))
            except Exception as error:  # a bare Exception where it does not start in half a minute
                raise WorkerError(
                    f"Ray does not start here ({reason(error)}); take the engine processes, or name a cluster that "
                    "runs in RAY_ADDRESS"
                ) from error
        try:
            yield from _directed(ray, encoding, model, deque(tasks), workers)
        except ray.exceptions.RayActorError as error:
            first = str(error).strip().splitlines()[0]
            raise WorkerError(
                f"an actor of Ray has ended ({first}); shards that are whole are kept: encode again"
            ) from None
        finally:
            if begun_here:
                ray.shutdown()


def _cluster(workers: int, device: torch.device) -> dict[str, Any]:
    """How Ray is begun: with a cluster where one is named, otherwise here, with a CPU for each worker."""
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "include_dashboard": False}
    if os.environ.get("RAY_ADDRESS"):
        return {"log_to_driver": False}
    return quiet | {"num_cpus": workers, "num_gpus": torch.cuda.device_count() if device.type == "cuda" else 0}


def _directed(
    ray: Any, encoding: Encoding, model: IndexModel, tasks: deque[Sequence[Piece]], workers: int
) -> Iterator[Message]:
    """Give tasks to whoever is free, at most two each, and yield what they say."""
    on_gpu = model.device.type == "cuda"
    maker = ray.remote(num_cpus=1, num_gpus=1 if on_gpu else 0, max_restarts=0)(_Actor)
    shared = ray.put(encoding)
    files = ray.put(packed_model(model))
    device = torch.device("cuda", 0) if on_gpu else model.device
    crew = [maker.remote(shared, files, model_digest(model), device) for _ in range(min(workers, len(tasks)))]
    busy: dict[Any, Any] = {}
    for actor in crew * _AHEAD:
        if tasks:
            busy[actor.run.remote(tasks.popleft())] = actor
    try:
        while busy:
            done, _ = ray.wait(list(busy))
            actor = busy.pop(done[0])
            if tasks:
                busy[actor.run.remote(tasks.popleft())] = actor
            for message in ray.get(done[0]):
                if isinstance(message, Failure):
                    raise message.error()
                yield message
    finally:  # on a cluster of others they would go on with what they have been given
        for actor in crew:
            ray.kill(actor)


def packed_model(model: IndexModel) -> dict[str, bytes]:
    """Return the files of a model's folder by their names below it, those of its prior included."""
    with tempfile.TemporaryDirectory(prefix="vqkit-") as folder:
        place = Path(folder) / "model"
        model.save_pretrained(place)
        files = [file for file in place.rglob("*") if file.is_file()]
        return {file.relative_to(place).as_posix(): file.read_bytes() for file in files}


def unpacked_model(files: Mapping[str, bytes], digest: str, device: torch.device) -> IndexModel:
    """Return the model of ``packed_model``; the other arguments, and what is raised, are those of ``load_copy``."""
    with tempfile.TemporaryDirectory(prefix="vqkit-") as folder:
        for name, data in files.items():
            place = Path(folder) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        return cast("IndexModel", load_copy(folder, digest, device))


class _Actor:
    """What an actor does."""

    def __init__(self, encoding: Encoding, files: Mapping[str, bytes], digest: str, device: torch.device) -> None:
        torch.set_num_threads(1)
        self._given = encoding, files, digest, device
        self._encoder: Encoder | None = None

    def run(self, task: Sequence[Piece]) -> list[Message | Failure]:
        """Encode a task; returns all that its encoder said, and at last the error that ended it."""
        said: list[Message | Failure] = []
        try:
            if self._encoder is None:
                self._encoder = self._made()
            said.extend(self._encoder.run(task))
        except Exception as error:  # noqa: BLE001  (whatever it is, the driver raises it)
            said.append(Failure.of(error))
        return said

    def _made(self) -> Encoder:
        encoding, files, digest, device = self._given
        model = unpacked_model(files, digest, device)
        return Encoder(encoding, model, ThreadChoice([1]))
