"""Archives: what was added is found, and whatever interrupts an addition, all of it counts or nothing does."""

from __future__ import annotations

import io
import itertools
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqkit.coding import Block, FileHeader, GroupHeader, Reader, Writer
from vqkit.coding.archive.access import IndexedAccess, open_access
from vqkit.coding.archive.commits import TIER, Commit, Part, merged
from vqkit.coding.archive.pages import PAGE_NAMES, PAGE_PLACES, name_hash
from vqkit.coding.archive.slots import SLOT_BYTES, Slot, newest_slot, read_slots
from vqkit.coding.archive.writer import ArchiveWriter
from vqkit.errors import BitstreamError, ChecksumError, ConfigError, TruncatedFileError
from vqkit.storage.growing import GrowingFile

HEADER = FileHeader(axes=2, channels=3, codebook_size=16, downsampling=4, tokenizer=b"t" * 16)


def put(writer: Any, *names: str | None, size: tuple[int, int] = (8, 8)) -> None:
    """Add a group of signals, whose block says their names."""
    known = tuple(name for name in names if name is not None)
    about = GroupHeader(signals=len(names), size=size, names=known)
    writer.begin(about)
    for place in about.places(HEADER):
        writer.block(Block(place=place, crc=7, data=repr(names).encode() + b"."))


def begun(path: Path, *groups: tuple[str | None, ...]) -> Path:
    path.touch()
    with GrowingFile(path, 0) as file:
        writer = ArchiveWriter(file, HEADER)
        for each in groups:
            put(writer, *each)
        writer.finish()
    return path


def added(path: Path, *groups: tuple[str | None, ...]) -> None:
    with path.open("rb") as known:
        length = open_access(known).state.slot.length  # type: ignore[union-attr]
    with GrowingFile(path, length) as file:
        writer = ArchiveWriter(file)
        for each in groups:
            put(writer, *each)
        writer.finish()


def content(data: bytes) -> list[tuple[tuple[str, ...], bytes]]:
    """Names and bytes of all groups, read front to back and verified."""
    reader = Reader(io.BytesIO(data))
    found = [(group.header.names, b"".join(block.data for block in group)) for group in reader]
    assert reader.complete
    return found


def found_in(path: Path, name: str) -> list[int]:
    with path.open("rb") as file:
        return list(open_access(file).numbers(name))


@settings(deadline=None, max_examples=40)
@given(
    splits=st.lists(st.lists(st.integers(1, 5), max_size=6), min_size=1, max_size=9),
    unnamed=st.sets(st.integers(0, 40)),
)
def test_any_split_of_additions_holds_and_finds_the_same(
    tmp_path_factory: pytest.TempPathFactory, splits: list[list[int]], unnamed: set[int]
) -> None:
    path = tmp_path_factory.mktemp("archive") / "a.vqk"
    numbers = itertools.count()
    groups: list[list[tuple[str | None, ...]]] = []
    for split in splits:
        groups.append([])
        for count in split:
            own = [next(numbers) for _ in range(count)]
            named = not unnamed.intersection(own)
            groups[-1].append(tuple(f"{number}.png" if named else None for number in own))
    begun(path, *groups[0])
    for each in groups[1:]:
        added(path, *each)
    flat = [each for split in groups for each in split]
    plain = io.BytesIO()
    with Writer(plain, HEADER) as writer:
        for one in flat:
            put(writer, *one)
    assert content(path.read_bytes()) == content(plain.getvalue())
    with path.open("rb") as file:
        grown, scanned = open_access(file), open_access(io.BytesIO(plain.getvalue()))
        assert isinstance(grown, IndexedAccess)
        assert grown.signals == scanned.signals == sum(map(len, flat))
        number = 0
        for one in flat:
            for own, name in enumerate(one):
                place, within = grown.place(number)
                assert within == own == scanned.place(number)[1]
                assert grown.group_header(place) == scanned.group_header(scanned.place(number)[0])
                if name is not None:
                    assert list(grown.numbers(name)) == list(scanned.numbers(name)) == [number]
                number += 1
        assert list(grown.numbers("nothing.png")) == []


def test_many_pages_are_searched(tmp_path: Path) -> None:
    count = 2 * PAGE_PLACES + 3
    assert count > 2 * PAGE_NAMES
    path = begun(tmp_path / "a.vqk", *((f"{number}.png",) for number in range(count)))
    with path.open("rb") as file:
        access = open_access(file)
        for number in range(count):
            assert list(access.numbers(f"{number}.png")) == [number]
        assert not any(list(access.numbers(f"{number}.jpg")) for number in range(300))


def test_names_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for where in ("access", "writer"):
        monkeypatch.setattr(f"vqkit.coding.archive.{where}.name_hash", lambda name: len(name))
    names = [f"{number:04d}" for number in range(PAGE_NAMES + 20)]
    path = begun(tmp_path / "a.vqk", *((name,) for name in names))
    assert found_in(path, "0003") == [3]
    assert found_in(path, names[-1]) == [len(names) - 1]
    assert found_in(path, "9999") == []


@given(st.lists(st.integers(1, 300), min_size=1, max_size=300))
def test_the_index_has_few_parts_and_each_entry_is_written_few_times(additions: list[int]) -> None:
    sizes: list[int] = []
    written = 0
    for count in additions:
        sizes.append(count)
        last = merged(sizes)
        sizes[len(sizes) - last :] = [sum(sizes[len(sizes) - last :])]
        written += sizes[-1]
        tiers = 1 + int(np.log(sum(sizes)) / np.log(TIER))
        assert len(sizes) <= (TIER - 1) * (tiers + 1)
    assert written <= sum(additions) * (tiers + 1)


def test_what_is_added_costs_no_more_where_much_is_there(tmp_path: Path) -> None:
    def reads(count: int) -> int:
        """Bytes that an addition reads and writes, and a search reads."""
        path = begun(tmp_path / f"{count}.vqk", *((f"{number}.png",) for number in range(count)))
        with path.open("rb") as known:
            length = open_access(known).state.slot.length  # type: ignore[union-attr]
        with GrowingFile(path, length) as file:
            counting = Counting(file)
            writer = ArchiveWriter(counting)
            put(writer, "new.png")
            writer.finish()
        return counting.moved

    assert reads(4000) < reads(40) + 200


class Counting:
    """A growing file that counts the bytes that are moved."""

    def __init__(self, file: GrowingFile) -> None:
        self._file, self.moved = file, 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.moved += len(data)
        return data

    def write(self, data: bytes) -> int:
        self.moved += len(data)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Log:
    """A growing file in memory that knows every write in its order."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place, self.writes = bytearray(data), 0, list[tuple[int, bytes]]()

    def write(self, data: bytes) -> int:
        self.writes.append((len(self.data), bytes(data)))
        self.data += data
        return len(data)

    def overwrite(self, place: int, data: bytes) -> None:
        self.writes.append((place, bytes(data)))
        self.data[place : place + len(data)] = data

    def flush(self) -> None:
        pass

    def cut(self, length: int) -> None:
        del self.data[length:]

    def read(self, size: int = -1) -> bytes:
        found = bytes(self.data[self.place : self.place + size if size >= 0 else None])
        self.place += len(found)
        return found

    def seek(self, place: int, whence: int = 0) -> int:
        self.place = place + (0, self.place, len(self.data))[whence]
        return self.place


def test_cut_at_any_byte_of_what_is_written_it_is_as_before_or_as_after(tmp_path: Path) -> None:
    path = begun(tmp_path / "a.vqk", ("a",), ("b", "c"))
    added(path, ("d",))
    before = path.read_bytes()
    log = Log(before)
    writer = ArchiveWriter(log)
    put(writer, "e")
    put(writer, "f", "g")
    writer.finish()
    old, new = content(before), content(bytes(log.data))
    assert len(new) == len(old) + 2
    data, states = bytearray(before), []
    for place, written in log.writes:
        for length in range(len(written) + 1):
            now = bytearray(data)
            now[place : place + length] = written[:length]
            got = content(bytes(now))
            assert got in (old, new)
            states.append(got == new)
            access = open_access(io.BytesIO(bytes(now)))
            assert [bool(list(access.numbers(name))) for name in "dg"] == [True, got == new]
            if length % 5 == 0:  # and the next addition, to whatever is there, is right and mends it
                again = Log(bytes(now))
                writer = ArchiveWriter(again)
                put(writer, "h")
                writer.finish()
                assert content(bytes(again.data))[: len(got)] == got
                assert len(content(bytes(again.data))) == len(got) + 1
                assert len(set(read_slots(bytes(again.data[10:])))) == 1
        data[place : place + len(written)] = written
    assert states == sorted(states), "once it is there it stays"
    assert not states[0]
    assert states[-1]


def test_a_second_cut_after_a_first_keeps_what_the_first_had(tmp_path: Path) -> None:
    """Where one slot is torn or older, the next addition writes that one first."""
    path = begun(tmp_path / "a.vqk", ("a",))
    for torn in (0, 1):
        log = Log(path.read_bytes())
        writer = ArchiveWriter(log)
        put(writer, "b")
        writer.finish()
        data = bytearray(log.data)
        data[10 + SLOT_BYTES * torn] ^= 255
        assert len(content(bytes(data))) == 2
        again = Log(bytes(data))
        writer = ArchiveWriter(again)
        put(writer, "c")
        writer.finish()
        now = bytearray(data)
        for place, written in again.writes:
            for length in range(len(written) + 1):
                cut = bytearray(now)
                cut[place : place + length] = written[:length]
                assert len(content(bytes(cut))) in (2, 3)
            now[place : place + len(written)] = written


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_killed_at_any_moment_it_is_as_before_or_as_after(tmp_path: Path) -> None:
    path = begun(tmp_path / "a.vqk", ("first",))
    chance = random.Random(0)
    seen = set()
    for turn in range(20):
        before = content(path.read_bytes())
        names = [(f"{turn}-{number}",) for number in range(200)]
        child = os.fork()
        if not child:
            added(path, *names)
            os._exit(0)
        time.sleep(chance.random() * 0.12)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        after = content(path.read_bytes())
        assert len(after) - len(before) in (0, 200)
        assert after[: len(before)] == before
        seen.add(len(after) - len(before))
    added(path, ("last",))
    assert content(path.read_bytes())[-1][0] == ("last",)
    assert seen, "some ended"


def test_a_full_disk_leaves_it_as_before(tmp_path: Path) -> None:
    path = begun(tmp_path / "a.vqk", ("a",))
    before = path.read_bytes()

    class Full(Log):
        def overwrite(self, place: int, data: bytes) -> None:
            raise OSError(28, "No space left on device", str(path))

    log = Full(before)
    writer = ArchiveWriter(log)
    put(writer, "b")
    with pytest.raises(OSError, match="No space left"):
        writer.finish()
    writer.cancel()
    assert bytes(log.data) == before


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_damage_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = begun(tmp_path_factory.mktemp("archive") / "a.vqk", ("a",), ("b",))
    added(path, ("c",))
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    if 10 <= place < 10 + 2 * SLOT_BYTES:  # the other slot says the same
        assert len(content(bytes(whole))) == 3
        return
    with pytest.raises(BitstreamError):
        content(bytes(whole))


@given(st.integers(0, 2**31))
def test_cut_short_it_is_refused(cut: int) -> None:
    whole = bytes(archive_of_three().data)
    with pytest.raises(BitstreamError):
        content(whole[: cut % len(whole)])
    with pytest.raises((TruncatedFileError, BitstreamError)):
        open_access(io.BytesIO(whole[: cut % len(whole)]))


def archive_of_three() -> Log:
    log = Log(b"")
    writer = ArchiveWriter(log, HEADER)
    put(writer, "a", "b")
    put(writer, "c")
    writer.finish()
    return log


def test_both_slots_damaged_is_damage() -> None:
    data = archive_of_three().data
    data[12] ^= 1
    data[12 + SLOT_BYTES] ^= 1
    with pytest.raises(ChecksumError, match="neither slot"):
        open_access(io.BytesIO(bytes(data)))


def test_slots_and_commits_are_read_as_they_were_written() -> None:
    slot = Slot(3, 5_000_000_000, 77)
    assert Slot.read(slot.data) == slot
    assert Slot.read(bytes(SLOT_BYTES)) is None
    assert newest_slot(slot.data + Slot(4, 1, 1).data) == Slot(4, 1, 1)
    commit = Commit(3, 7, 9, (Part(5, 0, 1 << 40), Part(2, 2, 17)))
    assert Commit.read(commit.body) == commit
    with pytest.raises(BitstreamError, match="parts of its index have 5 signals"):
        Commit.read(Commit(3, 7, 9, (Part(5, 0, 4),)).body)


def test_a_signal_is_not_committed_by_halves() -> None:
    header = FileHeader(axes=1, channels=1, codebook_size=16, downsampling=4, tokenizer=b"t" * 16)
    log = Log(b"")
    writer = ArchiveWriter(log, header)
    parts = [GroupHeader(signals=1, size=(8,), names=("long",), goes_on=True), GroupHeader(signals=1, size=(5,))]
    for about in parts:
        writer.begin(about)
        for place in about.places(header):
            writer.block(Block(place=place, crc=1, data=b"x"))
        if about.goes_on:
            with pytest.raises(ConfigError, match="in the middle of a signal"):
                writer.finish()
    writer.finish()
    access = open_access(io.BytesIO(bytes(log.data)))
    assert access.signals == 1
    assert [group.header.size for group in access.groups(access.place(0)[0])] == [(8,), (5,)]


def test_the_hash_of_a_name_is_as_it_is_written() -> None:
    assert name_hash("a.png") == 0x9B9AF3A1D92E0E9B or name_hash("a.png") > 0
