"""Two nodes, which are two groups of processes of torchrun, train from shards at an address; each has its copies."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.data.test_shards import tars
from tests.ranks import torchrun
from tests.training import nodes_worker
from vqkit.models import load_model
from vqkit.training.checkpoints import checkpoint


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
    runs, nodes = tmp_path / "runs", [{"VQKIT_CACHE": str(tmp_path / f"cache-{node}")} for node in range(2)]
    words = [urls[kind] for kind in nodes_worker.KINDS]
    lost = torchrun(nodes, nodes_worker.__name__, str(runs), "begin", *words)
    assert [bool(each.returncode) for each in lost] == [True, True], "\n".join(each.stderr for each in lost)
    assert "SIGKILL" in lost[1].stderr
    for kind, step in (("parquet", 4), ("tar", nodes_worker.LOST)):
        assert checkpoint.found(runs / kind / "checkpoints")[-1].name == f"step_{step:09d}", lost[0].stderr
    again = torchrun(nodes, nodes_worker.__name__, str(runs), "again", *words)
    assert [each.returncode for each in again] == [0, 0], "\n".join(each.stderr for each in again)
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
