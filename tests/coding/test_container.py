"""``.vqk`` files: what is written is read; whatever is damaged, cut, moved or made up is refused with a typed error."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.make import CASES, FOLDER, make, verify
from vqkit.coding import (
    Block,
    FileHeader,
    GroupHeader,
    Reader,
    Writer,
    check_model,
    check_name,
    digest,
    grid_of,
    integers_crc,
    pixels,
    tiles,
)
from vqkit.coding.fields import Fields, varint
from vqkit.coding.header_bytes import file_body, group_body
from vqkit.coding.sections import MAGIC, SectionReader, SectionWriter
from vqkit.errors import (
    BitstreamError,
    ChecksumError,
    ConfigError,
    LimitError,
    NotAVqkFileError,
    TruncatedFileError,
    UnsupportedVersionError,
    WrongModelError,
)

HEADER = FileHeader(
    axes=2, channels=3, codebook_size=64, num_codebooks=4, downsampling=4, tokenizer=b"t" * 16, pixel_digest=b"p" * 16
)
Content = tuple[FileHeader, list[tuple[GroupHeader, list[Block]]]]


def written(header: FileHeader, groups: list[GroupHeader]) -> bytes:
    """A file with blocks whose data is a few bytes of their own."""
    file = io.BytesIO()
    with Writer(file, header) as writer:
        for number, group in enumerate(groups):
            writer.begin(group)
            for place in group.places(header):
                writer.block(Block(place=place, crc=number, data=repr(place).encode()[-9:] * (number + 1)))
    return file.getvalue()


def content(data: bytes) -> Content:
    """All that a reader gives out of a whole file."""
    reader = Reader(io.BytesIO(data))
    found = [(group.header, list(group)) for group in reader]
    assert reader.complete
    return reader.header, found


def sections(data: bytes) -> list[bytes]:
    """A file cut at its sections; the magic and version come first."""
    found, place = [data[:10]], 10
    while place < len(data):
        shift, length, at = 0, 0, place + 1
        while True:
            length |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                break
        found.append(data[place : at + length + 4])
        place = at + length + 4
    return found


def sealed(*bodies: tuple[int, bytes]) -> bytes:
    """A file of any sections, with checksums that hold."""
    file = io.BytesIO()
    writer = SectionWriter(file)
    for kind, body in bodies:
        writer.write(kind, body)
    return file.getvalue()


GROUPS = [
    GroupHeader(signals=2, size=(9, 20), codebooks=4, layers=(1, 3), tile=(2, 3), names=("a", "b/c")),
    GroupHeader(signals=1, size=(4, 4), codebooks=2, lossless=True),
    GroupHeader(signals=3, size=(1, 1)),
    GroupHeader(signals=2, size=(9, 5), sizes=((9, 5), (3, 7)), codebooks=2, layers=(1, 1), names=("d/1.a", "d/2.a")),
]
WHOLE = written(HEADER, GROUPS)


# ---- golden files: any change of these bytes is a breaking change of the format ----

GOLDEN = {
    "v1-uniform-vectors": "2d9c0d821ae39de25300e2bcbf5513e4e05a26d2b7e7fdaff8f244db74919504",
    "v1-histogram-images": "469910af02fa0e8e58ab4ad5a852ce4bf4e160ecd1aaa6fb50c187ee353dbe1d",
    "v1-context-lossless": "39c9cad8a63304bd1d79358dab61510c5922034461235785d3301e7cabd718ee",
    "v1-empty": "19a17e0a1cb76c91e285f1845a41c6e52f01f453b1b7c1ae190d7a3dcf6f3f6c",
}
UNIFORM_VECTORS = """
    8f56514b0d0a1a0a 0001                                                 magic, version
    01 16 00 00 05 ac02 03 11111111111111111111111111111111 01246dec      FILE: flags, downsampling, channels, K, ...
    02 03 00 02 03 075fe2d6                                               GROUP: flags, signals, codebooks
    03 0a ea3ea07b 3f953d7ab358 91e66787                                  INDICES: CRC of the integers, data
    02 0c 01 01 01 08 c3a42f622e6e7079 d8d6e58e                           GROUP: names, one signal, one codebook, a name
    03 05 b74d7792 40 2830d778
    05 03 02 03 02 d1c75016                                               END: groups, signals, blocks
"""


@pytest.mark.parametrize("name", CASES)
def test_golden_files(name: str) -> None:
    data = (FOLDER / f"{name}.vqk").read_bytes()
    assert hashlib.sha256(data).hexdigest() == GOLDEN[name]
    verify(data, CASES[name])
    assert make(CASES[name]) == data


def test_every_golden_file_is_pinned() -> None:
    assert {path.stem for path in FOLDER.glob("*.vqk")} == set(GOLDEN) == set(CASES)


def test_the_golden_bytes_one_by_one() -> None:
    dump = "".join(line[:70] for line in UNIFORM_VECTORS.splitlines())
    assert (FOLDER / "v1-uniform-vectors.vqk").read_bytes().hex() == "".join(dump.split())


# ---- what is written is read ----


def factors(axes: int) -> st.SearchStrategy[int | tuple[int, ...]]:
    """A power of two, any one number, or one for each axis (several, not all the same)."""
    shared = st.integers(0, 16).map(lambda power: 2**power)
    if axes == 0:
        return shared
    own = st.tuples(*[st.integers(1, 2**16)] * axes)
    return shared | st.integers(1, 2**16) | own.map(lambda each: each if len(set(each)) > 1 else each[0])


@st.composite
def files(draw: st.DrawFn) -> tuple[FileHeader, list[GroupHeader]]:
    axes = draw(st.integers(0, 3))
    model = draw(st.sampled_from(["uniform", "histogram", "context"]))
    header = FileHeader(
        axes=axes,
        channels=draw(st.integers(1, 300)),
        codebook_size=draw(st.integers(1, 2**20)),
        num_codebooks=draw(st.integers(1, 4)),
        downsampling=draw(factors(axes)),
        tokenizer=draw(st.binary(min_size=16, max_size=16)),
        entropy_model=model,
        entropy_digest=b"" if model == "uniform" else b"e" * 16,
        pixel_digest=draw(st.sampled_from([b"", b"p" * 16])),
    )
    groups = []
    for _ in range(draw(st.integers(0, 3))):
        signals, codebooks = draw(st.integers(1, 3)), draw(st.integers(1, header.num_codebooks))
        size = tuple(draw(st.integers(1, 40)) for _ in range(axes))
        grid, layers = grid_of(size, header.downsampling), []
        while draw(st.booleans()) and sum(layers) < codebooks - 1:
            layers.append(1)
        if axes and draw(st.booleans()):
            sizes = (size, *draw(st.lists(st.tuples(*[st.integers(1, 40)] * axes), min_size=1, max_size=4)))
            named = draw(st.lists(st.text("aä1", min_size=1, max_size=4), min_size=5, max_size=5, unique=True))
            if len(set(sizes)) > 1:
                groups.append(
                    GroupHeader(
                        signals=len(sizes),
                        size=size,
                        sizes=sizes,
                        codebooks=codebooks,
                        layers=(*layers, codebooks - len(layers)) if layers else (),
                        names=tuple(named[: len(sizes)]) if draw(st.booleans()) else (),
                    )
                )
                continue
        cut = tuple(draw(st.integers(-(-length // 3), length)) for length in grid)
        groups.append(
            GroupHeader(
                signals=signals,
                size=size,
                codebooks=codebooks,
                layers=(*layers, codebooks - len(layers)) if layers else (),
                tile=cut if cut != grid else None,
                names=tuple(f"ordner/{number}ä" for number in range(signals)) if draw(st.booleans()) else (),
                lossless=bool(header.pixel_digest) and draw(st.booleans()),
            )
        )
    return header, groups


@settings(max_examples=150, deadline=None)
@given(files())
def test_what_is_written_is_read(file: tuple[FileHeader, list[GroupHeader]]) -> None:
    header, groups = file
    data = written(header, groups)
    found_header, found = content(data)
    assert found_header == header
    assert [group for group, _ in found] == groups
    again = io.BytesIO()
    with Writer(again, found_header) as writer:
        for group, blocks in found:
            writer.begin(group)
            for block in blocks:
                writer.block(block)
    assert again.getvalue() == data  # one file, one content: nothing can be written in two ways


class Trickle(io.RawIOBase):
    """Gives a byte or two at a time, as a pipe may; cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def read(self, size: int = -1) -> bytes:
        found, self._rest = self._rest[: min(size, 2)], self._rest[min(size, 2) :]
        return found


def test_a_pipe_is_enough_for_both() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as file, Writer(file, HEADER) as writer:
            for number, group in enumerate(GROUPS):
                writer.begin(group)
                for place in group.places(HEADER):
                    writer.block(Block(place=place, crc=number, data=b"x" * 40_000))

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb", buffering=0) as file:
        blocks = [block for group in Reader(file) for block in group]
    thread.join()
    assert len(blocks) == sum(len(list(group.places(HEADER))) for group in GROUPS)
    assert {len(block.data) for block in blocks} == {40_000}
    reader = Reader(Trickle(WHOLE))  # type: ignore[arg-type]
    assert [(group.header, list(group)) for group in reader] == content(WHOLE)[1]


def test_blocks_that_nobody_asks_for_are_verified_all_the_same() -> None:
    assert [group.number for group in Reader(io.BytesIO(WHOLE))] == [0, 1, 2, 3]
    place = WHOLE.index(b"ebooks")
    damaged = WHOLE[:place] + b"E" + WHOLE[place + 1 :]
    with pytest.raises(ChecksumError):
        list(Reader(io.BytesIO(damaged)))
    reader = Reader(io.BytesIO(damaged))
    with pytest.raises(ChecksumError):
        reader.finish()
    with pytest.raises(BitstreamError, match="failed before"):
        reader.finish()
    assert not reader.complete


def test_layers_can_be_left_out_without_decoding() -> None:
    header, groups = content(WHOLE)
    _, blocks = groups[0]
    fewer = GroupHeader(signals=2, size=(9, 20), codebooks=1, tile=(2, 3), names=("a", "b/c"))
    file = io.BytesIO()
    with Writer(file, header) as writer:
        writer.begin(fewer)
        for block in blocks:
            if block.place.first_codebook + block.place.codebooks <= fewer.codebooks:
                writer.block(block)
    (found, kept), *_ = content(file.getvalue())[1]
    assert found == fewer
    assert kept == [block for block in blocks if block.place.first_codebook == 0]


def test_small_files_are_small() -> None:
    header = FileHeader(axes=2, channels=3, codebook_size=1024, downsampling=4, tokenizer=b"t" * 16)
    for signals, overhead in ((1, 68), (64, 69)):
        file = io.BytesIO()
        with Writer(file, header) as writer:
            group = GroupHeader(signals=signals, size=(32, 32))
            writer.begin(group)
            for place in group.places(header):
                writer.block(Block(place=place, crc=0, data=b"x" * 60 * signals))
        assert len(file.getvalue()) - 60 * signals == overhead


# ---- damage ----


def refused(data: bytes) -> BitstreamError:
    """The error, which nothing precedes that is not in the whole file."""
    with pytest.raises(BitstreamError) as caught:
        content(data)
    return caught.value


def test_every_flipped_bit_is_noticed() -> None:
    for place in range(len(WHOLE)):
        for bit in range(8):
            refused(WHOLE[:place] + bytes([WHOLE[place] ^ 1 << bit]) + WHOLE[place + 1 :])


def test_every_truncation_is_noticed() -> None:
    for length in range(len(WHOLE)):
        error = refused(WHOLE[:length])
        assert isinstance(error, TruncatedFileError if length else NotAVqkFileError), length


def test_every_missing_or_additional_byte_is_noticed() -> None:
    for place in range(len(WHOLE) + 1):
        for more in (b"\0", b"\xff", WHOLE[place : place + 1]):
            if more:
                refused(WHOLE[:place] + more + WHOLE[place:])
        if place < len(WHOLE):
            refused(WHOLE[:place] + WHOLE[place + 1 :])
    assert "after its END section" in str(refused(WHOLE + b"\0"))
    refused(WHOLE + WHOLE)


def test_sections_removed_repeated_or_exchanged_are_noticed() -> None:
    parts = sections(WHOLE)
    assert b"".join(parts) == WHOLE
    for first in range(len(parts)):
        refused(b"".join(parts[:first] + parts[first + 1 :]))
        refused(b"".join(parts[: first + 1] + parts[first:]))
        for second in range(first):
            moved = parts.copy()
            moved[first], moved[second] = moved[second], moved[first]
            if moved != parts:
                refused(b"".join(moved))


def test_sections_of_another_file_are_noticed() -> None:
    other = written(
        HEADER, [GroupHeader(signals=2, size=(9, 20), codebooks=4, layers=(2, 2), tile=(2, 3)), *GROUPS[1:]]
    )
    ours, theirs = sections(WHOLE), sections(other)
    for cut in range(3, len(ours)):
        refused(b"".join(ours[:cut] + theirs[cut:]))
    for cut in range(3, len(ours)):
        refused(b"".join(ours[:cut] + sections(written(HEADER, []))[-1:]))


@settings(max_examples=300)
@given(st.data())
def test_any_damage_is_noticed(data: st.DataObject) -> None:
    found = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(found)))
        stop = data.draw(st.integers(start, min(len(found), start + 60)))
        new = data.draw(
            st.one_of(st.binary(max_size=40), st.just(bytes(WHOLE[10:70])), st.just(WHOLE[start:stop][::-1]))
        )
        found[start:stop] = new
    if found != WHOLE:
        refused(bytes(found))


@given(st.binary(max_size=60))
def test_noise_is_refused(data: bytes) -> None:
    refused(data)
    refused(MAGIC + b"\0\1" + data)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", NotAVqkFileError, "no .vqk file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), NotAVqkFileError, "no .vqk file"),
        (MAGIC[:5], TruncatedFileError, "cut short"),
        (WHOLE.replace(b"\r\n", b"\n"), NotAVqkFileError, "text or 7-bit mode"),
        (bytes(byte & 0x7F for byte in WHOLE), NotAVqkFileError, "text or 7-bit mode"),
        (MAGIC + b"\0\3" + WHOLE[10:], UnsupportedVersionError, "version 3"),
        (MAGIC + b"\1\0" + WHOLE[10:], UnsupportedVersionError, "version 256"),
    ],
)
def test_beginnings(data: bytes, error: type[BitstreamError], message: str) -> None:
    found = refused(data)
    assert type(found) is error
    assert message in str(found)


# ---- files made up, with checksums that hold ----

FILE = file_body(HEADER)
GROUP = group_body(GroupHeader(signals=1, size=(4, 4)), HEADER)
BLOCK = b"\0\0\0\0data"


def test_made_up_files_start_from_one_that_is_read() -> None:
    content(sealed((1, FILE), (2, GROUP), (3, BLOCK), (5, b"\1\1\1")))


@pytest.mark.parametrize(
    ("made_up", "message"),
    [
        ([(2, GROUP)], "first section is of type 2"),
        ([(1, FILE), (1, FILE)], "type 1 where a group or the end"),
        ([(1, FILE), (3, BLOCK)], "type 3 where a group or the end"),
        ([(1, FILE), (2, GROUP), (5, b"\1\1\0")], "type 5 where the indices"),
        ([(1, FILE), (2, GROUP), (2, GROUP)], "type 2 where the indices"),
        ([(1, FILE), (2, GROUP), (4, BLOCK)], "type 4 where the indices"),
        ([(1, FILE), (2, GROUP), (3, BLOCK), (3, BLOCK)], "type 3 where a group"),
        ([(1, FILE), (2, GROUP), (3, b"abc")], "block section ends"),
        ([(1, FILE), (2, GROUP), (3, BLOCK), (5, b"\1\1\2")], "END section says"),
        ([(1, FILE), (2, GROUP), (3, BLOCK), (5, b"\2\1\1")], "END section says"),
        ([(1, FILE), (2, GROUP), (3, BLOCK), (5, b"\1\0\1")], "END section says"),
        ([(1, FILE), (5, b"\0\0\0\0")], "1 bytes too many"),
        ([(1, FILE), (5, b"\0\0\x80\0")], "more bytes than it needs"),
        ([(1, FILE), (9, b"")], "type 9"),
        ([(1, FILE + b"\0")], "1 bytes too many"),
        ([(1, FILE[:-1])], "FILE section ends"),
        ([(1, b"\x20" + FILE[1:])], "does not know"),
        ([(1, b"\x0e" + FILE[1:])], "does not know"),
        ([(1, FILE[:1] + b"\x12" + FILE[2:])], "does not know"),
        ([(1, FILE[:2] + b"\0" + FILE[3:])], "channels 0"),
        ([(1, FILE[:2] + varint(2**16 + 1) + FILE[3:])], "channels 65537"),
        ([(1, FILE[:3] + b"\0" + FILE[4:])], "codebook_size 0"),
        ([(1, FILE[:3] + varint(2**20 + 1) + FILE[4:])], "codebook_size 1048577"),
        ([(1, FILE[:4] + varint(1025) + FILE[5:])], "num_codebooks 1025"),
        ([(1, FILE), (2, b"\x80" + GROUP[1:])], "where 1 more belong"),  # bounds, of which there are none
        ([(1, FILE), (2, b"\x42" + GROUP[1:])], "flags 0x42"),  # exact pixels, and gaps
        ([(1, FILE), (2, b"\x40" + GROUP[1:] + b"\0" * GROUP[1])], "says that there are gaps"),
        ([(1, FILE), (2, b"\x22\2\4\4\4\4\1")], "flags 0x22"),  # several sizes: lossless, tiled, going on
        ([(1, FILE), (2, b"\x24\2\4\4\4\4\1\1\1")], "flags 0x24"),
        ([(1, FILE), (2, b"\x30\2\4\4\4\4\1")], "flags 0x30"),
        ([(1, FILE), (2, b"\x20\2\4\4\0\0\1")], "2 sizes of 2 signals"),  # which are the same
        ([(1, FILE), (2, b"\x20\1\4\4\1")], "signals of several sizes=1"),
        ([(1, FILE), (2, b"\x20" + varint(2**12 + 1) + b"\4" * 100)], "signals 4097"),
        ([(1, FILE), (2, b"\x20\2\4\4\3\0\1")], "size (0, 2)"),
        ([(1, FILE), (2, b"\x20\2\4\4" + varint(2**25 - 2) + b"\0\1")], "size (16777217, 2)"),
        ([(1, FILE), (2, b"\x20\2\4\4" + varint(2**25 + 1) + b"\0\1")], "difference of sizes 33554433"),
        ([(1, FILE), (2, b"\x20\2\4\4\2\2")], "ends after"),
        ([(1, FILE), (2, b"\x21\2\4\4\2\2\1\0\0\1a\0\0\1a")], "more bytes than they need"),
        ([(1, FILE), (2, b"\x21\2\4\4\2\2\1\0\0\1a\1\0\0")], "1 different names"),
        ([(1, FILE), (2, b"\x21\2\4\4\2\2\1\0\0\1a\2\0\1b")], "a name's beginning 2"),
        ([(1, FILE), (2, b"\x21\2\4\4\2\2\1\0\0\1a\1\1\1b")], "a name's end 1"),
        ([(1, FILE), (2, b"\x21\2\4\4\2\2\1\0\0" + varint(1025) + b"a" * 1025)], "length of a name 1025"),
        ([(1, FILE), (2, b"\x21\2\4\4\2\2\1\0\0\1a\0\0\1\xff")], "not UTF-8"),
        ([(1, FILE), (2, b"\x21\2\4\4\2\2\1\0\0\1a\1\0\3/..")], "'..'"),
        ([(1, FILE), (2, b"\0\0\4\4\1")], "signals 0"),
        ([(1, FILE), (2, b"\0" + varint(2**20 + 1) + b"\4\4\1")], "signals 1048577"),
        ([(1, FILE), (2, b"\0\1\0\4\1")], "length in size 0"),
        ([(1, FILE), (2, b"\0\1" + varint(2**24 + 1) + b"\4\1")], "length in size 16777217"),
        ([(1, FILE), (2, b"\0\1\xff\xff\xff\xff\xff\xff\4\1")], "more than 5 bytes"),
        ([(1, FILE), (2, b"\0\1\4\4\0")], "codebooks 0"),
        ([(1, FILE), (2, b"\0\1\4\4\5")], "codebooks 5"),
        ([(1, FILE), (2, b"\0\1\4\4\1\1")], "too many"),
        ([(1, FILE), (2, b"\4\1\4\4\1\0\1")], "length in tile 0"),
        ([(1, FILE), (2, b"\4\1\4\4\1\1\2")], "length in tile 2"),
        ([(1, FILE), (2, b"\4\1\4\4\1\1\1")], "whole grid"),
        ([(1, FILE), (2, b"\x08\1\4\4\3\1\3")], "layers 1"),
        ([(1, FILE), (2, b"\x08\1\4\4\3\2\1\1")], "layers=(1, 1)"),
        ([(1, FILE), (2, b"\x08\1\4\4\3\2\0\3")], "codebooks of a layer 0"),
        ([(1, FILE), (2, b"\1\2\4\4\1\1a\1a")], "1 different names"),
        ([(1, FILE), (2, b"\1\1\4\4\1\1\xff")], "not UTF-8"),
        ([(1, FILE), (2, b"\1\1\4\4\1\0")], "length of a name 0"),
        ([(1, FILE), (2, b"\1\1\4\4\1" + varint(1025) + b"a" * 1025)], "length of a name 1025"),
        ([(1, FILE), (2, b"\1\1\4\4\1\x04../a")], "'..'"),
        ([(1, FILE[:-16].replace(b"\x12", b"\x02", 1)), (2, b"\2" + GROUP[1:])], "without pixel_digest"),
        ([(1, FILE), (2, b"\0" + varint(2**20) + varint(64) + varint(64) + b"\1")], "a block of 268435456 integers"),
        ([(1, FILE), (2, b"\2\1" + varint(2**13) + varint(2**13) + b"\1")], "a block of 201326592 integers"),
    ],
)
def test_made_up_files_are_refused(made_up: list[tuple[int, bytes]], message: str) -> None:
    assert message in str(refused(sealed(*made_up)))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 6), st.binary(max_size=40)), max_size=4), st.integers(0, 3))
def test_any_made_up_sections_are_read_or_refused(made_up: list[tuple[int, bytes]], begun: int) -> None:
    data = sealed(*[(1, FILE), (2, GROUP), (3, BLOCK)][:begun], *made_up)
    try:
        found = content(data)
    except BitstreamError:
        return
    assert found[0].axes in range(4)


def test_lengths_have_one_writing() -> None:
    crc = zlib.crc32(b"\5\x80\0", zlib.crc32(MAGIC + b"\0\1"))
    data = MAGIC + b"\0\1" + b"\5\x80\0" + crc.to_bytes(4, "big")
    assert "long-winded" in str(refused(data))
    assert "no length" in str(refused(MAGIC + b"\0\1" + b"\5" + b"\x80" * 9))


@pytest.mark.parametrize("length", [2**26, 2**26 + 1, 2**28 - 1])
def test_a_false_length_allocates_nothing(length: int, tmp_path: Path) -> None:
    path = tmp_path / "a.vqk"
    path.write_bytes(MAGIC + b"\0\1" + b"\1" + varint(length) + b"x" * 1000)
    tracemalloc.start()
    with path.open("rb") as file, pytest.raises(BitstreamError) as caught:
        Reader(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.type is (LimitError if length > 2**26 else TruncatedFileError)
    assert peak < 3_000_000  # one piece of a megabyte, and the file's buffer


def test_a_false_size_allocates_nothing() -> None:
    axis = varint(2**24)
    bodies = [
        b"\0\1" + axis + axis + b"\1",
        b"\4\1" + axis + axis + b"\1\1\1",  # tiles of one position: their list would be endless
        b"\0" + varint(2**20) + b"\1\1\1",
        b"\1" + varint(2**20) + b"\1\1\1\1a",
    ]
    for body in bodies:
        data = sealed((1, FILE), (2, body))
        tracemalloc.start()
        refused(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000, body


def test_limits_are_the_callers() -> None:
    group = GroupHeader(signals=4, size=(100, 100), tile=(8, 8))
    data = written(HEADER, [group])
    Reader(io.BytesIO(data), max_values=4 * 3 * 100 * 100).finish()
    with pytest.raises(LimitError, match="120000 values: at most 119999"):
        Reader(io.BytesIO(data), max_values=4 * 3 * 100 * 100 - 1).finish()
    with pytest.raises(LimitError, match="at most 36 are allowed here"):
        Reader(io.BytesIO(data), max_section_bytes=36)
    huge = sealed((1, FILE), (2, b"\4\1" + varint(2**14) + varint(2**14) + b"\1\1\1"))
    with pytest.raises(LimitError, match="raise max_values"):
        Reader(io.BytesIO(huge)).finish()


# ---- names, tiles, models, misuse ----


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "./a",
            "\\\\host\\a",
            "a\\b",
            "C:a",
            "c:/a",
            "a:b",
            "a\0b",
            "a\nb",
        ),
        *(
            "a\x7f",
            "a\x85",
            "a.",
            "a /b",
            "nul",
            "NUL.txt",
            "a/COM1",
            "lpt¹.x",
            "con .x",
            "\ud800",
            "x" * 1025,
            "ä" * 513,
        ),
    ],
)
def test_names_that_could_lead_elsewhere(name: str) -> None:
    with pytest.raises(ConfigError, match="are relative paths"):
        check_name(name)


@pytest.mark.parametrize(
    "name", ["a", "a/b.png", ".hidden", "..a", "a..b", "null", "console", "comb/1", "日本/ä.png", "x" * 1024]
)
def test_names_that_are_fine(name: str, tmp_path: Path) -> None:
    assert check_name(name) == name
    assert (tmp_path / name).resolve().is_relative_to(tmp_path.resolve())


@given(st.text(max_size=20))
def test_no_name_leads_out_of_a_folder(name: str) -> None:
    try:
        check_name(name)
    except ConfigError:
        return
    assert os.path.normpath(f"/x/{name}") == f"/x/{name}"


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 4)), max_size=3))
def test_tiles_cover_the_grid_and_the_pixels_once_and_in_order(axes: list[tuple[int, int, int]]) -> None:
    grid, tile = tuple(axis[0] for axis in axes), tuple(axis[1] for axis in axes)
    size = tuple(4 * axis[0] - axis[2] + 1 for axis in axes)
    assert grid_of(size, 4) == grid
    seen, covered, order = np.zeros(grid, dtype=int), np.zeros(size, dtype=int), []
    for part in tiles(grid, tile):
        seen[part] += 1
        covered[pixels(part, size, 4)] += 1
        order.append(tuple(axis.start for axis in part))
    assert (seen == 1).all()
    assert (covered == 1).all()
    assert order == sorted(order)


def test_tiles_need_lengths() -> None:
    for grid, tile in (((3,), (0,)), ((0,), (1,)), ((3, 3), (1,))):
        with pytest.raises(ConfigError, match="in tiles"):
            list(tiles(grid, tile))


def test_models_and_integers_are_compared() -> None:
    check_model("tokenizer", b"a" * 16, b"a" * 16)
    with pytest.raises(WrongModelError, match="made with the tokenizer 6161"):
        check_model("tokenizer", b"a" * 16, b"b" * 16)
    integers = np.arange(24).reshape(2, 3, 4)
    assert integers_crc(integers) == zlib.crc32(b"".join(int(each).to_bytes(4, "big") for each in range(24)))
    assert integers_crc(integers.T.copy().T) == integers_crc(integers.astype(np.uint8)) == integers_crc(integers)
    block = Block(place=next(GROUPS[0].places(HEADER)), crc=integers_crc(integers), data=b"")
    block.check(integers)
    with pytest.raises(WrongModelError, match="computes otherwise"):
        block.check(integers + 1)


def test_digests() -> None:
    whole = hashlib.sha256(b"model")
    assert digest(whole.hexdigest()) == digest(whole.digest()) == whole.digest()[:16]
    for wrong in ("zz", "ab", b"ab"):
        with pytest.raises(ConfigError, match="no SHA-256"):
            digest(wrong)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"axes": 4}, "axes=4"),
        ({"channels": 0}, "channels=0"),
        ({"codebook_size": 2**20 + 1}, "codebook_size=1048577"),
        ({"num_codebooks": 0}, "num_codebooks=0"),
        ({"downsampling": (3, 4, 5)}, "one for each axis"),
        ({"downsampling": (0, 4)}, "downsampling=0"),
        ({"downsampling": 3, "axes": 0}, "downsampling=3"),
        ({"tokenizer": b"short"}, "tokenizer of 5 bytes"),
        ({"entropy_model": "magic"}, "entropy_model='magic'"),
        ({"entropy_model": "context"}, "entropy_digest of 0 bytes"),
        ({"entropy_digest": b"e" * 16}, "entropy_digest of 16 bytes"),
    ],
)
def test_headers_out_of_range(changed: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FileHeader(**{"axes": 2, "channels": 3, "codebook_size": 64, "tokenizer": b"t" * 16, **changed})


def test_the_writer_keeps_the_order() -> None:
    writer = Writer(io.BytesIO(), HEADER)
    first, second, *_ = places = list(GROUPS[0].places(HEADER))
    with pytest.raises(ConfigError, match="no block is next"):
        writer.block(Block(place=first, crc=0, data=b""))
    writer.begin(GROUPS[0])
    with pytest.raises(ConfigError, match="keep the order"):
        writer.block(Block(place=second, crc=0, data=b""))
    for what in (writer.finish, lambda: writer.begin(GROUPS[1])):
        with pytest.raises(ConfigError, match="is missing"):
            what()
    for place in places:
        writer.block(Block(place=place, crc=0, data=b""))
    for group in (
        GroupHeader(signals=1, size=(4,)),
        GroupHeader(signals=1, size=(4, 4), codebooks=5),
        GroupHeader(signals=2**20, size=(2**24, 2**24), tile=(9, 9)),
    ):
        with pytest.raises(ConfigError):
            writer.begin(group)
    writer.finish()
    with pytest.raises(ConfigError, match="finished"):
        writer.begin(GROUPS[0])


def test_a_section_can_be_too_long_to_write() -> None:
    with pytest.raises(ConfigError, match="at most 67108864"):
        SectionWriter(io.BytesIO()).write(3, bytes(2**26 + 1))


def test_an_exception_leaves_a_file_without_an_end() -> None:
    file = io.BytesIO()
    with pytest.raises(RuntimeError), Writer(file, HEADER):
        raise RuntimeError
    assert type(refused(file.getvalue())) is TruncatedFileError


@given(st.integers(0, 2**35 - 1))
def test_varints(value: int) -> None:
    raw = varint(value)
    assert len(raw) == max(1, -(-value.bit_length() // 7))
    fields = Fields(raw + b"rest", "TEST")
    assert fields.varint("value", 0, 2**35) == value
    assert fields.rest() == b"rest"


def test_sections_say_where_they_are() -> None:
    reader = SectionReader(io.BytesIO(WHOLE))
    for part in sections(WHOLE)[1:]:
        before = reader.place
        reader.read()
        assert reader.place - before == len(part)
    reader.end()
