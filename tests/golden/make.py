"""Makes the golden files from integers alone: ``python -m tests.golden.make`` in the root of the repository.

Run it for a new version of the format only. If a file of a released version would change, files that people have
would no longer be the ones that are written: that is a breaking change.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqkit.coding import (
    Block,
    Decoder,
    Encoder,
    FileHeader,
    GroupHeader,
    Place,
    Reader,
    Writer,
    digest,
    frequencies,
    integers_crc,
    uniform_frequencies,
)

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    header: FileHeader
    groups: tuple[GroupHeader, ...]


CASES = {
    "v1-uniform-vectors": Case(
        FileHeader(axes=0, channels=5, codebook_size=300, num_codebooks=3, tokenizer=digest("11" * 32)),
        (
            GroupHeader(signals=2, size=(), codebooks=3),
            GroupHeader(signals=1, size=(), codebooks=1, names=("ä/b.npy",)),
        ),
    ),
    "v1-histogram-images": Case(
        FileHeader(
            axes=2,
            channels=3,
            codebook_size=256,
            downsampling=4,
            tokenizer=digest("22" * 32),
            entropy_model="histogram",
            entropy_digest=digest("33" * 32),
        ),
        (
            GroupHeader(signals=1, size=(32, 32)),
            GroupHeader(signals=2, size=(17, 9), tile=(2, 2), names=("one.png", "two/three.png")),
        ),
    ),
    "v1-context-lossless": Case(
        FileHeader(
            axes=1,
            channels=1,
            codebook_size=16,
            num_codebooks=4,
            downsampling=2,
            tokenizer=digest("44" * 32),
            entropy_model="context",
            entropy_digest=digest("55" * 32),
            pixel_digest=digest("66" * 32),
        ),
        (GroupHeader(signals=1, size=(21,), codebooks=4, layers=(1, 3), tile=(6,), lossless=True),),
    ),
    "v1-empty": Case(FileHeader(axes=3, channels=1, codebook_size=1, tokenizer=digest("77" * 32)), ()),
}


def numbers(seed: int, count: int) -> np.ndarray:
    """``[count]`` integers in ``[0, 2**31)`` of a linear congruential generator, the same for ever."""
    found, state = [], seed
    for _ in range(count):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        found.append(state >> 33)
    return np.array(found, dtype=np.int64)


def coded(case: Case, group: GroupHeader, place: Place, salt: int) -> tuple[np.ndarray, np.ndarray]:
    """A block's symbols ``[N]``, and their frequencies ``[K]`` or ``[N, K]``."""
    count = group.symbols(place, case.header)
    codes = case.header.codebook_size if place.kind == "indices" else 511
    symbols = numbers(salt + 1, count) % codes
    if case.header.entropy_model == "uniform":
        return symbols, uniform_frequencies(codes)
    if case.header.entropy_model == "histogram":
        return symbols * symbols // codes, frequencies(numbers(99, codes) % 1000)
    return symbols, frequencies(numbers(salt + 2, count * codes).reshape(count, codes) % 10**6)


def make(case: Case) -> bytes:
    file = io.BytesIO()
    with Writer(file, case.header) as writer:
        for group in case.groups:
            writer.begin(group)
            for salt, place in enumerate(group.places(case.header)):
                symbols, table = coded(case, group, place, salt)
                encoder = Encoder()
                encoder.encode(symbols, table)
                writer.block(Block(place=place, crc=integers_crc(symbols), data=encoder.bytes()))
    return file.getvalue()


def verify(data: bytes, case: Case) -> None:
    """Read and decode the file; every header, block and integer has to be that of the case."""
    reader = Reader(io.BytesIO(data))
    assert reader.header == case.header
    seen = []
    for group in reader:
        seen.append(group.header)
        for salt, block in enumerate(group):
            symbols, table = coded(case, group.header, block.place, salt)
            decoder = Decoder(block.data)
            found = decoder.decode(table, len(symbols) if table.ndim == 1 else None)
            decoder.finish()
            block.check(found)
            assert (found == symbols).all()
    assert reader.complete
    assert tuple(seen) == case.groups


if __name__ == "__main__":
    for name, each in CASES.items():
        (FOLDER / f"{name}.vqk").write_bytes(make(each))
