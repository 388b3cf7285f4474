"""Long sounds in files: coded, decoded, tokenized and judged part by part, with the numbers of the whole."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from vqkit.codec import Compressor, Decompressor, RateController, Signal, entropy_model
from vqkit.codec.inspect import inspect_file
from vqkit.coding import GroupHeader, Writer
from vqkit.data import long_items
from vqkit.data.long_items import LongItem
from vqkit.errors import BitstreamError, ConfigError, TruncatedFileError

LENGTH = 12_011


def model(*, causal: bool, codebooks: int = 1, **more: Any) -> vqkit.VQVAE:
    torch.manual_seed(0)
    net = {"type": "seanet", "config": {"strides": [2, 5], "hidden_channels": 4, "causal": causal}}
    more |= {"num_codebooks": codebooks, "stacking": "residual"} if codebooks > 1 else {}
    return vqkit.VQVAE(16, axes=1, channels=1, code_dim=4, encoder=net, decoder=net, kind="sound@8000", **more).eval()


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One sound that counts as long, cut into groups of at most 3,003 samples and tiles of 120 positions."""
    monkeypatch.setattr(long_items, "LONG", 3000)
    monkeypatch.setattr("vqkit.tokens.detokenization.LONG", 3000)
    monkeypatch.setattr("vqkit.codec.limits.MAX_LENGTH", 3003)
    monkeypatch.setattr("vqkit.codec.limits._TILE_PIXELS", {1: 1200})
    for name in ("codec.joining._TOGETHER", "models.streams.long_signals._PIECE"):
        monkeypatch.setattr(f"vqkit.{name}", 834)
    waves = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 1, LENGTH)).astype(np.float32)
    return vqkit.load_source(waves, kind="sound@8000")


def written(tokenizer: vqkit.VQVAE, values: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    Compressor(tokenizer, **options).write(file, [Signal(values, "long.wav")])
    return file.getvalue()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("codebooks", [1, 3])
def test_parts_are_those_of_the_whole(source: Any, causal: bool, codebooks: int) -> None:
    tokenizer = model(causal=causal, codebooks=codebooks)
    whole = torch.from_numpy(source.read(0))[None]
    data = written(tokenizer, LongItem(source, 0))
    assert data == written(tokenizer, whole[0].numpy())
    (found,) = Decompressor(tokenizer, fast=True).read(io.BytesIO(data))
    expected = tokenizer.encode(whole).view(-1, codebooks)
    assert found.name == "long.wav"
    assert torch.equal(found.indices.long(), expected)
    assert torch.equal(found.values, tokenizer.reconstruct(whole)[0])
    about = inspect_file(io.BytesIO(data))
    assert (about.signals, about.group_count, about.pixels) == (1, 6, LENGTH)
    assert [group.header.goes_on for group in about.groups] == [True] * 5 + [False]


def test_parts_are_decoded_under_the_condition_of_the_decoder(source: Any) -> None:
    tokenizer = model(causal=True, classes=2, class_names=["anna", "ben"])
    whole = torch.from_numpy(source.read(0))[None]
    data = written(tokenizer, LongItem(source, 0))
    (found,) = Decompressor(tokenizer, fast=True, condition="ben").read(io.BytesIO(data))
    assert torch.equal(found.values, tokenizer.reconstruct(whole, "ben")[0])


def test_tokens_evaluation_and_decoding_of_long_sounds(source: Any, tmp_path: Any) -> None:
    tokenizer = model(causal=False, codebooks=2)
    whole = torch.from_numpy(source.read(0))[None]
    tokens = vqkit.tokenize(tokenizer, source, tmp_path / "tokens")
    assert np.array_equal(tokens[0], tokenizer.encode(whole)[0].numpy())
    judged = vqkit.evaluate(tokenizer, source)
    error = (tokenizer.reconstruct(whole) - whole).square().mean()
    assert judged.mse == pytest.approx(float(error), rel=1e-5)
    assert judged.positions == tokens[0].size
    from vqkit.tokens import detokenize

    detokenize(tokenizer, tokens, tmp_path / "decoded")
    kind = tokenizer.kind
    kind.write(tokenizer.reconstruct(whole)[0].numpy(), tmp_path / "expected.wav", made="decoded")
    assert (tmp_path / "decoded" / "000000.wav").read_bytes() == (tmp_path / "expected.wav").read_bytes()


def test_a_file_that_was_cut_gives_what_was_whole(source: Any) -> None:
    tokenizer = model(causal=True)
    data = written(tokenizer, LongItem(source, 0))
    whole = tokenizer.reconstruct(torch.from_numpy(source.read(0))[None])[0]
    lengths = []
    for end in (len(data) - 1, len(data) * 2 // 3, len(data) // 3):
        pieces: list[torch.Tensor] = []
        found = (piece.values for piece in Decompressor(tokenizer, fast=True).pieces(io.BytesIO(data[:end])))
        with pytest.raises(TruncatedFileError):
            pieces.extend(found)
        joined = torch.cat(pieces, dim=1)
        assert torch.equal(joined, whole[:, : joined.shape[1]])
        lengths.append(joined.shape[1])
    assert lengths[0] == LENGTH
    assert all(more > less > 0 for more, less in pairwise(lengths))


def test_a_rate_is_met_and_an_interrupted_compression_goes_on(source: Any, tmp_path: Any) -> None:
    from vqkit.codec.resuming.file import going_on

    tokenizer = model(causal=True, codebooks=3)
    entropy = entropy_model(None, 16)
    report = Compressor(tokenizer, search=RateController(tokenizer, entropy, 0.9)).write(
        io.BytesIO(), [Signal(LongItem(source, 0))]
    )
    assert 8 * report.index_bytes / LENGTH <= 0.9
    plain = written(tokenizer, LongItem(source, 0))

    def stopped(done: int) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "a.vqk"
    writer = Compressor(tokenizer)
    with pytest.raises(KeyboardInterrupt), going_on(writer, out):
        writer.write(io.BytesIO(), [Signal(LongItem(source, 0), "long.wav")], progress=stopped)
    file = io.BytesIO()
    with going_on(writer, out) as memory:
        writer.write(file, [Signal(LongItem(source, 0), "long.wav")])
    assert file.getvalue() == plain
    assert (memory.made, memory.found > 0) == (0, True)


@pytest.mark.parametrize("wrong", ["end", "names", "signals", "partial"])
def test_signals_that_go_on_wrongly_are_refused(source: Any, wrong: str) -> None:
    tokenizer = model(causal=True)
    header = Compressor(tokenizer).header
    writer = Writer(io.BytesIO(), header)
    if wrong == "partial":
        with pytest.raises(ConfigError, match="whole positions"):
            writer.begin(GroupHeader(signals=1, size=(15,), goes_on=True))
        return
    writer.begin(GroupHeader(signals=1, size=(20,), goes_on=True))
    writer._places, writer._next = iter(()), None  # as if its block had been written
    if wrong == "end":
        with pytest.raises(ConfigError, match="middle of a signal"):
            writer.finish()
    else:
        more: dict[str, Any] = {"names": ("a",)} if wrong == "names" else {}
        with pytest.raises(ConfigError, match="goes on"):
            writer.begin(GroupHeader(signals=2 if wrong == "signals" else 1, size=(20,), **more))


def test_a_reader_refuses_an_end_in_the_middle(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = model(causal=True)
    monkeypatch.setattr("vqkit.coding.container.GroupHeader.check_after", lambda *_: None)
    data = written(tokenizer, source.read(0)[:, :3000])
    assert len(list(Decompressor(tokenizer).read(io.BytesIO(data)))) == 1
    flipped = _as_going_on(data)
    with pytest.raises(BitstreamError, match="middle of a signal"):
        list(Decompressor(tokenizer).read(io.BytesIO(flipped)))


def _as_going_on(data: bytes) -> bytes:
    """The same file, its last group marked as one that goes on, with checksums that hold."""
    from vqkit.coding.sections import SectionReader, SectionWriter

    reader, out = SectionReader(io.BytesIO(data)), io.BytesIO()
    sections = []
    while not sections or sections[-1][0] != 5:
        sections.append(reader.read())
    last = max(number for number, (kind, _) in enumerate(sections) if kind == 2)
    writer = SectionWriter(out)
    for number, (kind, body) in enumerate(sections):
        writer.write(kind, bytes([body[0] | 16]) + body[1:] if number == last else body)
    return out.getvalue()
