"""Indices that other programs wrote, decoded without a description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from vqkit import VQVAE
from vqkit.cli.main import app
from vqkit.data.arrays.npy import read_npy
from vqkit.errors import ConfigError, DataError
from vqkit.models import ProductQuantization
from vqkit.tokens import detokenize, load_tokens, read_indices, tokenize

SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2}


def tiny(**options: Any) -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(16, **{**SMALL, **options})
    model.prepare([torch.rand(16, model.channels, *[8] * model.axes)])
    return model.eval()


def pixels(count: int = 5, height: int = 8, width: int = 12) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (count, 3, height, width), dtype=np.uint8)


def pngs(folder: Path) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]


def write(file: Path, found: np.ndarray[Any, Any], form: str) -> Path:
    """The indices as some program writes them."""
    if form == "npy":
        np.save(file.with_suffix(".npy"), found.astype(np.int16))
        return file.with_suffix(".npy")
    flat = [row.ravel().tolist() for row in found]
    columns: dict[str, Any] = {"indices": [row.tolist() for row in found] if form == "nested" else flat}
    if form == "grids":
        columns["grid"] = [list(row.shape) for row in found]
    parquet.write_table(arrow.table(columns), file.with_suffix(".parquet"))
    return file.with_suffix(".parquet")


@pytest.mark.parametrize("form", ["npy", "nested"])
@pytest.mark.parametrize("num_codebooks", [1, 2])
def test_indices_of_vectors(tmp_path: Path, form: str, num_codebooks: int) -> None:
    model, x = ProductQuantization(4, num_codebooks=num_codebooks, iterations=2, channels=6), torch.randn(50, 6)
    model.fit(lambda: [x])
    found = model.encode(x).numpy()
    tokens = read_indices(write(tmp_path / "indices", found, form), model)
    assert (len(tokens), tokens.grid, tokens.size(3)) == (50, (), ())
    detokenize(model, tokens, tmp_path / "out")
    assert np.array_equal(np.load(tmp_path / "out" / "signals-000000.npy"), model.decode(model.encode(x)).numpy())
    found[40] = 4
    with pytest.raises(DataError, match=r"item 40 holds indices 4\.\.4; the model has 4 codes"):
        read_indices(write(tmp_path / "bad", found, form), model)


@pytest.mark.parametrize("form", ["npy", "nested", "grids", "flat"])
@pytest.mark.parametrize("num_codebooks", [1, 2])
def test_they_decode_as_the_token_set_does(tmp_path: Path, form: str, num_codebooks: int) -> None:
    model, x = tiny(num_codebooks=num_codebooks), pixels()
    model.signal_size[:2] = torch.tensor([8, 12])  # trained on: what flat rows without a grid are taken for
    detokenize(model, tokenize(model, x, tmp_path / "tokens"), tmp_path / "want")
    model.save_pretrained(tmp_path / "model")
    file = write(tmp_path / "indices", model.encode(x).numpy(), form)
    words = ["decode", str(tmp_path / "model"), str(file), "--out", str(tmp_path / "decoded")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert all(np.array_equal(a, b) for a, b in zip(pngs(tmp_path / "decoded"), pngs(tmp_path / "want"), strict=True))
    tokens = read_indices(file, model)
    assert (len(tokens), tokens.grid, tokens.size(2)) == (5, (4, 6), (8, 12))
    assert np.array_equal(tokens[1:3], model.encode(x[1:3]).numpy())


def test_the_rows_of_a_shard_alone_decode_with_their_sizes(tmp_path: Path) -> None:
    model, x = tiny(), pixels(height=9, width=11)
    tokens = tokenize(model, x, tmp_path / "tokens", kind="parquet")
    found = read_indices(next((tmp_path / "tokens").glob("indices-*.parquet")), model)
    assert found.size(0) == (9, 11)
    assert np.array_equal(found[:], tokens[:])


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda x: x.astype(np.float32), "float32; indices are integers"),
        (lambda x: x + 9, r"holds indices \d+\.\.\d+; the model has 16 codes, 0\.\.15"),
        (lambda x: x - 20, r"holds indices -"),
        (lambda x: x[0, 0], r"item 0 has shape \[\]; the model's have 2 axes"),
        (lambda x: x[:0], "give integers"),
    ],
)
def test_what_is_no_index_of_the_model_is_refused(tmp_path: Path, give: Any, message: str) -> None:
    model = tiny()
    found = np.full((2, 3, 4), 7, np.int64)
    found[0, 0, 0] = 15
    np.save(tmp_path / "indices.npy", give(found))
    with pytest.raises(DataError, match=message):
        read_indices(tmp_path / "indices.npy", model)


def test_files_that_hold_no_indices_are_refused(tmp_path: Path) -> None:
    model = tiny()
    parquet.write_table(arrow.table({"text": ["a"]}), tmp_path / "text.parquet")
    parquet.write_table(arrow.table({"indices": [[1, 2, 3, 4, 5]]}), tmp_path / "flat.parquet")
    parquet.write_table(arrow.table({"indices": [[[1, 2], [3]]]}), tmp_path / "ragged.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY no")
    (tmp_path / "words.csv").write_text("1,2")
    model.signal_size[:2] = torch.tensor([8, 8])
    for name, message in {
        "text.parquet": "columns text; give one called 'indices'",
        "flat.parquet": r"item 0 has 5 indices, which make no grid \[4, 4\]",
        "ragged.parquet": "lists of different lengths",
        "cut.parquet": "not readable as Parquet",
        "cut.npy": "cut.npy",
    }.items():
        with pytest.raises(DataError, match=message):
            read_indices(tmp_path / name, model)
    for name in ("gone.npy", "gone.parquet"):
        with pytest.raises(DataError, match=r"gone\.\w+ does not exist; give a .*column 'indices'"):
            read_indices(tmp_path / name, model)
        with pytest.raises(DataError, match=r"does not exist; vqkit\.tokens\.read_indices.*column 'indices'"):
            load_tokens(tmp_path / name)
    with pytest.raises(DataError, match=r"gone\.npy does not exist\.$"):
        read_npy(tmp_path / "gone.npy")
    with pytest.raises(ConfigError, match=r"\.npy and \.parquet"):
        read_indices(tmp_path / "words.csv", model)


@pytest.mark.parametrize("column", ["size", "grid"])
@pytest.mark.parametrize("value", [1234, "8x8", [8], [8, 0], [8.0, 8.0], None])
def test_columns_of_another_meaning_are_refused(tmp_path: Path, column: str, value: Any) -> None:
    if (column, value) == ("grid", None):
        pytest.skip("a grid that is not there is that of the training")
    file = tmp_path / "indices.parquet"
    parquet.write_table(arrow.table({"indices": [[0] * 16], column: [value]}), file)
    model = tiny()
    model.signal_size[:2] = torch.tensor([8, 8])
    with pytest.raises(DataError, match=f"item 0: {column} is .*; give a list of 2 whole numbers"):
        read_indices(file, model)
