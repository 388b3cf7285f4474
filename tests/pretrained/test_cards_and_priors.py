"""Model cards, priors that are saved with their model, and classes of one's own in saved folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from vqkit import VQVAE, HistogramPrior, load_model, load_prior
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.models import MODELS
from vqkit.pretrained.card import ModelCard
from vqkit.pretrained.folder import read_config
from vqkit.priors import PRIORS, Prior, SamplingParams
from vqkit.registry import Registry

SMALL: dict[str, Any] = {"channels": 1, "code_dim": 4, "hidden_channels": 8, "residual_channels": 4}


def model(**options: Any) -> VQVAE:
    return VQVAE(16, **{**SMALL, **options}).eval()


def histogram() -> HistogramPrior:
    return HistogramPrior.of(torch.randint(16, (40, 2, 2), generator=torch.Generator().manual_seed(0)), 16)


# ---- cards


def test_a_card_says_licence_data_measures_and_how_to_use_it(tmp_path: Path) -> None:
    card = ModelCard(license="mit", data="40 photos", measured={"psnr_db": 31.25, "usage": 1.0, "ssim": None})
    model().save_pretrained(tmp_path, card=card)
    text = (tmp_path / "README.md").read_text()
    front = text.split("---\n")[1]
    assert 'license: "mit"' in front
    assert "library_name: vqkit" in front
    assert '- "vqvae"' in front
    assert "| PSNR, dB | 31.25 |" in text
    assert "SSIM" not in text
    assert "40 photos" in text
    assert '"codebook_size": 16' in text
    assert "vqkit.load_model(" in text


def test_a_card_follows_its_weights_and_only_them(tmp_path: Path) -> None:
    first = model()
    first.save_pretrained(tmp_path / "a", card=ModelCard(license="mit"))
    loaded = load_model(tmp_path / "a")
    loaded.save_pretrained(tmp_path / "b")
    assert (tmp_path / "b/README.md").read_bytes() == (tmp_path / "a/README.md").read_bytes()
    with torch.no_grad():
        next(loaded.parameters()).add_(1)
    loaded.save_pretrained(tmp_path / "b")
    assert "mit" not in (tmp_path / "b/README.md").read_text(), "measures of other weights would be wrong"


@pytest.mark.parametrize("text", ["mine", None])
def test_a_page_that_a_person_wrote_or_changed_stays(tmp_path: Path, text: str | None) -> None:
    model().save_pretrained(tmp_path)
    page = tmp_path / "README.md"
    mine = page.read_text() + "Thanks to all.\n" if text is None else text
    page.write_text(mine)
    other = model()
    other.save_pretrained(tmp_path, card=ModelCard(license="mit"))
    other.save_card(tmp_path, ModelCard(license="mit"))
    assert page.read_text() == mine


# ---- a prior beside its model


def test_a_prior_comes_back_with_its_model(tmp_path: Path) -> None:
    one, prior = model(), histogram()
    plain = tmp_path / "plain"
    one.save_pretrained(plain)
    one.use_prior(prior)
    one.save_pretrained(tmp_path / "m")
    for loaded in (load_model(tmp_path / "m"), VQVAE.from_pretrained(tmp_path / "m")):
        assert isinstance(loaded, VQVAE)
        assert isinstance(loaded.prior, HistogramPrior)
        assert torch.equal(loaded.prior.counts, prior.counts)
        assert loaded.config == one.config
    assert torch.equal(load_prior(tmp_path / "m" / "prior").log_prob(torch.zeros(1, 2, 2, dtype=torch.int64)),
                       prior.log_prob(torch.zeros(1, 2, 2, dtype=torch.int64)))  # fmt: skip
    assert sorted(entry.name for entry in plain.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert load_model(plain).prior is None  # type: ignore[attr-defined]


def test_a_prior_that_is_not_that_of_the_model_is_not_used(tmp_path: Path) -> None:
    one = model()
    one.use_prior(histogram())
    one.save_pretrained(tmp_path)
    HistogramPrior(16, [2, 2]).save_pretrained(tmp_path / "prior")
    with pytest.raises(ModelFolderError, match=r"prior: not the prior that was saved with this model"):
        load_model(tmp_path)
    one.use_prior(None)
    one.save_pretrained(tmp_path)
    assert load_model(tmp_path).prior is None, "an old one that lies there is no part of it"  # type: ignore[attr-defined]


def test_files_of_others_in_the_prior_folder_stay_and_nothing_is_written(tmp_path: Path) -> None:
    one = model()
    one.use_prior(histogram())
    (tmp_path / "prior").mkdir()
    (tmp_path / "prior" / "config.json").write_text('{"mine": 1}')
    with pytest.raises(ModelFolderError, match="no model of vqkit's"):
        one.save_pretrained(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["prior"]


def test_a_prior_that_cannot_be_saved_is_said(tmp_path: Path) -> None:
    class Bare:
        def sample(self, count: int, **_: Any) -> torch.Tensor: ...  # type: ignore[empty-body]
        def log_prob(self, indices: torch.Tensor) -> torch.Tensor: ...  # type: ignore[empty-body]

    one = model()
    one.use_prior(Bare())
    with pytest.warns(UserWarning, match="Bare, which is not saved"):
        one.save_pretrained(tmp_path)
    assert load_model(tmp_path).prior is None  # type: ignore[attr-defined]


# ---- classes of one's own


def test_a_registered_subclass_is_rebuilt_by_its_own_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubled(VQVAE):  # type: ignore[misc]
        def __init__(self, half: int, **options: Any) -> None:
            super().__init__(2 * half, **options)

    one = Doubled(8, **SMALL)
    assert one.config == {"half": 8, **SMALL}
    with pytest.raises(ConfigError, match=r"Doubled has no name of its own.*register"):
        one.save_pretrained(tmp_path)
    monkeypatch.setattr(MODELS, "_parts", dict(MODELS._parts))
    MODELS.register("doubled")(Doubled)
    one.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["vqkit_package"] == "tests"
    loaded = load_model(tmp_path)
    assert type(loaded) is Doubled
    signals = torch.rand(2, 1, 8, 8)
    assert torch.equal(loaded.encode(signals), one.eval().encode(signals))
    del MODELS._parts["doubled"]
    with pytest.raises(ModelFolderError, match=r"'doubled' is not known here: install the package 'tests', or import"):
        load_model(tmp_path)


def test_a_prior_of_ones_own_writes_no_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PRIORS, "_parts", dict(PRIORS._parts))

    @PRIORS.register("flat")
    class Flat(Prior):
        def __init__(self, codebook_size: int, grid: list[int], *, num_codebooks: int = 1, shift: float = 0.0) -> None:
            super().__init__()
            self.shift = torch.nn.Parameter(torch.full((codebook_size,), shift))

        def _log_prob(self, items: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
            return self.shift.log_softmax(0)[items].flatten(1).sum(1)

        def _sample(self, request: SamplingParams) -> torch.Tensor:
            return torch.zeros(request.count, self.positions, self.num_codebooks, dtype=torch.int64)

    prior = Flat(4, [2], shift=0.5)
    prior.save_pretrained(tmp_path)
    own = {"codebook_size": 4, "grid": [2], "num_codebooks": 1, "shift": 0.5}
    assert read_config(tmp_path) == ("flat", own)
    assert type(load_prior(tmp_path)) is Flat
    assert not Flat.takes("classes")
    with pytest.raises(ConfigError, match="shift='x'"):
        Flat(4, [2], shift="x")  # type: ignore[arg-type]


def test_registering_names_a_class_and_no_second_name_is_taken() -> None:
    class Base:
        name: str

    registry: Registry[type[Base]] = Registry("thing", "vqkit.things", Base, attribute="name")
    kind = registry.register("one")(type("One", (Base,), {}))
    assert kind.name == "one"
    with pytest.raises(ConfigError, match=r"One\.name is 'one'"):
        registry.register("two")(kind)
