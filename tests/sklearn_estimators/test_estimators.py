"""Estimators of scikit-learn: its own checks, a pipeline, a grid search, its pickles, and folders without any."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the extra sklearn is not installed")
from sklearn import decomposition
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from vqkit import load_model
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.sklearn import (
    PCA,
    VAE,
    Autoencoder,
    OptimizedProductQuantizer,
    ProductQuantizer,
    ResidualKMeans,
    VQTransformer,
    load,
)

SHORT: dict[str, Any] = {"steps": 2, "hidden_channels": 8, "batch_size": 16}
QUICK: list[Any] = [
    PCA(2),
    ResidualKMeans(4, n_codebooks=2, rounds=2, beam=2),
    ProductQuantizer(4, n_codebooks=2, iterations=3),
    OptimizedProductQuantizer(4, n_codebooks=2, iterations=3),
]
NETWORKS: list[Any] = [VQTransformer(4, n_codebooks=2, code_dim=4, **SHORT), Autoencoder(2, **SHORT), VAE(2, **SHORT)]


def name(estimator: Any) -> str:
    return type(estimator).__name__


@pytest.fixture(scope="module")
def rows() -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5)) + 3


@pytest.mark.parametrize("estimator", QUICK, ids=name)
def test_scikit_learns_own_checks(estimator: Any) -> None:
    check_estimator(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", NETWORKS, ids=name)
def test_scikit_learns_own_checks_of_networks(estimator: Any) -> None:
    check_estimator(estimator)


@pytest.mark.parametrize("estimator", [*QUICK, *NETWORKS], ids=name)
def test_it_goes_through_a_pickle_and_a_folder(estimator: Any, rows: Any, tmp_path: Path) -> None:
    found = estimator.set_params(random_state=0).fit(rows)
    codes = found.transform(rows)
    again = pickle.loads(pickle.dumps(found))  # noqa: S301
    found.save(tmp_path / "folder")
    loaded = load(tmp_path / "folder")
    for other in (again, loaded):
        assert np.array_equal(other.transform(rows), codes)
        assert np.array_equal(other.inverse_transform(codes), found.inverse_transform(codes))
        assert list(other.get_feature_names_out()) == list(found.get_feature_names_out())
    assert loaded.get_params() == found.get_params()
    assert load_model(tmp_path / "folder").channels == 5
    assert not [path for path in (tmp_path / "folder").iterdir() if path.suffix in (".pkl", ".pt", ".bin")]


def test_pca_is_scikit_learns(rows: Any) -> None:
    scores, reference = PCA(3).fit_transform(rows), decomposition.PCA(3).fit_transform(rows)
    signs = np.sign((scores * reference).sum(axis=0))
    assert np.allclose(scores * signs, reference, atol=1e-4)


def test_decoded_rows_are_those_of_the_codes(rows: Any) -> None:
    codes = ResidualKMeans(8, n_codebooks=2, random_state=0).fit(rows)
    decoded = ResidualKMeans(8, n_codebooks=2, random_state=0, output="decoded").fit(rows)
    assert np.array_equal(decoded.transform(rows), codes.inverse_transform(codes.transform(rows)))
    assert len(decoded.get_feature_names_out()) == 5
    assert codes.score(rows) == pytest.approx(-np.square(decoded.transform(rows) - rows).mean())


def test_a_pipeline_and_a_grid_search(rows: Any) -> None:
    labels = (rows[:, 0] > rows[:, 0].mean()).astype(int)
    pipeline = make_pipeline(
        StandardScaler(),
        ProductQuantizer(4, n_codebooks=5, iterations=3, random_state=0),
        OneHotEncoder(handle_unknown="ignore"),
        LogisticRegression(),
    )
    assert pipeline.fit(rows, labels).score(rows, labels) > 0.8
    grid = GridSearchCV(ResidualKMeans(rounds=3, random_state=0), {"n_clusters": [2, 8]}, cv=2).fit(rows)
    assert grid.best_params_ == {"n_clusters": 8}


def test_what_is_wrong_is_said(rows: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="codes, decoded"):
        PCA(output="x").fit(rows)
    found = PCA(2, random_state=np.random.RandomState(0)).fit(rows)
    with pytest.raises(ConfigError, match="random_state=0"):
        found.save(tmp_path / "folder")
    with pytest.raises(ValueError, match="reads 2"):
        found.inverse_transform(rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ("[1]", "damaged"),
        ('{"estimator": "PCA", "parameters": {}, "features": "x"}', "damaged .*whole number"),
        ('{"estimator": "PCA", "parameters": {"mine": 1}, "features": 4}', "parameters of another PCA"),
        ('{"estimator": "PCA", "parameters": {}, "features": 7}', "none of rows of 7 numbers"),
    ],
)
def test_a_damaged_folder_is_one_line(rows: Any, tmp_path: Path, text: str, words: str) -> None:
    PCA(2).fit(rows).save(tmp_path / "pca")
    (tmp_path / "pca" / "estimator.json").write_text(text)
    with pytest.raises(ModelFolderError, match=words):
        load(tmp_path / "pca")


def test_a_file_of_another_program_stays(rows: Any, tmp_path: Path) -> None:
    (tmp_path / "estimator.json").write_text('{"mine": true}')
    with pytest.raises(ModelFolderError, match="would overwrite it"):
        PCA(2).fit(rows).save(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["estimator.json"]
    PCA(2).fit(rows).save(tmp_path / "mine")
    PCA(3).fit(rows).save(tmp_path / "mine")
    assert load(tmp_path / "mine").get_params()["n_components"] == 3


def test_parts_of_an_index_are_none(rows: Any) -> None:
    fitted = ProductQuantizer(4, n_codebooks=2, iterations=2).fit(rows)
    assert np.array_equal(
        fitted.inverse_transform(np.array([[1.0, 2.0]])), fitted.inverse_transform(np.array([[1, 2]]))
    )
    with pytest.raises(ValueError, match="not whole"):
        fitted.inverse_transform(np.array([[1.0, 0.5]]))
