"""Token sets from strangers: the description is checked against itself, the shards and the model."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
import torch
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from tests.tokens.cases import ARRAYS
from vqkit import VQVAE, tokenize
from vqkit.cli.main import app
from vqkit.data import ArraySource
from vqkit.errors import DataError, VqkitError
from vqkit.tokens import TOKEN_FORMATS, detokenize, index_source, load_tokens
from vqkit.tokens.journal import ENCODING
from vqkit.tokens.tokens import VECTORS

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)
NAMES = [f"{number}.png" for number in range(12)]


class NamedSource(ArraySource):
    """Items with names."""

    def item_name(self, index: int) -> str | None:
        """One of them."""
        return NAMES[index]


def tiny(**options: Any) -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(16, channels=1, hidden_channels=8, residual_channels=4, code_dim=4, downsampling=2, **options)
    model.prepare([torch.rand(64, 1, 8, 8)])
    return model.eval()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    data = NamedSource(PIXELS, name="x", labels=np.arange(12) % 3, class_names=list("abc"))
    folder = tmp_path_factory.mktemp("made")
    return {kind: tokenize(tiny(), data, folder / kind, kind=kind, shard_items=8).path for kind in TOKEN_FORMATS}


@pytest.fixture(params=TOKEN_FORMATS)
def whole(request: pytest.FixtureRequest, made: dict[str, Path]) -> Path:
    return made[request.param]


@pytest.fixture(params=ARRAYS)
def place(request: pytest.FixtureRequest, made: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[request.param], tmp_path / "t"))


@pytest.fixture
def npy(made: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made["npy"], tmp_path / "npy"))


def changed(place: Path, **values: Any) -> None:
    file = next(place.glob("*tokens.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def read_all(place: Path) -> None:
    tokens = load_tokens(place)
    index_source(tokens)
    tokens.item_names()
    tokens.bytes_on_disk()


def test_whole_sets_are_read(whole: Path) -> None:
    tokens = load_tokens(whole)
    assert tokens.labels() is not None
    assert np.array_equal(np.asarray(tokens.labels()), np.arange(12) % 3)
    assert np.array_equal(np.stack(list(tokens)), tiny().encode(torch.from_numpy(PIXELS)).numpy())
    assert tokens.item_names() == NAMES
    assert tokens.labels() is not None
    assert index_source(tokens).labels is not None


ONE = {"file": "indices-00000.npy", "items": 8}
TWO = {"file": "indices-00001.npy", "items": 4}


@pytest.mark.parametrize(
    "change",
    [
        {"format": "pickle"},
        {"format": 3},
        {"codebook_size": 0},
        {"codebook_size": -1},
        {"codebook_size": "16"},
        {"codebook_size": True},
        {"codebook_size": 10**30},
        {"codebook_size": 300},
        {"codebook_size": 4},
        {"num_codebooks": 0},
        {"num_codebooks": 2},
        {"num_codebooks": 10**9},
        {"grid": None},
        {"grid": [4]},
        {"grid": [4, 5]},
        {"grid": [0, 4]},
        {"grid": [-4, 4]},
        {"grid": [16, 1]},
        {"grid": [10**30, 4]},
        {"grid": 4},
        {"grid": [10**9, 10**9], "size": [10**9, 10**9]},
        {"size": [8]},
        {"size": [2, 2]},
        {"size": None},
        {"axes": 5},
        {"axes": 1},
        {"dtype": "uint16"},
        {"dtype": "object"},
        {"items": 13},
        {"items": 10**30},
        {"labels": "yes"},
        {"class_names": 3},
        {"class_names": [[1]]},
        {"names": 5},
        {"model_sha256": 5},
        {"source": ["x"]},
        {"key": []},
        {"rate_weights": "x"},
        {"shards": {}},
        {"shards": [1]},
        {"shards": [ONE, ONE]},
        {"shards": [ONE, {**TWO, "items": -4}]},
        {"shards": [ONE, {**TWO, "items": 10**18}], "items": 8 + 10**18},
        {"shards": [ONE, {**TWO, "items": 10**11}], "items": 8 + 10**11},
        {"shards": [ONE, {**TWO, "file": "../npy/indices-00001.npy"}]},
        {"shards": [ONE, {**TWO, "file": "/etc/passwd"}]},
        {"shards": [ONE, {**TWO, "file": "labels-00001.npy"}]},
        {"shards": [ONE, {**TWO, "file": ""}]},
        {"shards": [ONE, {**TWO, "file": 3}]},
        {"shards": [ONE, {**TWO, "file": "indices-00001.npy\n"}]},
    ],
)
def test_descriptions_that_do_not_belong_to_the_shards(npy: Path, change: dict[str, Any]) -> None:
    changed(npy, **change)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            read_all(npy)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)
    done = CliRunner().invoke(app, ["info", str(npy)])
    assert done.exception is None or isinstance(done.exception, VqkitError), done.exception


@pytest.mark.parametrize("text", ["[" * 10**5, '{"format": "npy", "format": "npy"}', '{"items": 1e999}', '"x"', "null"])
def test_descriptions_that_are_none(npy: Path, text: str) -> None:
    (npy / "tokens.json").write_text(text)
    with pytest.raises(DataError, match=r"tokens\.json"):
        load_tokens(npy)


def test_descriptions_of_older_versions_and_of_other_programs_are_read(npy: Path) -> None:
    told = json.loads((npy / "tokens.json").read_text())
    few = {name: told[name] for name in ("format", "codebook_size", "grid", "size", "shards")}
    (npy / "tokens.json").write_text(json.dumps(few))
    tokens = load_tokens(npy)
    assert len(list(tokens)) == 12
    assert tokens.labels() is None
    done = CliRunner().invoke(app, ["info", str(npy)])
    assert done.exit_code == 0, done.exception


def damage(place: Path, indices: Any = None, labels: Any = None) -> None:
    """Put other arrays into the first shard."""
    kind = json.loads(next(place.glob("*tokens.json")).read_text())["format"]
    file = place / f"indices-00000.{kind}"
    if kind == "npy":
        for name, array in (("indices", indices), ("labels", labels)):
            if array is not None:
                np.save(place / f"{name}-00000.npy", array)
    elif kind == "safetensors":
        new = {name: array for name, array in (("indices", indices), ("labels", labels)) if array is not None}
        save_file({**load_file(file), **new}, file)
    else:
        table = parquet.read_table(file)
        if indices is not None:
            flat = arrow.array(
                [list(row.reshape(-1)) for row in indices], arrow.list_(arrow.from_numpy_dtype(indices.dtype))
            )
            table = table.slice(0, len(flat)).set_column(table.column_names.index("indices"), "indices", flat)
        if labels is not None:
            table = table.slice(0, len(labels))
            table = table.set_column(table.column_names.index("label"), "label", arrow.array(labels))
        parquet.write_table(table, file)


GOOD = np.zeros((8, 4, 4), np.uint8)


@pytest.mark.parametrize(
    "indices", [GOOD + np.uint8(16), GOOD[:7], GOOD.astype(np.uint16), GOOD.astype(np.int64), GOOD[:, :3], GOOD * 1.0]
)
def test_shards_of_other_arrays(place: Path, indices: Any) -> None:
    damage(place, indices=indices)
    with pytest.raises(DataError, match="indices-00000"):
        load_tokens(place)[0]
    assert not load_tokens(place).is_whole()
    assert load_tokens(place)[8] is not None


@pytest.mark.parametrize("labels", [np.full(8, -2), np.zeros(7, np.int64), np.zeros(8), np.array([None] + [1] * 7)])
def test_labels_of_other_kinds(place: Path, labels: Any) -> None:
    if labels.dtype == object and place.joinpath("indices-00000.safetensors").is_file():
        labels = labels[:1].astype(str).view(np.uint8)
    damage(place, labels=labels)
    with pytest.raises(DataError, match="-00000"):
        load_tokens(place).labels()


def test_headers_of_arrays_are_read_first(npy: Path) -> None:
    file = npy / "indices-00000.npy"
    whole = file.read_bytes()
    for words in (b"(8, 4, 4)", b"'|u1'"):
        for other in (b"(1 << 60)", b"(-8,4,-4)", b"((((((((("):
            file.write_bytes(whole.replace(words, other[: len(words)].ljust(len(words))))
            with pytest.raises(DataError, match="indices-00000"):
                load_tokens(npy)[0]


def test_names_and_vectors(place: Path) -> None:
    np.save(place / VECTORS, np.zeros((12, 3)))
    found = load_tokens(place).vectors()
    assert found is not None
    assert found.dtype == np.float32
    for wrong in (np.zeros(12), np.zeros((11, 3)), np.full((12, 3), np.nan), np.zeros((12, 3), bool)):
        np.save(place / VECTORS, wrong)
        with pytest.raises(DataError, match=r"vectors\.npy"):
            load_tokens(place).vectors()
    (place / VECTORS).unlink()
    if not (place / "names-00000.json").is_file():
        return
    for text in ("[]", json.dumps([1] * 8), "[" * 10**5, "{}", json.dumps(["x"] * 10**5)):
        (place / "names-00000.json").write_text(text)
        with pytest.raises(DataError, match="indices-00000"):
            load_tokens(place).item_names()


def test_sizes_and_grids_of_a_table(tmp_path: Path) -> None:
    place = tokenize(tiny(), ArraySource(PIXELS, name="x"), tmp_path / "t", kind="parquet").path
    changed(place, grid=None, size=None)
    assert load_tokens(place).size(0) == (8, 8)
    file = place / "indices-00000.parquet"
    table = parquet.read_table(file)
    rows: list[tuple[str, Any]] = [("size", [8]), ("size", [-8, 8]), ("size", []), ("size", None)]
    rows += [("grid", [-1, 4]), ("grid", [16]), ("grid", [4, 4, 1]), ("grid", None), ("size", [10**9, 10**9])]
    for name, value in rows:
        column = arrow.array([value] * 12, arrow.list_(arrow.int32()))
        parquet.write_table(table.set_column(table.column_names.index(name), name, column), file)
        with pytest.raises(DataError, match="t"):
            detokenize(tiny(), load_tokens(place), tmp_path / "out")


@pytest.mark.parametrize("change", [{"codebook_size": 200}, {"channels": 3}, {"axes": 2, "size": [7, 8]}])
def test_a_description_that_names_the_model_and_says_something_else_of_it(
    npy: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    if "size" in change:  # the grid of [7, 8] is that of [8, 8]
        change = {"size": [20, 20]}
    changed(npy, **change)
    with pytest.raises(DataError):
        detokenize(tiny(), load_tokens(npy), tmp_path / "out")


def test_a_journal_whose_lines_say_too_little_is_begun_again(tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done > 8:
            raise KeyboardInterrupt

    out, data = tmp_path / "t", ArraySource(PIXELS, name="x")
    with pytest.raises(KeyboardInterrupt):
        tokenize(tiny(), data, out, shard_items=4, batch_size=4, progress=stop)
    lines = (out / ENCODING).read_text().splitlines()
    assert len(lines) > 1
    for wrong in ({"shard": {}}, {"shard": {"file": "../x.npy", "items": 4}}, {"skipped": 3}, {"files": {"x": 1}}):
        (out / ENCODING).write_text("\n".join([lines[0], json.dumps(json.loads(lines[1]) | wrong)]) + "\n")
        for left in out.glob("indices-*"):
            left.write_bytes(left.read_bytes())
        again = Path(shutil.copytree(out, tmp_path / f"again-{len(list(tmp_path.iterdir()))}"))
        assert tokenize(tiny(), data, again, shard_items=4, batch_size=4).kept == 0
