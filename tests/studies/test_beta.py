"""The study of beta: complete, resumable, its numbers those of other code, and collapse named where it is."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from vqkit.data import Source, evaluation_batches, load_source
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation import evaluate
from vqkit.models import load_model
from vqkit.studies.beta import study as study
from vqkit.studies.beta.report import write_report
from vqkit.studies.beta.settings import BetaConfig
from vqkit.studies.beta.story import claims, collapse_in_words
from vqkit.studies.beta.study import BetaStudy, study_beta
from vqkit.studies.images import fixed_images

TINY: dict[str, Any] = {
    "betas": [1, 1000], "steps": 20, "latent_dim": 4, "hidden_channels": 8, "residual_channels": 4, "batch_size": 8,
    "validation": 0.3, "learning_rate": 0.1, "free_bits": 2.0,
}  # fmt: skip


def few_digits() -> Source:
    return load_source("digits").subset(range(120))


def run(out: Path, data: Any = None, **options: Any) -> BetaStudy:
    return study_beta(few_digits() if data is None else data, out, quiet=True, **{**TINY, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> BetaStudy:
    return run(tmp_path_factory.mktemp("study") / "whole")


def entry(document: dict[str, Any], key: str) -> dict[str, Any]:
    (found,) = [each for each in document["entries"] if each["key"] == key]
    return dict(found)


def test_every_beta_is_there_with_every_remedy(whole: BetaStudy) -> None:
    assert json.loads((whole.path / "beta.json").read_text()) == whole.document
    assert [each["key"] for each in whole.document["entries"]] == [
        f"{variant}-beta{beta}" for variant in ("plain", "warmup", "free-bits") for beta in (1, 1000)
    ]
    for each in whole.document["entries"]:
        assert each["status"] == "done", each["error"]
        assert each["kl_bits"] == pytest.approx(sum(each["kl_bits_each"]))
        assert each["kl_bits_each"] == sorted(each["kl_bits_each"], reverse=True)
        assert 0 <= each["active_units"] <= each["latent_dim"] == len(each["kl_bits_each"])


def test_rate_and_error_are_those_of_an_evaluation_of_the_held_out_items(whole: BetaStudy) -> None:
    model: Any = load_model(whole.path / "plain-beta1" / "run" / "model")
    held_out = fixed_images(few_digits(), BetaConfig.from_dict(TINY)).held_out
    assert len(held_out) == 36
    found = evaluate(model, evaluation_batches(held_out, 7))
    mine = entry(whole.document, "plain-beta1")
    assert mine["mse"] == pytest.approx(found.mse)
    assert mine["active_units"] == found.active_units
    assert found.bits_per_dim is not None
    assert mine["kl_bits"] == pytest.approx(64 * found.bits_per_dim.rate)
    assert mine["bits_per_dim"] == pytest.approx(found.bits_per_dim.total, abs=0.05)  # other draws of z
    with torch.no_grad():
        mean, log_variance = model.posterior(torch.from_numpy(held_out.gather(range(36))))
    prior = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    kl = torch.distributions.kl_divergence(posterior, prior).sum(dim=1).mean() / math.log(2)
    assert mine["kl_bits"] == pytest.approx(float(kl), rel=1e-4)


def test_a_heavy_kl_term_leaves_fewer_bits(whole: BetaStudy) -> None:
    light, heavy = (entry(whole.document, f"plain-beta{beta}") for beta in (1, 1000))
    assert heavy["kl_bits"] < 0.5 * light["kl_bits"]


def test_the_report_opens_offline_and_names_collapse(whole: BetaStudy, tmp_path: Path) -> None:
    def lost(one: dict[str, Any]) -> dict[str, Any]:
        return {**one, "active_units": 0} if one["key"] == "plain-beta1000" else one

    document = {**whole.document, "entries": [lost(each) for each in whole.document["entries"]]}
    write_report(document, whole.path / "pictures", tmp_path / "report.html")
    words = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Posterior collapse begins at beta 1000: 4 of 4 latent numbers" in words
    assert "complete at beta 1000" in words
    assert "with free bits" in words
    assert not re.search(r'(?:src|href)="(?!data:|#)', words)
    kept = len(
        whole.document["entries"]
    )  # each a row of samples and one of reconstructions, on the page and for the slider
    assert words.count("data:image/png;base64,") == 2 * 2 * kept + 2


def test_free_bits_and_warmup_are_what_the_models_were_trained_with(whole: BetaStudy) -> None:
    made: dict[str, Any] = {
        name: load_model(whole.path / f"{name}-beta1000" / "run" / "model") for name in ("plain", "warmup", "free-bits")
    }
    assert (made["plain"].free_bits, made["plain"].beta_warmup) == (0, 0)
    assert (made["free-bits"].free_bits, made["free-bits"].beta_warmup) == (2.0, 0)
    assert (made["warmup"].free_bits, made["warmup"].beta_warmup) == (0, 10)
    # 2 nats of each number cost nothing, so nothing pulls all of them to 0
    assert entry(whole.document, "free-bits-beta1000")["kl_bits"] > entry(whole.document, "plain-beta1000")["kl_bits"]


def test_a_second_call_trains_nothing_and_one_that_failed_is_tried_again(
    whole: BetaStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.path, tmp_path / "done")
    monkeypatch.setattr(study, "trained", _failing)
    assert run(tmp_path / "done").document["entries"] == whole.document["entries"]
    (tmp_path / "done" / "warmup-beta1.json").unlink()
    again = run(tmp_path / "done")
    assert entry(again.document, "warmup-beta1")["error"] == "RuntimeError: no such luck"
    assert "beta 1, warm-up failed" in again.report.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="every training failed; the first: RuntimeError: no such luck"):
        run(tmp_path / "new")


def test_another_study_is_refused(whole: BetaStudy) -> None:
    with pytest.raises(ConfigError, match=r"holds a study of beta of other settings \(steps: was "):
        run(whole.path, steps=7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": []}, "one or more weights"),
        ({"betas": [-1.0]}, "0 or more"),
        ({"remedies": ["prayer"]}, "choose from warmup, free_bits"),
        ({"latent_dim": 0}, "latent_dim=0"),
        ({"free_bits": 0.0}, "free_bits=0"),
        ({"beta_warmup": 0}, "beta_warmup=0"),
        ({"steps": 0}, "steps=0"),
        ({"speed": 3}, "takes no speed"),
    ],
)
def test_what_cannot_be_studied(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        run(tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def one(
    beta: float, bits: float, mse: float, active: int, variant: str = "plain", total: float = 1.0
) -> dict[str, Any]:
    return {
        "variant": variant, "beta": beta, "status": "done", "kl_bits": bits, "mse": mse, "snr_db": -mse,
        "active_units": active, "latent_dim": 4, "bits_per_dim": total,
    }  # fmt: skip


def test_claims_hold_where_the_numbers_say_so() -> None:
    good = [one(0.5, 9, 0.1, 4, total=1.2), one(1, 7, 0.2, 4), one(8, 1, 0.4, 1, total=1.4)]
    found = claims([*good, one(8, 3, 0.3, 3, "free_bits"), one(8, 1, 0.4, 1, "warmup")])
    assert [each["holds"] for each in found] == [True, True, True, True, False, True]
    nothing = claims([*good, one(8, 1.01, 0.4, 3, "free_bits")])[-1]
    assert "with free bits" in nothing["claim"]
    assert not nothing["holds"]  # they move, but say nothing
    assert "at beta 8: 1 of 4 active and 1.0 bits without, 3 and 3.0 with" in found[-1]["numbers"]
    bad = claims([one(0.5, 7, 0.2, 4, total=1.0), one(1, 9, 0.1, 4, total=1.1)])
    assert [each["holds"] for each in bad] == [False, False, False, False]
    assert claims([{"variant": "plain", "status": "failed"}]) == []


def test_collapse_in_words() -> None:
    assert "begins at beta 2: 3 of 4" in collapse_in_words([one(2, 1, 1, 1), one(1, 1, 1, 4)])
    assert "complete at beta 4" in collapse_in_words([one(2, 1, 1, 1), one(4, 1, 1, 0)])
    assert "all 4 latent numbers are active" in collapse_in_words([one(2, 1, 1, 4)])
    assert collapse_in_words([]) == ""


def test_the_report_needs_its_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'entries' is missing"):
        write_report({"data": {}}, tmp_path, tmp_path / "report.html")


def test_the_command_says_the_same(vq: Any) -> None:
    words = ("--betas", "1,1000", "--latent-dim", 4, "--hidden-channels", 8, "--steps", 2, "--remedies", "none")
    import numpy as np

    np.save("many.npy", np.random.default_rng(0).integers(0, 256, (100, 8, 8), dtype=np.uint8))
    found = vq("study", "beta", "many.npy", "--validation", 0.4, "--out", "s", *words)
    assert found.status == 0, found.err
    assert "beta 1000" in found.out
    assert "The larger beta, the fewer bits of latents." in found.out
    assert len(json.loads(Path("s/beta.json").read_text())["entries"]) == 2


def _failing(*arguments: Any, **named: Any) -> Any:
    raise RuntimeError("no such luck")
