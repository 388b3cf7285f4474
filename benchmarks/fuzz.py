"""Damaged and made-up files against everything that reads them: crashes, hangs, and damage that is not noticed.

A target (``fuzz_targets.py``) has files that are whole and a function that reads one. Files are changed by a seeded
generator (flips, cuts, insertions, copies of parts of other files, false numbers); what the function may do with one is
raise ``BitstreamError``. Anything else it raises is a crash, more than ``--seconds`` is a hang, and, where the target's
files are guarded by checksums, a result that is none of the whole files' is damage that was not noticed. Whoever asks
for more than ``--gigabytes`` beyond what was there at the start gets no memory, which is a crash too (on Linux).

    python benchmarks/fuzz.py --executions 100000 --seed 1
    python benchmarks/fuzz.py --atheris lossless -- -max_total_time=60      # led by coverage, if atheris is installed

Exits with status 1 if there is anything to report; ``--keep FOLDER`` keeps the files that did it. Led by coverage, it
stops at the first fault; the whole files are where it starts from, and ``--corpus FOLDER`` keeps what it finds.
"""

from __future__ import annotations

import gc
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

import vqkit
from figures import Figure, parser, report
from fuzz_targets import Target, targets
from vqkit.coding.fields import varint
from vqkit.errors import BitstreamError


@dataclass
class Tally:
    """What happened."""

    executions: int = 0
    refused: int = 0
    crashes: int = 0
    hangs: int = 0
    undetected: int = 0
    found: dict[str, bytes] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        return self.crashes + self.hangs + self.undetected


class TooLong(BaseException):
    """Not an Exception, so that no reader takes it for one of its own."""


@contextmanager
def time_limit(seconds: float) -> Any:
    """Raise ``TooLong`` after so many seconds, where the system has interval timers."""

    def stop(*_: object) -> None:
        raise TooLong

    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def execute(target: Target, data: bytes, results: list[object], tally: Tally, seconds: float) -> None:
    """Read one changed file and count what happens."""
    tally.executions += 1
    try:
        with time_limit(seconds):
            result = target.decode(target.prepare(data))
    except BitstreamError:
        tally.refused += 1
        return
    except TooLong:
        tally.hangs += 1
        tally.found[f"{target.name}: more than {seconds} s"] = data
        return
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault
        tally.crashes += 1
        tally.found[f"{target.name}: {type(error).__name__}: {error}"[:200]] = data
        return
    if target.judged and result not in results:
        tally.undetected += 1
        tally.found[f"{target.name}: decoded to something else"] = data


def change(rng: random.Random, files: list[bytes]) -> bytes:
    """One of the files with one to four changes."""
    data = bytearray(rng.choice(files))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 1, 2, 4, 9, 30, 200)))
        other = rng.choice(files)
        start = rng.randrange(len(other) + 1)
        kind = rng.randrange(8)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at:to] = rng.randbytes(to - at)
        elif kind == 2:
            del data[at:to]
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 8)))
        elif kind == 5:
            data[at:to] = other[start : start + rng.choice((1, 4, 16, 100))]
        elif kind == 6:
            data[at:] = other[start:]
        else:
            number = rng.choice((0, 1, 127, 128, 255, 2**14, 2**24, 2**26, 2**31, 2**35 - 1))
            data[at : at + rng.randrange(3)] = varint(number)
    return bytes(data)


def fuzz(target: Target, executions: int, seed: int, seconds: float) -> tuple[Tally, float]:
    """So many executions of changed files, and how long they took."""
    rng, tally = random.Random(seed), Tally()
    results = [target.decode(data) for data in target.files]
    start = time.perf_counter()
    for _ in range(executions):
        data = change(rng, target.files)
        if data not in target.files:
            execute(target, data, results, tally, seconds)
    return tally, time.perf_counter() - start


def limit_memory(gigabytes: float) -> None:
    """Let this process have so much more than it has, where the system can tell and can refuse more."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return
    most = pages * os.sysconf("SC_PAGE_SIZE") + int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def instrument(count: Callable[[FunctionType], object]) -> None:
    """Have what vqkit executes counted, and nothing else: torch would be most of the time, and of what is found."""
    own = str(Path(vqkit.__file__).parent)
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(own):
            count(each)


def fuzz_by_coverage(target: Target, options: list[str], seconds: float, gigabytes: float, corpus: Path) -> None:
    """Hand the target to atheris, which never returns: a fault is an exception that it reports.

    Args:
        target: what is fuzzed.
        options: of libFuzzer, and further folders to start from.
        seconds: longer is a hang.
        gigabytes: more is a crash.
        corpus: a folder for the whole files, and for those that reach something new.
    """
    import atheris

    results = [target.decode(data) for data in target.files]  # and so all modules that it needs are there
    corpus.mkdir(parents=True, exist_ok=True)
    for data in target.files:
        (corpus / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)

    def once(data: bytes) -> None:
        tally = Tally()
        execute(target, data, results, tally, seconds)
        if tally.faults:
            raise RuntimeError("; ".join(tally.found))

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        changed = change(random.Random(seed), [data, *target.files]) if seed % 2 else atheris.Mutate(data, longest)
        return bytes(changed[:longest])

    instrument(atheris.instrument_func)
    atheris.Setup([sys.argv[0], *options, str(corpus)], once, custom_mutator=mutate)
    limit_memory(gigabytes)
    atheris.Fuzz()


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--executions", type=int, default=20_000, help="of each target")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--seconds", type=float, default=5.0, help="longer is a hang")
    options.add_argument("--gigabytes", type=float, default=1.0, help="more memory than this is a crash")
    options.add_argument("--targets", default="", help="some of them, by name, with commas")
    options.add_argument("--keep", type=Path, default=None, metavar="FOLDER", help="keep the files of faults here")
    options.add_argument("--atheris", default=None, metavar="TARGET", help="led by coverage, until interrupted")
    options.add_argument("--corpus", type=Path, default=None, metavar="FOLDER", help="of --atheris; or a temporary one")
    options.add_argument("rest", nargs="*", help="options for atheris, after --")
    arguments = options.parse_args()
    chosen = [each for each in targets() if not arguments.targets or each.name in arguments.targets.split(",")]
    if arguments.atheris:
        target = next(each for each in chosen if each.name == arguments.atheris)
        corpus = arguments.corpus or Path(tempfile.mkdtemp(prefix="vqk-corpus-"))
        fuzz_by_coverage(target, arguments.rest, arguments.seconds, arguments.gigabytes, corpus)
    limit_memory(arguments.gigabytes)
    executions = 2000 if arguments.quick else arguments.executions
    figures, faults = [], 0
    for target in chosen:
        tally, seconds = fuzz(target, executions, arguments.seed, arguments.seconds)
        faults += tally.faults
        for name in ("executions", "refused", "crashes", "hangs", "undetected"):
            count = getattr(tally, name)
            figures.append(Figure(f"fuzz {target.name} {name}", count, "files", count, count))
        rate = tally.executions / seconds
        figures.append(Figure(f"fuzz {target.name} speed", rate, "executions/s", rate, rate))
        for what, data in tally.found.items():
            print(what, file=sys.stderr)
            if arguments.keep is not None:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    report(figures, arguments, seed=arguments.seed)
    if faults:
        raise SystemExit(1)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
