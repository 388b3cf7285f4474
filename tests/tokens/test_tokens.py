"""Token sets on the disk: encode, read, decode; damage, interruption, memory."""

from __future__ import annotations

import json
import shutil
import tracemalloc
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image

from tests.tokens.cases import ANY_SHAPE, shard_files
from vqkit import VQVAE, tokenize
from vqkit.data import ArraySource, RaggedSource, Source
from vqkit.errors import ConfigError, DataError, VqkitError
from vqkit.models import tiling
from vqkit.pretrained.folder import content_hash
from vqkit.tokens import TOKEN_FORMATS, Tokens, detokenize, load_tokens, pieces
from vqkit.tokens.formats.jsonl import JsonLinesFormat

SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2}


def tiny(codebook_size: int = 16, **options: Any) -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(codebook_size, **{**SMALL, **options})
    generator = torch.Generator().manual_seed(5)
    model.prepare([torch.rand(64, model.channels, *[8] * model.axes, generator=generator)])
    return model.eval()


def pictures(count: int, channels: int = 3, height: int = 9, width: int = 14, seed: int = 0) -> np.ndarray[Any, Any]:
    shape = (count, channels, height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def source(count: int = 23, **options: Any) -> ArraySource:
    return ArraySource(pictures(count), name="pictures", **options)


def ragged() -> tuple[RaggedSource, list[np.ndarray[Any, Any]]]:
    items = [pictures(1, 3, 8 + i % 3, 9 + i // 4, seed=i)[0] for i in range(10)]
    sizes = np.array([item.shape[1:] for item in items])
    offsets = np.cumsum([0, *(item.size for item in items[:-1])])
    return RaggedSource(np.concatenate([item.ravel() for item in items]), offsets, sizes, channels=3), items


def read_pngs(folder: Path) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]


def rounded(model: VQVAE, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``model.reconstruct`` of one image as the bytes of a PNG, by NumPy's own rounding."""
    back = model.reconstruct(torch.from_numpy(image)[None])[0].double().numpy()
    pixels = np.rint(np.float32(255) * back.astype(np.float32)).astype(np.uint8)
    return np.moveaxis(pixels, 0, -1) if len(pixels) == 3 else pixels[0]


@pytest.mark.parametrize("shard_items", [None, 7, 1])
@pytest.mark.parametrize("kind", ANY_SHAPE)
def test_tokens_are_the_indices_in_order(tmp_path: Path, kind: str, shard_items: int | None) -> None:
    model, labels = tiny(), np.arange(23) % 5
    data = source(labels=labels, class_names=list("abcde"))
    seen: list[tuple[int, int]] = []
    tokens = tokenize(
        model,
        data,
        tmp_path / "t",
        kind=kind,
        batch_size=5,
        shard_items=shard_items,
        progress=lambda a, b: seen.append((a, b)),
    )
    expected = model.encode(torch.from_numpy(pictures(23))).numpy()
    for each in (tokens, load_tokens(tmp_path / "t")):
        assert len(each) == 23
        assert each.grid == (5, 7)
        assert each.codebook_size == 16
        assert np.array_equal(np.stack(list(each)), expected)
        assert np.array_equal(each[-1], expected[-1])
        assert each[0].dtype == np.uint8
        assert {each.size(index) for index in range(23)} == {(9, 14)}
        found = each.labels()
        assert found is not None
        assert found.dtype == np.int64
        assert np.array_equal(found, labels)
        for index in (23, -24):
            with pytest.raises(IndexError):
                each[index]
    manifest = tokens.manifest
    assert manifest["model_sha256"] == content_hash(model)
    assert manifest["class_names"] == list("abcde")
    assert (manifest["items"], manifest["dtype"], manifest["source"]) == (23, "uint8", "pictures")
    assert len(manifest["shards"]) == {None: 1, 7: 4, 1: 23}[shard_items]
    assert seen[-1] == (23, 23)
    assert tokens.bytes_on_disk() >= 23 * 35 or kind == "parquet"


@pytest.mark.parametrize("kind", ANY_SHAPE)
def test_many_codes_take_wider_integers(tmp_path: Path, kind: str) -> None:
    model = tiny(300)
    with torch.no_grad():
        model.quantizer.codebook.copy_(model.codebook.flip(0))
    tokens = tokenize(model, source(8), tmp_path / "t", kind=kind)
    stacked = np.stack(list(tokens))
    assert stacked.dtype == np.uint16
    assert np.array_equal(stacked, model.encode(torch.from_numpy(pictures(8))).numpy())
    assert stacked.max() > 255


@pytest.mark.parametrize("kind", ANY_SHAPE)
def test_decoded_pictures_are_the_reconstructions(tmp_path: Path, kind: str) -> None:
    model = tiny()
    tokens = tokenize(model, source(), tmp_path / "t", kind=kind, shard_items=9)
    seen: list[tuple[int, int]] = []
    count = detokenize(
        model, tokens, tmp_path / "out", batch_size=4, progress=lambda done, total: seen.append((done, total))
    )
    assert count == 23
    assert seen[-1] == (23, 23)
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == [f"{i:06d}.png" for i in range(23)]
    for found, image in zip(read_pngs(tmp_path / "out"), pictures(23), strict=True):
        assert np.array_equal(found, rounded(model, image))


def test_pictures_of_different_sizes(tmp_path: Path) -> None:
    model, (data, items) = tiny(), ragged()
    for kind in ("npy", "safetensors"):
        with pytest.raises(ConfigError, match="kind='parquet'"):
            tokenize(model, data, tmp_path / kind, kind=kind)
        assert not (tmp_path / kind).exists()
    tokens = tokenize(model, data, tmp_path / "t", kind="parquet", shard_items=4)
    assert tokens.grid is None
    assert tokens.labels() is None
    for index, item in enumerate(items):
        assert tokens.size(index) == item.shape[1:]
        assert np.array_equal(tokens[index], model.encode(torch.from_numpy(item)[None])[0].numpy())
    assert detokenize(model, load_tokens(tmp_path / "t"), tmp_path / "out", limit=7) == 7
    found = read_pngs(tmp_path / "out")
    assert len(found) == 7
    for picture, item in zip(found, items, strict=False):
        assert np.array_equal(picture, rounded(model, item))


def test_grey_is_coloured_and_colour_is_greyed(tmp_path: Path) -> None:
    grey = ArraySource(pictures(4, channels=1), name="grey")
    tokens = tokenize(tiny(), grey, tmp_path / "rgb")
    expected = tiny().encode(torch.from_numpy(np.repeat(pictures(4, channels=1), 3, axis=1)))
    assert np.array_equal(np.stack(list(tokens)), expected.numpy())
    detokenize(tiny(channels=1), tokenize(tiny(channels=1), source(3), tmp_path / "grey"), tmp_path / "out")
    assert {picture.shape for picture in read_pngs(tmp_path / "out")} == {(9, 14)}


@pytest.mark.parametrize("kind", ANY_SHAPE)
def test_vectors(tmp_path: Path, kind: str) -> None:
    model = tiny(axes=0, channels=5, downsampling=1)
    vectors = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    tokens = tokenize(model, vectors, tmp_path / "t", kind=kind, shard_items=150)
    assert (len(tokens), tokens.grid, tokens.size(3)) == (200, (), ())
    expected = model.encode(torch.from_numpy(vectors))
    assert np.array_equal(np.stack(list(tokens)), expected.numpy())
    assert detokenize(model, tokens, tmp_path / "out") == 200
    written = [np.load(path) for path in sorted((tmp_path / "out").glob("[!.]*"))]
    assert len(written) == 1  # vectors do not make a file for every 64
    assert np.array_equal(np.concatenate(written), model.decode(expected, ()).numpy())


@pytest.mark.parametrize("axes", [1, 3])
def test_sound_and_video(tmp_path: Path, axes: int) -> None:
    model = tiny(axes=axes, channels=1)
    shape = (5, 1, *(7, 6, 9)[:axes])
    signals = np.random.default_rng(0).random(shape, dtype=np.float32)
    data = ArraySource(signals, name="signals")
    tokens = tokenize(model, data, tmp_path / "t")
    detokenize(model, tokens, tmp_path / "out", batch_size=2)
    files = sorted((tmp_path / "out").glob("[!.]*"))
    assert [path.name for path in files] == [f"signals-{first:06d}.npy" for first in (0, 2, 4)]
    expected = model.reconstruct(torch.from_numpy(signals)).numpy()
    written = np.concatenate([np.load(path) for path in files])
    assert written == pytest.approx(expected, abs=1e-6)  # another batch size, another order of sums


def test_items_are_encoded_with_weights_of_their_own(tmp_path: Path) -> None:
    model = tiny(16)
    weights = [0.0, 0.4, 30.0]
    tokens = tokenize(model, source(), tmp_path / "t", rate_weights=weights, seed=3)
    assert tokens.manifest["rate_weights"] == weights
    pixels = torch.from_numpy(pictures(23))
    alone = [np.asarray(tiling.weighed_indices(model, pixels, [each] * 23)) for each in weights]
    assert np.array_equal(alone[0], model.encode(pixels).numpy()), "a weight of 0 is the nearest code"
    assert len(np.unique(alone[2])) < len(np.unique(alone[0]))
    matches = np.array([[np.array_equal(item, mine[row]) for mine in alone] for row, item in enumerate(tokens)])
    assert matches.any(axis=1).all(), "every item has one of the weights"
    assert (matches.sum(axis=1) == 1).any()
    assert matches.any(axis=0).all(), "every weight has items"
    again = tokenize(model, source(), tmp_path / "again", rate_weights=weights, seed=3, batch_size=5)
    assert all(np.array_equal(a, b) for a, b in zip(tokens, again, strict=True)), "whatever the batches"
    assert [each.rate_weight for each in tiling.codebooks_of(model)] == [0.0], "the model is as it was"


def test_weights_that_a_model_cannot_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rate_weight=-1"):
        tokenize(tiny(), source(3), tmp_path / "t", rate_weights=[0.1, -1])
    with pytest.raises(ConfigError, match="has no codebook that could weigh bits"):
        tokenize(tiny(16, quantizer="lfq"), source(3), tmp_path / "t", rate_weights=[0.1])
    assert not (tmp_path / "t").exists()


# ---- refusals


def test_tokens_of_another_model_are_refused(tmp_path: Path) -> None:
    model = tiny()
    tokens = tokenize(model, source(), tmp_path / "t")
    other = tiny()
    other.state_dict()["signal_mean"].add_(0.1)
    with pytest.raises(DataError, match=r"made by another model.*any_model=True"):
        detokenize(other, tokens, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert detokenize(other, tokens, tmp_path / "out", any_model=True, limit=2) == 2
    with pytest.raises(DataError, match=r"cannot decode items 0.*\[0, 3\]"):
        detokenize(tiny(4), tokens, tmp_path / "few", any_model=True)
    with pytest.raises(DataError, match="grid"):
        detokenize(tiny(downsampling=4), tokens, tmp_path / "coarse", any_model=True)
    with pytest.raises(DataError, match="0 grid axes"):
        detokenize(tiny(axes=0, downsampling=1), tokens, tmp_path / "vectors", any_model=True)


def test_folders_with_other_things_in_them_are_left_alone(tmp_path: Path) -> None:
    model, mine = tiny(), tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    (mine / "indices-00000.npy").write_text("mine too")
    tokens = tokenize(model, source(2), tmp_path / "t")
    (tmp_path / "file").write_text("")
    for out in (mine, tmp_path / "file"):
        with pytest.raises(ConfigError, match="choose a new or empty folder"):
            tokenize(model, source(2), out)
        with pytest.raises(ConfigError, match="choose a new or empty folder"):
            detokenize(model, tokens, out)
    files = {entry: entry.stat().st_mtime_ns for entry in (tmp_path / "t").iterdir()}
    again = tokenize(model, source(2), tmp_path / "t")
    assert again.kept == len(again) == 2
    assert {entry: entry.stat().st_mtime_ns for entry in (tmp_path / "t").iterdir()} == files
    for options, named in (({"kind": "parquet"}, "another format"), ({"shard_items": 1}, "another number of items")):
        with pytest.raises(ConfigError, match=named):
            tokenize(model, source(2), tmp_path / "t", **options)
    with pytest.raises(ConfigError, match="other data"):
        tokenize(model, source(3), tmp_path / "t")
    assert sorted(entry.name for entry in mine.iterdir()) == ["indices-00000.npy", "thesis.txt"]
    (tmp_path / "empty").mkdir()
    assert len(tokenize(model, source(2), tmp_path / "empty")) == 2


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'csv' is unknown; known: .*npy, parquet, safetensors"):
        tokenize(tiny(), source(2), tmp_path / "t", kind="csv")


def test_signals_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VqkitError, match="vectors"):
        tokenize(tiny(), np.zeros((4, 5), np.float32), tmp_path / "t")
    with pytest.raises(VqkitError):
        tokenize(tiny(axes=0, channels=3, downsampling=1), source(2), tmp_path / "t")


@pytest.mark.parametrize("kind", ANY_SHAPE)
def test_an_interrupted_encoding_is_seen_and_done_anew(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = tiny(), tmp_path / "t"

    def stop(done: int, total: int) -> None:
        if done > 12:
            raise KeyboardInterrupt

    labels = np.arange(23)
    with pytest.raises(KeyboardInterrupt):
        tokenize(model, source(labels=labels), out, kind=kind, batch_size=4, shard_items=4, progress=stop)
    assert len(shard_files(out, kind)) == 4
    with pytest.raises(DataError, match="interrupted: encode again"):
        load_tokens(out)
    tokens = tokenize(model, source(labels=labels), out, kind="parquet")
    assert sorted(entry.name for entry in out.iterdir()) == ["_tokens.json", "indices-00000.parquet"]
    assert len(list(tokens)) == 23


def test_no_token_set(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DataError, match=r"vqkit\.tokenize"):
            load_tokens(path)


@pytest.fixture(params=ANY_SHAPE)
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Tokens:
    return tokenize(tiny(), source(labels=np.arange(23)), tmp_path / "t", kind=request.param, shard_items=12)


@pytest.mark.parametrize("keep", [0, 5, -7])
def test_a_truncated_shard(damaged: Tokens, keep: int) -> None:
    file = damaged.path / damaged.manifest["shards"][1]["file"]
    file.write_bytes(file.read_bytes()[:keep])
    tokens = load_tokens(damaged.path)
    assert tokens[11] is not None
    with pytest.raises(DataError, match=r"indices-00001.*encode the data again"):
        tokens[12]
    if TOKEN_FORMATS[damaged.kind]().labels_place(file) == file:
        with pytest.raises(DataError, match="indices-00001"):
            tokens.labels()
    with pytest.raises(DataError, match="indices-00001"):
        detokenize(tiny(), tokens, damaged.path.parent / "out")


def test_a_shard_that_is_missing_or_of_another_length(damaged: Tokens) -> None:
    first, second = (damaged.path / shard["file"] for shard in damaged.manifest["shards"])
    shutil.copy(first, second)
    words = r"has 12 items, the set's description says 11|than the 11 items|bytes, and 11 sequences .* take"
    with pytest.raises(DataError, match=words):
        load_tokens(damaged.path)[12]
    second.unlink()
    with pytest.raises(DataError, match="indices-00001"):
        load_tokens(damaged.path)[12]
    if damaged.kind == "npy":
        first.with_name("labels-00000.npy").unlink()
        with pytest.raises(DataError, match="labels-00000"):
            load_tokens(damaged.path).labels()


def test_shards_of_other_things(tmp_path: Path) -> None:
    model = tiny()
    tokens = tokenize(model, source(4), tmp_path / "t")
    file = tmp_path / "t" / "indices-00000.npy"
    np.save(file, np.zeros((4, 5, 7), np.float32))
    with pytest.raises(DataError, match="float32"):
        load_tokens(tokens.path)[0]
    np.save(file, np.full((4, 5, 7), 200, np.uint8))
    with pytest.raises(DataError, match="200"):
        detokenize(model, load_tokens(tokens.path), tmp_path / "out")
    np.save(file, np.array([{}] * 4, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="npy shard"):
        load_tokens(tokens.path)[0]


def test_parquet_rows_that_do_not_fit(tmp_path: Path) -> None:
    tokens = tokenize(tiny(), source(4), tmp_path / "t", kind="parquet")
    file = tmp_path / "t" / "indices-00000.parquet"
    table = parquet.read_table(file)
    bad = arrow.array([[5, 6]] * 4, arrow.list_(arrow.int32()))
    parquet.write_table(table.set_column(table.column_names.index("grid"), "grid", bad), file)
    with pytest.raises(DataError, match="parquet shard"):
        load_tokens(tokens.path)[0]
    parquet.write_table(table.drop_columns(["indices"]), file)
    with pytest.raises(DataError, match="parquet shard"):
        load_tokens(tokens.path)[0]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"format": "npy"}', '{"shards": [{}]}'])
def test_a_description_that_is_none(tmp_path: Path, text: str) -> None:
    tokenize(tiny(), source(2), tmp_path / "t")
    (tmp_path / "t" / "tokens.json").write_text(text)
    with pytest.raises(DataError, match=r"tokens\.json"):
        load_tokens(tmp_path / "t")


def test_a_description_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    tokenize(tiny(), source(2), tmp_path / "t")
    np.save(tmp_path / "secret.npy", np.zeros((2, 5, 7), np.uint8))
    file = next((tmp_path / "t").glob("*tokens.json"))
    manifest = json.loads(file.read_text())
    manifest["shards"][0]["file"] = "../secret.npy"
    file.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="secret"):
        load_tokens(tmp_path / "t")[0]


# ---- memory


class Endless(Source):
    """Many pictures that exist only when they are read."""

    def __init__(self, count: int) -> None:
        super().__init__(name="endless", channels=3, axes=2, dtype=np.uint8, count=count)
        self._item = pictures(1, 3, 16, 16)[0]

    def item_sizes(self) -> np.ndarray[Any, Any]:
        return np.full((len(self), 2), 16)

    def read(self, index: int) -> np.ndarray[Any, Any]:
        return self._item + np.uint8(index % 7)

    def subset(self, indices: Any) -> Self:
        raise NotImplementedError

    def with_channels(self, channels: int) -> Self:
        return self

    def storage(self) -> str:
        return "nowhere"


@pytest.mark.parametrize("kind", ["npy", "jsonl", "webdataset"])
def test_memory_does_not_grow_with_the_number_of_items(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "_SHARD_BYTES", 64 * 200)  # a shard every 200 items
    model = tiny(hidden_channels=2, residual_channels=1, residual_blocks=0)

    def peak(count: int) -> int:
        tracemalloc.start()
        tokenize(model, Endless(count), tmp_path / str(count), kind=kind, batch_size=20)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(200)  # what is imported and cached once
    few, many = peak(400), peak(2400)
    assert len(load_tokens(tmp_path / "2400").manifest["shards"]) == 12
    assert (
        many - few < 64 * 1000
    )  # the indices of the items more are 128,000 bytes; the description of 10 shards is less


@pytest.mark.parametrize("kind", ANY_SHAPE)
def test_decoded_files_have_the_names_of_the_items(tmp_path: Path, kind: str) -> None:
    names = ["b.jpg", "deep/a.png", None, "../out.png", "b.gif", "odd: name.png"]
    tokens = tokenize(tiny(), source(6, item_names=names), tmp_path / "tokens", kind=kind)
    assert detokenize(tiny(), tokens, tmp_path / "decoded", batch_size=4) == 6
    found = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.png")}
    expected = {"b.jpg.png": 0, "deep/a.png": 1, "000002.png": 2, "000003.png": 3, "b.gif.png": 4, "000005.png": 5}
    assert set(found) == {f"decoded/{name}" for name in expected}
    for name, number in expected.items():
        assert np.array_equal(np.asarray(Image.open(found[f"decoded/{name}"])), rounded(tiny(), pictures(6)[number]))
    detokenize(tiny(), tokens, tmp_path / "some", limit=2)
    assert sorted(path.name for path in (tmp_path / "some").rglob("*.png")) == ["a.png", "b.png"]


def test_a_shard_holds_a_bounded_number_of_items_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_SHARD_ITEMS", 100)  # items of a byte would otherwise be objects by the million
    model = tiny(axes=0, channels=5, downsampling=1)
    tokens = tokenize(model, np.zeros((250, 5), np.float32), tmp_path / "t")
    assert [shard["items"] for shard in tokens.manifest["shards"]] == [100, 100, 50]


@pytest.mark.parametrize("kind", ANY_SHAPE)
def test_slices_and_lists_are_batches(tmp_path: Path, kind: str) -> None:
    tokens = tokenize(tiny(), source(), tmp_path / "tokens", kind=kind, shard_items=5)
    assert np.array_equal(tokens[3:8], np.stack([tokens[index] for index in range(3, 8)]))
    assert np.array_equal(tokens[[-1, 2]], np.stack([tokens[22], tokens[2]]))
    assert np.array_equal(tokens[np.array([4])], tokens[4][None])
    mask = np.arange(23) % 5 == 1
    assert np.array_equal(tokens[mask], tokens[np.flatnonzero(mask)])
    assert np.array_equal(tokens[mask.tolist()], tokens[torch.from_numpy(mask)])
    with pytest.raises(IndexError):
        tokens[[23]]
    with pytest.raises(TypeError):
        tokens[1.0]  # type: ignore[call-overload]
    with warnings.catch_warnings(action="error"):
        assert torch.from_numpy(tokens[0]).dtype == torch.uint8
        torch.from_numpy(tokens[0])[:] = 0
    assert tokens[0].any(), "a change of an item is none of the set"
    assert repr(tokens) == f"<Tokens: 23 items, 5 x 7, 16 codes, {kind}, {tmp_path / 'tokens'}>"


def test_items_of_many_shards_are_read_shard_after_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = tokenize(tiny(), source(), tmp_path / "tokens", kind="jsonl", shard_items=5)
    read, own = [], JsonLinesFormat.read

    def noted(self: JsonLinesFormat, path: Path, *given: Any, **options: Any) -> Any:
        read.append(path.name)
        return own(self, path, *given, **options)

    monkeypatch.setattr(JsonLinesFormat, "read", noted)
    rows = [22, 0, 14, 1, 0, 22]
    found = tokens[rows]
    assert read == [f"indices-{shard:05d}.jsonl" for shard in (0, 2, 4)]
    assert np.array_equal(found, np.stack([tokens[row] for row in rows]))


def test_items_of_several_grids_are_a_list(tmp_path: Path) -> None:
    tokens = tokenize(tiny(), ragged()[0], tmp_path / "tokens", kind="parquet")
    assert [each.shape for each in tokens[:2]] == [tokens[0].shape, tokens[1].shape]
    assert isinstance(tokens[:2], list)


def test_other_readers_of_parquet_read_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = tokenize(tiny(), source(), tmp_path / "tokens", kind="parquet", shard_items=5)
    assert (tmp_path / "tokens" / "_tokens.json").is_file()
    table = parquet.read_table(tmp_path / "tokens").sort_by("item")
    assert [np.array(row).reshape(5, 7).tolist() for row in table["indices"].to_pylist()] == tokens[:].tolist()
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    found = datasets.load_dataset(str(tmp_path / "tokens"), cache_dir=str(tmp_path / "cache"))["train"]
    assert sorted(found["item"]) == list(range(23))


def test_parquet_tokens_described_as_in_older_versions_are_read(tmp_path: Path) -> None:
    want = tokenize(tiny(), source(), tmp_path / "tokens", kind="parquet")[:]
    (tmp_path / "tokens" / "_tokens.json").rename(tmp_path / "tokens" / "tokens.json")
    assert np.array_equal(load_tokens(tmp_path / "tokens")[:], want)
