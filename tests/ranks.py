"""Ranks of a parallel program: one process imports what they run, once, and each of them is a fork of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]


def launch(worker: str, *rounds: Sequence[str], processes: int = 2) -> None:
    """Run a worker's ``main``, once in every rank for each list of arguments: new processes for every list."""
    statuses, said = launched(worker, *rounds, nodes=[{}] * processes)
    assert not any(map(any, statuses)), said


def launched(worker: str, *rounds: Sequence[str], nodes: Sequence[Mapping[str, str]]) -> tuple[list[list[int]], str]:
    """Run a worker's ``main`` as ``launch`` does, whatever comes of it.

    Args:
        worker: a module.
        rounds: arguments of its ``main``, one list after another.
        nodes: what is in the environment of each rank alone.

    Returns:
        How each rank ended in each round (negative: by which signal), and what all of them said.
    """
    plan = {"worker": worker, "rounds": rounds, "ports": [_free_port() for _ in rounds], "nodes": nodes}
    done = subprocess.run(
        [sys.executable, "-m", "tests.ranks", json.dumps(plan)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    said, _, statuses = done.stdout.rstrip().rpartition("\n")
    return json.loads(statuses), said


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
    plan, found = json.loads(sys.argv[1]), []
    module = import_module(plan["worker"])
    for port, arguments in zip(plan["ports"], plan["rounds"], strict=True):
        os.environ |= {"MASTER_PORT": str(port), "WORLD_SIZE": str(len(plan["nodes"]))}
        sys.argv = [plan["worker"], *arguments]
        found.append(_ends([_start(module, rank, own) for rank, own in enumerate(plan["nodes"])]))
    sys.stdout.write(f"\n{json.dumps(found)}\n")


def _ends(ranks: list[int]) -> list[int]:
    """How each rank ended; when one has failed, the others are ended, as torchrun does."""
    statuses: dict[int, int] = {}
    while len(statuses) < len(ranks):
        rank, status = os.wait()
        statuses[rank] = os.waitstatus_to_exitcode(status)
        if status:
            for other in set(ranks) - set(statuses):
                os.kill(other, signal.SIGTERM)
    return [statuses[rank] for rank in ranks]


def _start(module: object, rank: int, own: Mapping[str, str]) -> int:
    """The id of a new process that runs ``main`` of the module, and nothing else."""
    child = os.fork()
    if child:
        return child
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), **own}
    status = 1
    try:
        module.main()  # type: ignore[attr-defined]
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:  # noqa: BLE001, whatever it was: a fork of this process ends here
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
