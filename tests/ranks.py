"""Ranks of a parallel program: one process imports what they run, once, and each of them is a fork of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]


def launch(worker: str, *rounds: Sequence[str], processes: int = 2) -> None:
    """Run a worker's ``main``, once in every rank for each list of arguments: new processes for every list."""
    ports = []
    for _ in rounds:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    words = [word for arguments in rounds for word in ("--", *arguments)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.ranks", worker, str(processes), ",".join(map(str, ports)), *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def main() -> None:
    worker, processes, ports, *words = sys.argv[1:]
    module = import_module(worker)
    import_module("torch._dynamo")  # DDP and FSDP import both at their first use, for a second in every rank
    import_module("torch.distributed.fsdp")
    rounds: list[list[str]] = []
    for word in words:
        rounds.append([]) if word == "--" else rounds[-1].append(word)
    for port, arguments in zip(ports.split(","), rounds, strict=True):
        os.environ |= {"MASTER_PORT": port, "WORLD_SIZE": processes}
        sys.argv = [worker, *arguments]
        ranks = [_start(module, rank) for rank in range(int(processes))]
        statuses = [os.waitpid(rank, 0)[1] for rank in ranks]
        if any(statuses):
            sys.exit(1)


def _start(module: object, rank: int) -> int:
    """The id of a new process that runs ``main`` of the module, and nothing else."""
    child = os.fork()
    if child:
        return child
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    status = 1
    try:
        module.main()  # type: ignore[attr-defined]
        status = 0
    except BaseException:  # noqa: BLE001, whatever it was: a fork of this process ends here
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
