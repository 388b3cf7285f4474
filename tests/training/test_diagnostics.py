"""The collapse doctor: what it measures, and the sentence that each trouble brings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vqkit.data import load_source
from vqkit.models import VQVAE
from vqkit.quantizers import QUANTIZERS, EMAVectorQuantizer, VectorQuantizer, build_quantizer
from vqkit.training import TrainConfig, train
from vqkit.training.diagnostics.advice import quantizers_are_given
from vqkit.training.diagnostics.codebook import EDGES, Doctor, code_spacings, histogram, relative_distances


def latents(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_distances_are_relative_to_the_latents_variance() -> None:
    q = EMAVectorQuantizer(4, 3, restart_below=0)
    q.set_codebook(latents(4, 3, seed=1))
    z = 5 * latents(40, 3, 2) + 7
    flat = z.movedim(1, -1).reshape(-1, 3)
    nearest = (flat[:, None] - q.codebook[None]).square().sum(-1).amin(1)
    wanted = nearest / (flat - flat.mean(0)).square().sum(1).mean()
    torch.testing.assert_close(relative_distances(q, z), wanted)


def test_spacings_are_those_of_brute_force() -> None:
    q = EMAVectorQuantizer(50, 3, restart_below=0)
    q.set_codebook(latents(50, 3, seed=1))
    apart = (q.codebook[:, None] - q.codebook[None]).square().sum(-1)
    apart.fill_diagonal_(torch.inf)
    variance = (q.codebook - q.codebook.mean(0)).square().sum(1).mean()
    found = code_spacings(q)
    assert found is not None
    torch.testing.assert_close(found, apart.amin(1) / variance)
    assert code_spacings(build_quantizer("fsq", 64, 2, {})) is None


def test_the_histogram_counts_everything_once() -> None:
    values = torch.tensor([0.0, 2.0**-13, 2.0**-11.5, 0.3, 0.6, 100.0, torch.inf, torch.nan])
    counts = histogram(values)
    assert len(counts) == len(EDGES) - 1
    assert sum(counts) == 8
    assert counts[0] == 3
    assert counts[-1] == 3
    assert counts[EDGES.index(0.25)] == 1
    assert counts[EDGES.index(0.5)] == 1


def test_a_healthy_codebook_gets_no_sentence() -> None:
    q = EMAVectorQuantizer(64, 4).train()
    doctor = Doctor(64)
    for step in range(500, 850, 50):
        z = latents(200, 4, 4, seed=step)
        q(z)
        values, sentences = doctor.look(q, z, step)
        assert sentences == []
    assert 0 < values["code_distance"] < 0.5
    assert sum(values["code_distances"]) == 512
    assert sum(values["code_spacings"]) == 64


def test_codes_that_do_not_follow_are_told_once() -> None:
    q = VectorQuantizer(16, 4, restart_below=0)
    q.set_codebook(latents(16, 4) + 50)
    doctor = Doctor(16)
    told = [doctor.look(q, latents(100, 4, seed=step), step)[1] for step in (450, 500, 550, 600)]
    assert [len(each) for each in told] == [0, 0, 1, 0]
    assert "do not follow the latents" in told[2][0]


def test_what_was_told_is_not_told_again_and_no_other_quantizer_where_it_is_given() -> None:
    q, good = VectorQuantizer(16, 4, restart_below=0), latents(16, 4)
    doctor, told = Doctor(16), []
    with quantizers_are_given():
        for step, offset in enumerate((50, 50, 0, 50, 50, 50), start=20):
            q.set_codebook(good + offset)
            told += doctor.look(q, latents(100, 4, seed=step), 50 * step)[1]
    assert len(told) == 1
    assert "a larger beta" in told[0]
    assert "ema" not in told[0]


def test_latents_too_small_for_fixed_codes_are_told() -> None:
    q = build_quantizer("fsq", 64, 2, {})
    doctor = Doctor(64)
    told = [doctor.look(q, 1e-2 * latents(100, 2, seed=step), step)[1] for step in (500, 550)]
    assert "small beside the spacing" in told[1][0]


def test_codes_on_top_of_each_other_are_told() -> None:
    q = VectorQuantizer(16, 4, restart_below=0)
    table = latents(16, 4)
    table[8:] = table[0]
    q.set_codebook(table)
    doctor = Doctor(16)
    told = [sentence for step in (500, 600) for sentence in doctor.look(q, latents(100, 4), step)[1]]
    assert len(told) == 1
    assert "56% of the codes lie on top of another" in told[0]


def test_restless_restarts_are_told_after_the_beginning_only() -> None:
    q = EMAVectorQuantizer(16, 4, restart_below=0)
    q.set_codebook(latents(16, 4))
    doctor = Doctor(16)
    told = []
    for step in range(100, 1400, 100):
        q.restarts += 8  # half of the codes every 100 steps
        values, sentences = doctor.look(q, latents(100, 4), step)
        assert values["restarts_per_100_steps"] == pytest.approx(0.5)
        told += [(step, sentence) for sentence in sentences]
    assert [step for step, _ in told] == [1100]
    assert "50% of the codes are restarted" in told[0][1]
    other = Doctor(16)
    other.restore(json.loads(json.dumps(doctor.state())))
    assert other.state() == doctor.state()


@pytest.mark.parametrize("kind", list(QUANTIZERS))
@pytest.mark.parametrize(("count", "stacking"), [(1, "product"), (2, "product"), (2, "residual")])
def test_every_quantizer_can_be_looked_at(kind: str, count: int, stacking: str) -> None:
    q = build_quantizer(kind, 64, 12, {}, count, stacking).train()
    z = latents(40, 12, 3)
    q(z)
    values, _ = Doctor(64, count).look(q, z, 50)
    assert ("code_distance" in values) == (kind != "gumbel")


def test_the_log_of_a_run_has_the_looks(tmp_path: Path) -> None:
    source = load_source("digits")
    model = VQVAE.for_source(source, 16, hidden_channels=8, residual_channels=4, code_dim=4, downsampling=2)
    config = TrainConfig(steps=20, log_every=10, evaluations=0, evaluation_items=20)
    train(model, source, out=tmp_path / "run", config=config, quiet=True, tensorboard=False)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    looks = [line for line in lines if line["kind"] == "train"]
    assert len(looks) == 2
    for line in looks:
        assert line["code_distance"] > 0
        assert len(line["code_distances"]) == len(EDGES) - 1
        assert sum(line["code_spacings"]) == 16
        assert "restarts_per_100_steps" in line
