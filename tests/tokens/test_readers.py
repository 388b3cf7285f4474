"""The readers of other programs read the shards: what they give is what the model encoded.

datatrove and webdataset are in the extra ``dev``; without them their tests are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from tests.tokens.test_by_content import data, ragged, tiny
from vqkit import tokenize
from vqkit.tokens import Layout, Tokens, load_tokens

FRAMED = Layout(vocab_offset=100, bos=1, begin=2, end=3, eos=4)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # no power fails here, and disks are slow


def made(kind: str, layout: Layout = FRAMED, source: Any = None, **options: Any) -> tuple[Tokens, list[list[int]]]:
    """Return tokens on the disk, and the sequences that should be in them, made here by hand."""
    source = data(labels=np.arange(24) % 3) if source is None else source
    tokens = tokenize(tiny(), source, Path(kind), kind=kind, shard_items=10, layout=layout, **options)
    head = [each for each in (layout.bos, layout.begin) if each is not None]
    tail = [each for each in (layout.end, layout.eos) if each is not None]
    wanted = []
    for index in range(len(source)):
        codes = tiny().encode(torch.from_numpy(source.read(index))[None])[0].flatten() + layout.vocab_offset
        wanted.append([*head, *codes.tolist(), *tail])
    return tokens, wanted


def test_nanogpt_reads_bin() -> None:
    """The lines of its ``get_batch``, on the first shard."""
    tokens, wanted = made("bin")
    about = json.loads((tokens.path / "indices-00000.json").read_text())
    block_size, batch_size = about["length"] - 1, 4
    train = np.memmap(tokens.path / "indices-00000.bin", dtype=np.uint16, mode="r")
    assert train.tolist() == [each for sequence in wanted[:10] for each in sequence]
    ix = torch.randint(len(train) - block_size, (batch_size,))
    x = torch.stack([torch.from_numpy((train[i : i + block_size]).astype(np.int64)) for i in ix])
    y = torch.stack([torch.from_numpy((train[i + 1 : i + 1 + block_size]).astype(np.int64)) for i in ix])
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert int(y.max()) < about["vocab_size"]


def test_datatrove_reads_its_files() -> None:
    reader = pytest.importorskip("datatrove.utils.dataset", reason="datatrove is not installed")
    tokens, wanted = made("datatrove")
    length = len(wanted[0])
    found = reader.DatatroveFolderDataset(str(tokens.path), length - 1, token_size=2, return_positions=True)
    assert [found[index]["input_ids"].tolist() for index in range(len(found))] == wanted
    assert all(found[index]["positions"].tolist() == list(range(length)) for index in range(len(found)))


def test_datatrove_writes_the_same_bytes() -> None:
    writer = pytest.importorskip("datatrove.pipeline.tokens.tokenizer", reason="datatrove is not installed")
    tokens, wanted = made("datatrove", source=ragged())
    about = {"tokenizer_name_or_path": "vqkit", "save_final_metadata": True}
    made_there = writer.TokenizedFile(str(Path("theirs").absolute()), "indices-00000.ds", **about)
    for sequence in wanted[:10]:
        made_there.write(sequence, None)
    made_there.close()
    for name in ("indices-00000.ds", "indices-00000.ds.index", "indices-00000.ds.metadata"):
        assert (Path("theirs") / name).read_bytes() == (tokens.path / name).read_bytes()


@pytest.mark.parametrize(("offset", "size"), [(100, 2), (70_000, 4)])
def test_datatrove_writes_the_same_megatron_files(offset: int, size: int) -> None:
    writer = pytest.importorskip("datatrove.pipeline.tokens.megatron_tokenizer", reason="datatrove is not installed")
    layout = Layout(vocab_offset=offset, bos=1, begin=2, end=3, eos=4)
    tokens, wanted = made("megatron", layout, ragged())
    made_there = writer.MegatronTokenizedFile(str(Path("theirs").absolute()), "indices-00000", token_size=size)
    for sequence in wanted[:10]:
        made_there.write(sequence)
    made_there.close()
    for name in ("indices-00000.bin", "indices-00000.idx"):
        assert (Path("theirs") / name).read_bytes() == (tokens.path / name).read_bytes()


def test_counts_in_words_are_those_of_humanize() -> None:
    humanize = pytest.importorskip("humanize", reason="humanize, of datatrove, is not installed")
    from vqkit.tokens.formats.datatrove import _metric

    for count in (0, 1, 12, 999, 1000, 1500, 9_999, 99_950, 999_499, 999_500, 999_999, 10**6, 123_456_789, 10**12):
        assert _metric(count) == humanize.metric(count, unit="T")


def test_webdataset_reads_its_files() -> None:
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    tokens, wanted = made("webdataset")
    urls = [str(file) for file in sorted(tokens.path.glob("*.tar"))]
    found = list(webdataset.WebDataset(urls, shardshuffle=False).decode().to_tuple("__key__", "npy", "cls", "json"))
    assert [key for key, *_ in found] == [f"{number:09d}" for number in range(24)]
    assert [ids.tolist() for _, ids, _, _ in found] == wanted
    assert [label for _, _, label, _ in found] == [number % 3 for number in range(24)]
    assert found[0][3] == {"grid": [4, 4], "size": [8, 8]}


def test_datasets_read_lines_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    tokens, wanted = made("jsonl")
    found = datasets.load_dataset("json", data_files=f"{tokens.path}/*.jsonl", cache_dir="cache")["train"]
    assert found["tokens"][:] == wanted
    assert found["class_id"][:] == [number % 3 for number in range(24)]


def test_1d_tokenizer_reads_lines_of_json() -> None:
    """The lines of its data set of tokens made before training."""
    tokens, wanted = made("jsonl", Layout())
    lines = (tokens.path / "indices-00000.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [torch.tensor(row["tokens"]).tolist() for row in rows] == wanted[:10]
    assert [torch.tensor(row["class_id"]).item() for row in rows] == [number % 3 for number in range(10)]


class Codes(Dataset):  # type: ignore[type-arg]
    """As LlamaGen's trainer reads codes: ``dataset/imagenet.py`` without augmentations."""

    def __init__(self, folder: Path, size: int) -> None:
        self.codes, self.labels = folder / f"imagenet{size}_codes", folder / f"imagenet{size}_labels"

    def __len__(self) -> int:
        return len(list(self.codes.iterdir()))

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        features, label = np.load(self.codes / f"{index}.npy"), np.load(self.labels / f"{index}.npy")
        return torch.from_numpy(features), torch.from_numpy(label)


def test_llamagen_reads_its_files() -> None:
    tokens, wanted = made("llamagen", Layout())
    codes = Codes(tokens.path, 8)
    assert len(codes) == 24
    features, labels = next(iter(DataLoader(codes, batch_size=24)))
    assert features.reshape(24, -1).tolist() == wanted  # as train_c2i.py flattens them
    assert labels.reshape(-1).tolist() == [number % 3 for number in range(24)]
    assert features.dtype == labels.dtype == torch.int64


def test_what_a_language_model_generates_is_decoded() -> None:
    tokens, wanted = made("bin")
    vocabulary = load_tokens(tokens.path).vocabulary
    assert vocabulary is not None
    assert tokens.grid is not None
    assert (vocabulary.head(), vocabulary.tail()) == ([1, 2], [3, 4])
    indices = vocabulary.indices(wanted, tokens.grid)
    assert np.array_equal(indices, tokens[:])
    assert torch.equal(tiny().decode(indices), tiny().decode(tokens[:]))


@pytest.mark.parametrize(("kind", "column"), [("parquet", "indices"), ("jsonl", "tokens"), ("webdataset", "npy")])
def test_datasets_read_the_folder_itself(kind: str, column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One shard beside one description: the description is no data."""
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    tokens = tokenize(tiny(), data(), Path(kind), kind=kind)
    found = datasets.load_dataset(f"./{kind}", cache_dir="cache")["train"]
    assert [np.array(row).reshape(4, 4).tolist() for row in found[column]] == tokens[:].tolist()


def test_datasets_know_the_classes_of_parquet() -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    source = data(labels=np.arange(24) % 3, class_names=["a", "b", "c"])
    tokens = tokenize(tiny(), source, Path("tokens"), kind="parquet")
    features = datasets.Features.from_arrow_schema(parquet.read_schema("tokens/indices-00000.parquet"))
    assert features["label"].names == ["a", "b", "c"]
    assert features["item"].dtype == "int64"
    assert tokens.labels().tolist() == source.labels.tolist()
