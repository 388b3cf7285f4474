"""Models of vectors without networks: train, save, tokens, samples of streams, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import vqkit
from vqkit.errors import ConfigError, DataError
from vqkit.models import MODELS, IndexModel, load_model
from vqkit.models.vectors.base import VectorCodebooks
from vqkit.models.vectors.sample import StreamSample

NAMES = [name for name in MODELS if issubclass(MODELS[name], VectorCodebooks)]


def data(count: int = 400, dim: int = 6, offset: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(0)
    centers = random.normal(size=(12, dim)) * 3
    return (centers[random.integers(12, size=count)] + random.normal(size=(count, dim)) + offset).astype(np.float32)


def trained(name: str, vectors: np.ndarray, chunk: int = 64, **options: int) -> VectorCodebooks:
    short = {"rq": {"rounds": 4}, "opq": {"iterations": 10}}.get(name, {})
    made = MODELS[name].for_source(vqkit.load_source(vectors), 16, num_codebooks=3, **short, **options)
    made.fit(lambda: torch.from_numpy(vectors).split(chunk))
    return made.eval()  # type: ignore[return-value]


def test_three_are_registered() -> None:
    assert NAMES == ["pq", "opq", "rq"]


@pytest.mark.parametrize("name", NAMES)
def test_run_tokens_and_back(name: str, tmp_path: Path) -> None:
    vectors = data()
    source = vqkit.load_source(vectors)
    model = MODELS[name].for_source(source, 16, num_codebooks=3)
    run = vqkit.train(model, source, out=tmp_path / "run", quiet=True, tensorboard=False)
    assert run.finished
    assert run.evaluation is not None
    assert run.evaluation["nmse"] < 0.35
    loaded = load_model(tmp_path / "run")
    assert isinstance(loaded, IndexModel)
    tokens = vqkit.tokenize(loaded, source, tmp_path / "tokens")
    indices = loaded.encode(vectors)
    assert torch.equal(torch.as_tensor(np.asarray(tokens[:])).long(), indices)
    assert torch.equal(loaded.decode(indices), loaded(vectors).reconstruction)
    assert loaded.decode(indices).sub(torch.from_numpy(vectors)).square().mean() < 0.4 * vectors.var()


@pytest.mark.parametrize("name", NAMES)
def test_chunks_of_the_stream_change_nothing(name: str) -> None:
    one, other = trained(name, data(), 400), trained(name, data(), 37)
    assert all(torch.equal(tensor, other.state_dict()[key]) for key, tensor in one.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_an_offset_far_from_the_spread_is_taken_off(name: str) -> None:
    near, far = trained(name, data()), trained(name, data(offset=5e3))
    errors = [
        float((model.decode(model.encode(x)) - torch.from_numpy(x)).square().mean())
        for model, x in ((near, data()), (far, data(offset=5e3)))
    ]
    assert errors[1] < 1.2 * errors[0] + 1e-3


def test_the_first_codebooks_of_rq_alone_decode() -> None:
    model, x = trained("rq", data()), torch.from_numpy(data())
    errors = [float((model.reconstruct(x, codebooks=used) - x).square().mean()) for used in (1, 2, 3)]
    assert errors[0] > errors[1] > errors[2]
    with pytest.raises(ConfigError, match="each hold a part"):
        trained("pq", data()).encode(data(), codebooks=1)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"reads vectors \[N, D\]"):
        MODELS[name].for_source(vqkit.load_source("builtin:digits"), 16)
    with pytest.raises(ConfigError, match="codebook_size=0"):
        MODELS[name](0, channels=8)
    model = MODELS[name](16, num_codebooks=2, channels=6)
    with pytest.raises(DataError, match="no vectors"):
        model.fit(list)
    broken = torch.from_numpy(data())
    broken[3, 2] = float("nan")
    with pytest.raises(DataError, match="NaN"):
        model.fit(lambda: [broken])
    with pytest.raises(DataError, match="mask"):
        model.encode(data(), torch.ones(400, dtype=torch.bool))


@pytest.mark.parametrize("name", NAMES)
def test_numbers_whose_squares_are_none_are_refused(name: str) -> None:
    for scale in (1e-25, 1e25):
        rows = torch.from_numpy(data().astype(np.float64) * scale).float()
        with pytest.raises(DataError, match=r"in float32; multiply the vectors by 1e[+-]2\d$"):
            MODELS[name](16, num_codebooks=2, channels=6).fit(lambda rows=rows: [rows])


def test_fewer_vectors_than_codes_are_said(tmp_path: Path) -> None:
    model = MODELS["pq"](16, num_codebooks=2, channels=6)
    with pytest.warns(UserWarning, match="9 vectors to learn 16 codes"):
        vqkit.train(model, data()[:10], out=tmp_path / "run", quiet=True, tensorboard=False)
    assert "9 vectors to learn 16 codes" in (tmp_path / "run" / "log.jsonl").read_text()


def test_a_sample_is_uniform_and_independent_of_chunks() -> None:
    rows = torch.arange(50.0).view(50, 1)
    counts = np.zeros(50)
    for seed in range(400):
        sample = StreamSample(10, seed)
        sample.add_all(rows.split(7))
        again = StreamSample(10, seed)
        again.add_all(rows.split(50))
        kept = sample.vectors()
        assert torch.equal(kept, again.vectors())
        assert bool((kept.diff(dim=0) > 0).all())
        counts[kept.flatten().long().numpy()] += 1
    assert counts.sum() == 4000
    assert abs(counts - 80).max() < 5 * np.sqrt(80)
    whole = StreamSample(60, 0)
    whole.add_all(rows.split(7))
    assert torch.equal(whole.vectors(), rows)
