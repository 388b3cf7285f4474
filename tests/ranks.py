"""Ranks of a parallel program: one process imports what they run, once, and each of them is a fork of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]


def launch(worker: str, *rounds: Sequence[str], processes: int = 2) -> None:
    """Run a worker's ``main``, once in every rank for each list of arguments: new processes for every list."""
    ports = [_free_port() for _ in rounds]
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


def torchrun(
    nodes: Sequence[Mapping[str, str]], module: str, *words: str, processes: int = 2
) -> list[subprocess.CompletedProcess[str]]:
    """Run a module under torchrun on several nodes at once, groups of processes of this machine.

    Args:
        nodes: what is in the environment of each node alone.
        module: and its words.
        processes: of all nodes together.
    """
    at = str(_free_port())
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(len(nodes)), "--node-rank", str(node),
             "--nproc-per-node", str(processes // len(nodes)), "--master-addr", "127.0.0.1", "--master-port", at,
             "-m", module, *words],
            cwd=ROOT, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for node, own in enumerate(nodes)
    ]  # fmt: skip
    done = []
    for process in started:
        out, err = process.communicate(timeout=240)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return done


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return found


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
