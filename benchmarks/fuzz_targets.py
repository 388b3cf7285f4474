"""What ``benchmarks/fuzz.py`` changes and reads: whole files of each kind, and the function that reads one."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

import fuzz_codec
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
from vqkit.coding.sections import SectionReader, SectionWriter


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
    """What is fuzzed; in the sealed ones all checksums hold."""
    files, tokens, exact = containers(), fuzz_codec.models(), fuzz_codec.lossless_models()
    whole, restoring = fuzz_codec.files(*tokens), fuzz_codec.lossless_files(*exact)
    decode, restore = fuzz_codec.decompressing(*tokens), fuzz_codec.decompressing(*exact)
    sealed_decode = fuzz_codec.decompressing(*tokens, checked=False)
    sealed_restore = fuzz_codec.decompressing(*exact, checked=False)
    return [
        Target(name="container", files=files, decode=read_container),
        Target(name="sections", files=files, decode=read_sections),
        Target(name="sealed", files=files, decode=read_container, prepare=seal, judged=False),
        Target(name="range_coder", files=coded(), decode=read_coded, judged=False),
        Target(name="decompress", files=whole, decode=decode),
        Target(name="decompress_sealed", files=whole, decode=sealed_decode, prepare=seal, judged=False),
        Target(name="lossless", files=restoring, decode=restore),
        Target(name="lossless_sealed", files=restoring, decode=sealed_restore, prepare=seal, judged=False),
        Target(name="inspect", files=[*whole, *restoring], decode=fuzz_codec.inspecting),
    ]
