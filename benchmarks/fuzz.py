"""Damaged and made-up files against everything that reads them: crashes, hangs, and damage that is not noticed.

A target has files that are whole and a function that reads one. Files are changed by a seeded generator (flips, cuts,
insertions, copies of parts of other files, false numbers); what the function may do with one is raise
``BitstreamError``. Anything else it raises is a crash, more than ``--seconds`` is a hang, and, where the target's files
are guarded by checksums, a result that is none of the whole files' is damage that was not noticed.

    python benchmarks/fuzz.py --executions 100000 --seed 1
    python benchmarks/fuzz.py --atheris container -- -max_total_time=60      # led by coverage, if atheris is installed

Exits with status 1 if there is anything to report; ``--keep FOLDER`` keeps the files that did it.
"""

from __future__ import annotations

import hashlib
import io
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from figures import Figure, parser, report
from vqkit.coding import (
    Block,
    Decoder,
    Encoder,
    FileHeader,
    GroupHeader,
    Reader,
    Writer,
    frequencies,
    integers_crc,
    uniform_frequencies,
)
from vqkit.coding.fields import varint
from vqkit.coding.sections import SectionReader, SectionWriter
from vqkit.errors import BitstreamError


@final
@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that reads files.

    Args:
        name: for ``--targets``.
        files: whole ones, to start from.
        decode: reads one; what it returns is compared.
        prepare: done to a changed file before it is read.
        judged: whether a result that is no whole file's is a fault. Not where ``prepare`` makes checksums hold.
    """

    name: str
    files: list[bytes]
    decode: Callable[[bytes], object]
    prepare: Callable[[bytes], bytes] = bytes
    judged: bool = True


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


def containers() -> list[bytes]:
    """Small files of many kinds, with coded integers in them."""
    rng, found = np.random.default_rng(0), []
    shapes: list[tuple[int, list[tuple[int, ...]]]] = [
        (0, [(), ()]),
        (1, [(9,)]),
        (2, [(8, 8), (5, 13)]),
        (3, [(2, 4, 6)]),
    ]
    for axes, sizes in shapes:
        header = FileHeader(
            axes=axes,
            channels=3,
            codebook_size=64,
            num_codebooks=3,
            downsampling=2,
            tokenizer=b"t" * 16,
            pixel_digest=b"p" * 16,
        )
        file = io.BytesIO()
        with Writer(file, header) as writer:
            for number, size in enumerate(sizes):
                group = GroupHeader(
                    signals=number + 1,
                    size=size,
                    codebooks=3,
                    layers=(1, 2) if number else (),
                    tile=(2,) * axes if number else None,
                    names=tuple(f"folder/{name}.png" for name in range(number + 1)) if axes else (),
                    lossless=not number,
                )
                writer.begin(group)
                for place in group.places(header):
                    codes = 64 if place.kind == "indices" else 256
                    symbols = rng.integers(0, codes, size=group.symbols(place, header))
                    encoder = Encoder()
                    encoder.encode(symbols, uniform_frequencies(codes))
                    writer.block(Block(place=place, crc=integers_crc(symbols), data=encoder.bytes()))
        found.append(file.getvalue())
    return found


def read_container(data: bytes) -> object:
    """All that is in a file, its integers decoded."""
    reader, found = Reader(io.BytesIO(data), max_values=1 << 16), []
    for group in reader:
        for block in group:
            codes = reader.header.codebook_size if block.place.kind == "indices" else 256
            decoder = Decoder(block.data)
            integers = decoder.decode(uniform_frequencies(codes), group.header.symbols(block.place, reader.header))
            decoder.finish()
            block.check(integers)
            found.append((repr(block.place), integers.tobytes()))
        found.append((repr(group.header), b""))
    return repr(reader.header), found, reader.complete


def seal(data: bytes) -> bytes:
    """The file with checksums that hold as far as it can be cut into sections, and with an end after that."""
    file = io.BytesIO()
    writer = SectionWriter(file)
    body, place = data[10:], 0
    while place + 2 <= len(body):
        length = body[place + 1] & 0x7F
        size = 1
        if body[place + 1] >= 0x80 and place + 2 < len(body):
            length, size = length | (body[place + 2] & 0x7F) << 7, 2
        start = place + 1 + size
        writer.write(body[place], body[start : start + length])
        place = start + length + 4
    return file.getvalue()


def read_sections(data: bytes) -> object:
    """Every section of a file, whatever is in it."""
    reader, found = SectionReader(io.BytesIO(data)), []
    while True:
        kind, body = reader.read()
        found.append((kind, body))
        if kind == 5:
            reader.end()
            return found


TABLE = frequencies(np.random.default_rng(1).integers(0, 1000, size=(40, 50)))


def read_coded(data: bytes) -> object:
    """Forty symbols; accepted are only bytes that the encoder writes for them."""
    decoder, again = Decoder(data), Encoder()
    symbols = decoder.decode(TABLE)
    decoder.finish()
    again.encode(symbols, TABLE)
    if again.bytes() != data:
        raise RuntimeError("accepted bytes that no encoder writes")
    return symbols.tobytes()


def coded() -> list[bytes]:
    found = []
    for seed in range(8):
        encoder = Encoder()
        encoder.encode(np.random.default_rng(seed).integers(0, 50, size=40), TABLE)
        found.append(encoder.bytes())
    return found


def targets() -> list[Target]:
    """What is fuzzed; decoders with models in them are appended here."""
    files = containers()
    return [
        Target(name="container", files=files, decode=read_container),
        Target(name="sections", files=files, decode=read_sections),
        Target(name="sealed", files=files, decode=read_container, prepare=seal, judged=False),
        Target(name="range_coder", files=coded(), decode=read_coded, judged=False),
    ]


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


def fuzz_by_coverage(target: Target, options: list[str], seconds: float) -> None:
    """Hand the target to atheris, which never returns: a fault is an exception that it reports."""
    import atheris

    results = [target.decode(data) for data in target.files]

    def once(data: bytes) -> None:
        tally = Tally()
        execute(target, data, results, tally, seconds)
        if tally.faults:
            raise RuntimeError("; ".join(tally.found))

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        changed = change(random.Random(seed), [data, *target.files]) if seed % 2 else atheris.Mutate(data, longest)
        return bytes(changed[:longest])

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *options], once, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--executions", type=int, default=20_000, help="of each target")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--seconds", type=float, default=5.0, help="longer is a hang")
    options.add_argument("--targets", default="", help="some of them, by name, with commas")
    options.add_argument("--keep", type=Path, default=None, metavar="FOLDER", help="keep the files of faults here")
    options.add_argument("--atheris", default=None, metavar="TARGET", help="led by coverage, until interrupted")
    options.add_argument("rest", nargs="*", help="options for atheris, after --")
    arguments = options.parse_args()
    chosen = [each for each in targets() if not arguments.targets or each.name in arguments.targets.split(",")]
    if arguments.atheris:
        fuzz_by_coverage(
            next(each for each in chosen if each.name == arguments.atheris), arguments.rest, arguments.seconds
        )
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
