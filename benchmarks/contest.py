"""Contenders in processes of their own, timed in turns, and the memory that each adds.

A contender is a function of its settings that returns what is timed. Each runs in a fresh process, as its users would
run it; they take turns, so that a change of the machine's speed meets all alike. A script that uses this calls
``serve`` when its first argument is ``--serve``.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.3
"""Seconds. OpenMP threads wait for further work at full speed for 0.2 s after each call."""
_LEAST = 0.25
"""Seconds that a sample lasts: calls of milliseconds are repeated, as in the middle of a training."""

QuantizerSpec = Callable[..., Callable[[], object]]


def serve(contenders: Mapping[str, QuantizerSpec], name: str, *settings: str) -> None:
    """A contender's process: warm up, then time a call (or several short ones) for every line on standard input."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call = contenders[name](*(int(each) for each in settings))
    ready = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    del before
    print(f"ready {(after - ready) / 1024}", flush=True)
    call()
    for _ in sys.stdin:
        calls, start = 0, time.perf_counter()
        while calls == 0 or time.perf_counter() - start < _LEAST:
            call()
            calls += 1
        print((time.perf_counter() - start) / calls, flush=True)


class Process:
    """One contender with its settings, ready to be timed; ``extra_mib`` is what its first call added to the peak.

    ``source`` is a folder to import packages from before all others: the ``src`` of another commit.
    ``extra_mib`` is None when the process died, for want of memory as a rule.
    """

    def __init__(self, script: str, name: str, *settings: int, source: Path | None = None) -> None:
        command = [sys.executable, script, "--serve", name, *(str(each) for each in settings)]
        self.name = name
        environment = os.environ if source is None else {**os.environ, "PYTHONPATH": str(source.resolve())}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)
        self.extra_mib: float | None = None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("ready"):
                self.extra_mib = float(line.split()[1])
                break

    def seconds(self) -> float:
        """One timed call, after a pause in which the threads of the contender before stop spinning."""
        time.sleep(_PAUSE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def in_turns(processes: list[Process], rounds: int) -> dict[str, list[float]]:
    """Seconds of each living contender, ``rounds`` times; closes them."""
    living = [each for each in processes if each.extra_mib is not None]
    samples: dict[str, list[float]] = {each.name: [] for each in living}
    for _ in range(rounds):
        for each in living:
            samples[each.name].append(each.seconds())
    for each in processes:
        each.close()
    return samples


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many other processes that each keep a core busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
