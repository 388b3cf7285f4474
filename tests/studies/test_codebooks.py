"""The study of codebooks: complete, repeatable, resumable, and what it says of bad input."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.results.cases import check
from vqkit.data import ArraySource, Source, load_source
from vqkit.errors import ConfigError, DataError
from vqkit.models import load_model
from vqkit.ops import codebook_histograms, perplexity, usage
from vqkit.studies.codebooks import study as study
from vqkit.studies.codebooks.collapse import collapse_in_words
from vqkit.studies.codebooks.quantizers import QuantizerSpec
from vqkit.studies.codebooks.report import write_report
from vqkit.studies.codebooks.settings import COLLAPSING, CodebooksConfig
from vqkit.studies.codebooks.study import CodebookStudy, claims, codebooks
from vqkit.training import TrainConfig
from vqkit.training.inputs.holdout import validation_split

TINY: dict[str, Any] = {
    "sizes": [4, 9], "quantizers": ["ema", "lfq", "gradient:num_codebooks=2:restart_below=0"], "steps": 6,
    "hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 2, "batch_size": 16,
    "validation": 0.25,
}  # fmt: skip


def few_digits() -> Source:
    return load_source("digits").subset(range(120))


def run(out: Path, data: Any = None, **options: Any) -> CodebookStudy:
    return codebooks(few_digits() if data is None else data, out, quiet=True, **{**TINY, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> CodebookStudy:
    return run(tmp_path_factory.mktemp("study") / "whole")


def entry(document: dict[str, Any], name: str, size: int) -> dict[str, Any]:
    (found,) = [each for each in document["entries"] if (each["name"], each["codebook_size"]) == (name, size)]
    return dict(found)


def test_every_quantizer_is_there_at_every_size(whole: CodebookStudy) -> None:
    entries = whole.document["entries"]
    assert len(entries) == 6
    assert json.loads((whole.path / "codebooks.json").read_text()) == whole.document
    check("codebooks", whole.document)
    assert entry(whole.document, "lfq", 9)["status"] == "failed"
    assert "powers of 2" in entry(whole.document, "lfq", 9)["error"]
    assert sum(each["status"] == "done" for each in entries) == 5
    for each in (one for one in entries if one["status"] == "done"):
        assert 0 < each["usage_all"] <= 1
        assert 1 <= each["perplexity_all"] <= each["codes_each"] + 1e-6
        assert each["entropy_bits_per_position"] <= each["bits_per_position"] + 1e-9
        assert each["items_all"] == 120
        assert len(each["curve"]) == 6


def test_several_codebooks_share_the_bits(whole: CodebookStudy) -> None:
    found = entry(whole.document, "gradient:num_codebooks=2:restart_below=0", 9)
    assert found["codes_each"] == 3
    assert found["bits_per_position"] == pytest.approx(np.log2(9))
    assert found["positions_all"] == 120 * 16


def test_usage_is_counted_over_the_whole_data(whole: CodebookStudy) -> None:
    model: Any = load_model(whole.path / "ema-k9" / "run" / "model")
    source = few_digits()
    indices = model.encode(torch.from_numpy(source.gather(range(120))))
    histogram = codebook_histograms(indices, 9)
    found = entry(whole.document, "ema", 9)
    assert found["positions_all"] == indices.numel()
    assert found["usage_all"] == pytest.approx(usage(histogram))
    assert found["perplexity_all"] == pytest.approx(perplexity(histogram))


def test_entropy_under_held_out_is_of_the_held_out_items(whole: CodebookStudy) -> None:
    source = few_digits()
    _, held_out = validation_split(source, TrainConfig(steps=1, validation=TINY["validation"]))
    assert len(held_out) == 30
    for name, books, each in (("ema", 1, 9), ("gradient:num_codebooks=2:restart_below=0", 2, 3)):
        found = entry(whole.document, name, 9)
        model: Any = load_model(whole.path / QuantizerSpec.parse(name).slug(9) / "run" / "model")
        for items, key in ((held_out, "entropy_bits_per_position"), (source, "entropy_bits_per_position_all")):
            indices = model.encode(torch.from_numpy(items.gather(range(len(items)))))
            assert found[key] == pytest.approx(_entropy(codebook_histograms(indices, each, books).numpy()), abs=1e-6)


def _entropy(counts: Any) -> float:
    """Bits of all codebooks together."""
    shares = counts / counts.sum(axis=-1, keepdims=True)
    return float(-(shares * np.log2(np.maximum(shares, 1e-12))).sum())


def test_collapse_is_named_where_fewer_than_half_of_the_codes_occur() -> None:
    def one(name: str, used: float, positions: int = 1000) -> dict[str, Any]:
        return {"name": name, "codebook_size": 64, "codes_each": 64, "status": "done", "usage_all": used,
                "perplexity_all": 5.2, "positions_all": positions}  # fmt: skip

    told = collapse_in_words([one("a", 1.0), one("b", 0.17)])
    assert "It happened to b, 64 codes: 17.0% occur, perplexity 5." in told
    assert "No codebook collapse" in collapse_in_words([one("a", 0.5), one("few positions", 0.4, 60)])
    assert collapse_in_words([{"status": "failed"}]) == ""


def test_without_restarts_and_sphere_a_codebook_collapses(tmp_path: Path) -> None:
    assert COLLAPSING in CodebooksConfig().quantizers
    options = {"sizes": [64], "quantizers": [COLLAPSING], "steps": 30, "code_dim": 16, "learning_rate": 0.01}
    found = run(tmp_path / "s", **options)
    (fallen,) = found.document["entries"]
    assert fallen["usage_all"] < 0.5
    assert f"It happened to {COLLAPSING}, 64 codes" in found.document["collapse"]
    assert found.document["collapse"].split(".")[0] in found.report.read_text(encoding="utf-8")


def test_positions_bound_what_is_counted(tmp_path: Path) -> None:
    found = run(tmp_path / "s", sizes=[4], quantizers=["ema"], positions=100, data=load_source("digits"))
    assert found.document["entries"][0]["positions_all"] < 16 * len(load_source("digits"))


def test_the_report_opens_offline(whole: CodebookStudy) -> None:
    text = whole.report.read_text(encoding="utf-8")
    assert "Error over the size of the codebook" in text
    assert "gradient:num_codebooks=2:restart_below=0" in text
    assert "lfq, 9 codes failed" in text
    assert "data:image/png;base64," in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert (whole.path / "pictures" / "reconstructions.png").is_file()


def test_a_second_call_trains_nothing(whole: CodebookStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole.path, tmp_path / "done")
    monkeypatch.setattr(study, "trained", _failing)
    again = run(tmp_path / "done", quantizers=TINY["quantizers"])
    done = [each for each in whole.document["entries"] if each["status"] == "done"]
    assert [each for each in again.document["entries"] if each["status"] == "done"] == done


def test_an_interrupted_study_goes_on_to_the_same_numbers(
    whole: CodebookStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = study.trained, []

    def stopping(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(study, "trained", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "s")
    monkeypatch.setattr(study, "trained", real)
    again = run(tmp_path / "s").document["entries"]
    for mine, theirs in zip(again, whole.document["entries"], strict=True):
        for name in ("status", "mse", "usage_all", "perplexity_all"):
            assert mine.get(name) == theirs.get(name)


def test_vectors_have_no_pictures_and_no_psnr(tmp_path: Path) -> None:
    vectors = ArraySource(np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32), name="vectors")
    found = run(tmp_path / "s", vectors, sizes=[8], quantizers=["ema"], downsampling=1)
    (one,) = found.document["entries"]
    assert one["psnr_db"] is None
    assert np.isfinite(one["snr_db"])
    assert found.document["pictures"] == {}
    assert "SNR of held-out items" in found.report.read_text(encoding="utf-8")


def test_photos_of_several_sizes(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "photos").mkdir()
    generator = np.random.default_rng(0)
    for number in range(8):
        pixels = generator.integers(0, 255, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    found = run(tmp_path / "s", tmp_path / "photos", sizes=[4], quantizers=["ema"], crop=16)
    pixels = sum((20 + number) * 30 for number in range(8))
    assert found.document["entries"][0]["items_all"] == 64 * -(-pixels // (64 * 16 * 16))
    assert found.document["pictures"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": []}, "one or more sizes"),
        ({"sizes": [1]}, "at least 2 codes"),
        ({"sizes": ["many"]}, "a list, each a whole number"),
        ({"quantizers": ["vq"]}, "known: ema, "),
        ({"quantizers": ["ema:levels=3"]}, "the options of ema are: "),
        ({"quantizers": ["ema:beta"]}, "KIND:OPTION=VALUE"),
        ({"quantizers": ["ema:beta=-1"]}, "beta=-1"),
        ({"quantizers": ["ema", "ema"]}, "name each once"),
        ({"quantizers": ["ema:num_codebooks=0"]}, "num_codebooks is a whole number"),
        ({"sizes": [5], "quantizers": ["ema:num_codebooks=2"]}, "5 codewords cannot be shared"),
        ({"steps": 0}, "steps=0"),
        ({"speed": 3}, "takes no speed"),
    ],
)
def test_what_cannot_be_studied(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        run(tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_another_study_is_refused(whole: CodebookStudy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds a study of codebooks of other settings \(steps: was "):
        run(whole.path, steps=7)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not a study of codebooks"):
        run(tmp_path / "x")


def test_when_everything_fails_so_does_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "trained", _failing)
    with pytest.raises(ConfigError, match="every training failed; the first: RuntimeError: no such luck"):
        run(tmp_path / "s")
    assert "no such luck" in (tmp_path / "s" / "ema-k4" / "error.txt").read_text()


def test_claims_hold_where_the_numbers_say_so() -> None:
    def one(size: int, used: float, mse: float) -> dict[str, Any]:
        return {"name": "a", "codebook_size": size, "status": "done", "usage_all": used, "mse": mse, "snr_db": 1.0}

    good = claims([one(4, 1.0, 0.2), one(8, 0.995, 0.1)])
    assert [each["holds"] for each in good] == [True, True]
    bad = claims([one(4, 1.0, 0.1), one(8, 0.98, 0.1)])
    assert [each["holds"] for each in bad] == [False, False]
    assert len(claims([one(4, 1.0, 0.1)])) == 1
    assert claims([{"name": "a", "codebook_size": 4, "status": "failed"}]) == []


def test_names_and_options_of_contenders() -> None:
    found = QuantizerSpec.parse("ema:num_codebooks=2:stacking=residual:gradient=rotation:beta=0.5")
    assert found.settings(64) == {
        "codebook_size": 8,
        "quantizer": "ema",
        "quantizer_options": {"gradient": "rotation", "beta": 0.5},
        "num_codebooks": 2,
        "stacking": "residual",
    }
    assert found.slug(64) == "ema-num_codebooks-2-stacking-residual-gradient-rotation-beta-0.5-k64"


def test_the_report_needs_its_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'entries' is missing"):
        write_report({"data": {}}, tmp_path, tmp_path / "report.html")


def _failing(*arguments: Any, **named: Any) -> Any:
    raise RuntimeError("no such luck")


def test_levels_are_contenders_with_bits_of_the_finest_grid(tmp_path: Path) -> None:
    names = ["hierarchical:scales=[1,2]:dropout=0", "multiscale", "wavelet"]
    found = run(tmp_path / "levels", quantizers=names, sizes=[4]).document["entries"]
    assert [each["status"] for each in found] == ["done"] * 3, [each["error"] for each in found]
    assert [each["bits_per_position"] for each in found] == [2 * 5 / 4, 2 * 21 / 16, 2.0]
    assert {each["positions_all"] for each in found} == {120 * 16}
    assert not any("encoder" in each["differs"] for each in found)
    with pytest.raises(ConfigError, match=r"options of multiscale are: .*scales"):
        QuantizerSpec.parse("multiscale:num_codebooks=2")
