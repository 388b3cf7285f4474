"""Two nodes, which are two processes with caches of their own, train from shards at an address; each has its copies."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.data.test_shards import tars
from tests.ranks import launched
from tests.training import nodes_worker
from vqkit.models import load_model


def parquets(folder: Path) -> None:
    """Two Parquet files of twelve images with their classes."""
    folder.mkdir()
    random = np.random.default_rng(1)
    for shard in range(2):
        images = []
        for _ in range(12):
            Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(file := io.BytesIO(), "png")
            images.append({"bytes": file.getvalue(), "path": None})
        labels = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 6, pa.int32()), pa.array(["cat", "dog"]))
        pq.write_table(pa.table({"image": images, "label": labels}), folder / f"train-{shard}.parquet")


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("data")
    tars(folder / "tar")
    parquets(folder / "parquet")
    return {"parquet": f"file://{folder}/parquet/train-*.parquet", "tar": f"file://{folder}/tar/train-{{000..005}}.tar"}


def test_two_nodes_equal_one_process_also_when_one_is_lost(
    tmp_path: Path, urls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, words = tmp_path / "runs", [urls[kind] for kind in nodes_worker.KINDS]
    nodes = [{"VQKIT_CACHE": str(tmp_path / f"cache-{node}"), "LOCAL_RANK": "0"} for node in range(2)]
    rounds = [[str(runs), what, *words] for what in ("begin", "again")]
    (lost, again), said = launched(nodes_worker.__name__, *rounds, nodes=nodes)
    assert lost[0] != 0, said
    assert lost[1] == -signal.SIGKILL, said
    assert again == [0, 0], said
    for node in nodes:  # each fetched what it read
        copies = {file.name.split(".")[0] for file in Path(node["VQKIT_CACHE"]).rglob("train-*")}
        assert copies == {"train-0", "train-1", *(f"train-{shard:03d}" for shard in range(6))}
    monkeypatch.setenv("VQKIT_CACHE", str(tmp_path / "cache"))
    for kind in nodes_worker.KINDS:
        nodes_worker.run(kind, urls[kind], tmp_path / "one")
        one, whole, gone_on = (
            load_model(folder / kind).state_dict() for folder in (tmp_path / "one", runs / "whole", runs)
        )
        for name, tensor in one.items():
            assert torch.equal(whole[name], gone_on[name]), name
            assert torch.allclose(tensor, whole[name], atol=1e-4), name
