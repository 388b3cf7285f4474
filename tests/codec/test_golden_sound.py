"""A file of sounds and its model, as a released version wrote them; and what becomes of it when it is damaged."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.make_sound import SOUND
from tests.reference import vqk_reader as reference
from vqkit.codec import Decompressor, entropy_model
from vqkit.codec.inspect import inspect_file
from vqkit.coding.sections import SectionReader, SectionWriter
from vqkit.errors import BitstreamError
from vqkit.models import VQVAE
from vqkit.pretrained.folder import content_hash
from vqkit.priors import HistogramPrior

DATA, MIXED = ((SOUND / f"{name}.vqk").read_bytes() for name in ("sound", "mixed"))


@pytest.fixture(scope="module")
def reader() -> Decompressor:
    model = VQVAE.from_pretrained(SOUND / "tokenizer").eval()
    return Decompressor(model, entropy_model(HistogramPrior.from_pretrained(SOUND / "histogram"), 12))


def test_the_kept_file_is_read(reader: Decompressor) -> None:
    pinned = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in sorted(SOUND.glob("sound.*"))}
    assert pinned == {
        "sound.indices.npy": "e8786f95d3b6a8ff47c171ccd1fdf086",
        "sound.samples.npy": "ecc37baaece3971467819b717187927d",
        "sound.vqk": "4416346af0a529aab25734bd3dd0394f",
    }
    assert content_hash(reader.model) == "86529ce4888a9f8d4d66a3b9e1ee4647107ce3decfd968151bc8431fae0cc8c1"
    found = list(reader.read(io.BytesIO(DATA)))
    assert [each.name for each in found] == ["talk/one.flac", "two.wav", "long.wav"]
    assert [tuple(each.values.shape) for each in found] == [(2, 37), (2, 1), (2, 121)]
    indices = torch.cat([each.indices.flatten() for each in found])
    assert indices.tolist() == np.load(SOUND / "sound.indices.npy").tolist()
    samples = np.load(SOUND / "sound.samples.npy")
    values = torch.cat([each.values for each in found], dim=1).T
    assert abs(values.clamp(-1, 1) * 32767 - torch.from_numpy(samples)).max() <= 0.6


def test_a_reader_written_from_the_page_reads_it() -> None:
    _, groups = reference.read(DATA, reference.histogram(SOUND / "histogram"))
    assert [group.goes_on for group in groups] == [False, False, True, False]
    flat = [at for group in groups for own in group.indices for at in (own[place] for place in sorted(own))]
    assert [index for position in flat for index in position] == np.load(SOUND / "sound.indices.npy").tolist()


def test_the_kept_file_of_several_sizes_in_a_group_is_read(reader: Decompressor) -> None:
    pinned = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in sorted(SOUND.glob("mixed.*"))}
    assert pinned == {
        "mixed.indices.npy": "dd476646802a1847b6abd1cb87ab8a18",
        "mixed.samples.npy": "fb094c82c479e003598ca836db1f1e8e",
        "mixed.vqk": "5153ce22b59578c906a99f01f946bd70",
    }
    found = list(reader.read(io.BytesIO(MIXED)))
    names = ["talk/001.wav", "talk/002.wav", "talk/003.flac", "tälk/003.flac", "z", None]
    assert [each.name for each in found] == names
    assert [tuple(each.values.shape) for each in found] == [(2, size) for size in (37, 90, 90, 1, 42, 5)]
    indices = torch.cat([each.indices.flatten() for each in found])
    assert indices.tolist() == np.load(SOUND / "mixed.indices.npy").tolist()
    samples = np.load(SOUND / "mixed.samples.npy")
    values = torch.cat([each.values for each in found], dim=1).T
    assert abs(values.clamp(-1, 1) * 32767 - torch.from_numpy(samples)).max() <= 0.6
    _, groups = reference.read(MIXED, reference.histogram(SOUND / "histogram"))
    assert [group.signals for group in groups] == [1, 2, 1, 1, 1]
    assert [name for group in groups for name in group.names] == names[:-1]
    flat = [own[place] for group in groups for own in group.indices for place in sorted(own)]
    assert [index for position in flat for index in position] == indices.tolist()
    about = inspect_file(io.BytesIO(MIXED))
    assert (about.group_count, about.signals, about.pixels, about.values) == (2, 6, 265, 530)
    assert about.nominal_bits == 4 * 2 * sum(-(-size // 4) for size in (37, 90, 90, 1, 42, 5))
    assert about.lines(1)[-2].startswith("  group 0: 5 of 4 sizes, from 37, 2 codebooks, 2 blocks")


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_damage_is_a_typed_error(reader: Decompressor, draw: st.DataObject) -> None:
    data = bytearray(draw.draw(st.sampled_from([DATA, MIXED])))
    if draw.draw(st.booleans()):
        del data[draw.draw(st.integers(0, len(data) - 1)) :]
    else:
        data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(BitstreamError):
        list(reader.pieces(io.BytesIO(bytes(data))))


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_sections_that_are_made_up_are_read_or_refused(reader: Decompressor, draw: st.DataObject) -> None:
    """With checksums that hold: bytes of bodies changed, sections left out or repeated."""
    source, sections = SectionReader(io.BytesIO(draw.draw(st.sampled_from([DATA, MIXED])))), []
    while not sections or sections[-1][0] != 5:
        sections.append(source.read())
    order = list(range(len(sections)))
    where = draw.draw(st.integers(0, len(order) - 1))
    change = draw.draw(st.sampled_from(["leave", "repeat", "byte"]))
    if change == "leave":
        del order[where]
    elif change == "repeat":
        order.insert(where, where)
    out = io.BytesIO()
    writer = SectionWriter(out)
    for place in order:
        kind, body = sections[place]
        if change == "byte" and place == where and body:
            at = draw.draw(st.integers(0, len(body) - 1))
            body = body[:at] + bytes([body[at] ^ draw.draw(st.integers(1, 255))]) + body[at + 1 :]
        writer.write(kind, body)
    try:
        inspect_file(io.BytesIO(out.getvalue()))
        list(reader.pieces(io.BytesIO(out.getvalue())))
    except BitstreamError:
        pass
