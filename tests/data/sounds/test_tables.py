"""Sounds in Parquet files, in the convention of Hugging Face's data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vqkit
from tests.data.sounds.files import tones, write
from vqkit.data.identity import content_fingerprint
from vqkit.errors import DataError
from vqkit.signals import Sound


def table(folder: Path, *, declared: bool = True, **columns: Any) -> Path:
    rows = []
    for number, suffix in enumerate(("wav", "flac", "mp3", "wav")):
        file = write(folder / f"{number}.{suffix}", tones(0.3, 16_000, seed=number), 16_000)
        rows.append({"bytes": file.read_bytes(), "path": file.name})
        file.unlink()
    rows.append({"bytes": b"RIFF no sound", "path": "bad.wav"})
    found = pa.table(
        {"audio": rows, "digit": [3, 1, 1, 3, 0], "speaker": ["eva", "ada", "eva", "ada", "eva"], **columns}
    )
    if declared:
        features = {"audio": {"sampling_rate": 16_000, "_type": "Audio"}, "digit": {"dtype": "int64", "_type": "Value"}}
        found = found.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(found, folder / "train.parquet")
    return folder / "train.parquet"


@pytest.mark.parametrize("limit", [None, 60_000])
def test_a_declared_column_is_read(tmp_path: Path, limit: int | None) -> None:
    source = vqkit.load_source(table(tmp_path), memory_limit=limit)
    assert (source.kind, source.channels, source.size, source.labels) == (Sound(16_000), 1, (4_800,), None)
    assert source.item_name(1) == "train.parquet row 1 (1.flac)"
    assert [each.name for each in source.skipped] == ["train.parquet row 4 (bad.wav)"]
    assert np.abs(source.read(1) - tones(0.3, 16_000, seed=1)).max() < 1e-4
    assert content_fingerprint(source) == content_fingerprint(vqkit.load_source(tmp_path))
    assert vqkit.load_source(f"sound@8k:{tmp_path}").size == (2_400,)


def test_labels_are_columns(tmp_path: Path) -> None:
    file = table(tmp_path)
    source = vqkit.load_source(tmp_path, labels="speaker")
    assert source.labels is not None
    assert (source.labels.tolist(), source.class_names) == ([1, 0, 1, 0], ["ada", "eva"])
    again = vqkit.load_source(f"{file}:digit")
    assert again.labels is not None
    assert again.labels.tolist() == [3, 1, 1, 3]
    with pytest.raises(DataError, match=r"no column 'word'.*speaker"):
        vqkit.load_source(file, labels="word")


def test_a_column_that_says_nothing_is_read_as_the_kind_that_is_said(tmp_path: Path) -> None:
    file = table(tmp_path, declared=False)
    assert len(vqkit.load_source(file, kind="sound")) == 4
    with pytest.raises(DataError, match=r"nothing in column 'audio'.*image"):
        vqkit.load_source(file)


def test_files_beyond_the_limit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"more than 1\.0 kB.*memory_limit"):
        vqkit.load_source(table(tmp_path), memory_limit=1000)
