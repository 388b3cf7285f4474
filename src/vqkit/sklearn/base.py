"""Base of the estimators: a table of numbers to codes, latents or decoded rows, and back."""

from __future__ import annotations

import os
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

import vqkit
from vqkit.chance import seeded
from vqkit.checking import check_fields, reason
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.models import Model, load_model
from vqkit.registry import Registry
from vqkit.storage.atomic import write_json
from vqkit.storage.reading import read_json

Rows = np.ndarray[Any, Any]
OUTPUTS = ("codes", "decoded")
ESTIMATOR = "estimator.json"
_SEEDS = 1 << 31

ESTIMATORS: Registry[type[VectorEstimator]] = Registry("estimator", "vqkit.estimators")
"""Estimators by the name that their folders hold."""


class VectorEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Abstract: an estimator that fits a model of vectors.

    ``transform`` gives what ``output`` says: ``"codes"`` (indices int64 ``[n, codebooks]``, or latents of models
    without a codebook), or ``"decoded"`` (the rows that these stand for, float32 ``[n, features]``).
    ``inverse_transform`` gives rows for either. ``score`` is the negative mean squared error of the decoded rows, so
    that a grid search looks for the least.

    Attributes:
        model_: the fitted model of ``vqkit.models``.
        n_features_in_: columns.
    """

    output: str
    random_state: Any
    model_: Model
    closed_form: ClassVar[bool] = False

    @abstractmethod
    def _make(self, rows: Rows, seed: int) -> Model:
        """A new model for a table."""

    def _settings(self, rows: Rows) -> dict[str, Any]:
        """Of its training, beside the seed."""
        return {}

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to a table ``[n, features]``; the global random generators stay as they are.

        Raises:
            ValueError: no such table, or a parameter out of range.
        """
        del y
        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=2).astype(np.float32)
        if self.output not in OUTPUTS:
            raise ConfigError(f"output={self.output!r}: choose one of {', '.join(OUTPUTS)}")
        seed = int(check_random_state(self.random_state).randint(_SEEDS - 1))
        with seeded(seed):
            model = self._make(rows, seed)
        if self.closed_form:
            table = torch.from_numpy(rows)
            model.prepare([table])
            model.fit(lambda: table.split(_BATCH))
        else:
            with tempfile.TemporaryDirectory() as folder:
                settings = {"device": "cpu", "validation": rows[:_WATCHED], "evaluations": 0, **self._settings(rows)}
                vqkit.train(model, rows, out=f"{folder}/run", seed=seed, quiet=True, tensorboard=False, **settings)
        self.model_ = model.eval()
        self._n_features_out = rows.shape[1] if self.output == "decoded" else self._codes(rows[:1]).shape[1]
        return self

    def transform(self, X: Any) -> Rows:
        """Return codes or decoded rows of a table, as ``output`` says."""
        check_is_fitted(self, "model_")
        rows = validate_data(self, X, dtype=np.float64, reset=False).astype(np.float32)
        codes = self._codes(rows)
        return self._decoded(codes) if self.output == "decoded" else codes

    def inverse_transform(self, X: Any) -> Rows:
        """Return the rows ``[n, features]`` of what ``transform`` gives.

        Raises:
            ValueError: other columns, or indices out of range.
        """
        check_is_fitted(self, "model_")
        if self.output == "decoded":
            rows = check_array(X, dtype=np.float32)
            self._check_columns(rows, self.n_features_in_)
            return np.asarray(rows)
        codes = check_array(X, dtype=None if self.model_.discrete else np.float32)
        self._check_columns(codes, self._n_features_out)
        if self.model_.discrete:
            codes = _whole(codes)
        return self._decoded(codes)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the negative mean squared error of the decoded rows of a table."""
        del y
        check_is_fitted(self, "model_")
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        decoded = self._decoded(self._codes(rows.astype(np.float32)))
        return -float(np.square(decoded - rows).mean())

    def save(self, path: str | Path) -> None:
        """Write a model folder, which ``load`` and every command of vqkit read; no pickle in it.

        Example:
            >>> import tempfile, numpy as np
            >>> from vqkit.sklearn import PCA, load
            >>> rows = np.random.default_rng(0).normal(size=(20, 4))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     PCA(2).fit(rows).save(f"{folder}/pca")
            ...     load(f"{folder}/pca").transform(rows).shape
            (20, 2)

        Raises:
            ConfigError: a parameter that JSON does not say.
            ModelFolderError: other files of these names lie there.
        """
        check_is_fitted(self, "model_")
        said: dict[str, Any] = {
            "estimator": ESTIMATORS.name_of(type(self)),
            "parameters": {name: _plain(value) for name, value in self.get_params(deep=False).items()},
            "features": self.n_features_in_,
        }
        if hasattr(self, "feature_names_in_"):
            said["feature_names"] = [str(name) for name in self.feature_names_in_]
        _check_free(Path(path))
        self.model_.save_pretrained(path)
        write_json(Path(path) / ESTIMATOR, said)

    @staticmethod
    def _check_columns(rows: Rows, wanted: int) -> None:
        if rows.shape[1] != wanted:
            raise ValueError(
                f"X has {rows.shape[1]} features, but inverse_transform reads {wanted}, as transform gives"
            )

    def _codes(self, rows: Rows) -> Rows:
        parts = [
            self.model_.encode(torch.from_numpy(part)) for part in np.split(rows, range(_BATCH, len(rows), _BATCH))
        ]
        codes = torch.cat(parts).numpy()
        return codes[:, None] if codes.ndim == 1 else codes

    def _decoded(self, codes: Rows) -> Rows:
        model: Any = self.model_
        if model.discrete and model.num_codebooks == 1:
            codes = codes[:, 0]
        given = torch.from_numpy(np.ascontiguousarray(codes))
        return np.asarray(torch.cat([model.decode(part) for part in given.split(_BATCH)]).numpy())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _whole(codes: Rows) -> Rows:
    """Indices as int64. Raises ValueError for numbers that are not whole."""
    found = codes.astype(np.int64)
    if not np.array_equal(found, codes):
        raise ValueError("X holds numbers that are not whole, and inverse_transform reads indices, as transform gives")
    return found


_BATCH = 4096
_WATCHED = 256
"""Rows whose loss is measured when a training ends; nothing is held out: that is the caller's to do."""


def _plain(value: Any) -> Any:
    """A parameter as JSON says it.

    Raises:
        ConfigError: one that JSON does not say, such as a generator of random numbers.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, bool | int | float | str | None):
        raise ConfigError(
            f"a {type(value).__name__} as a parameter is not saved: give a number, such as random_state=0"
        )
    return value


def _check_free(path: Path) -> None:
    """Raise ``ModelFolderError`` where saving would overwrite an ``estimator.json`` that is none of ours."""
    file = path / ESTIMATOR
    if os.path.lexists(file):
        try:
            _said(path)
        except ModelFolderError as error:
            raise ModelFolderError(
                f"{file} is no estimator of vqkit's, and saving would overwrite it; name another folder, or remove it"
            ) from error


def _said(path: Path) -> dict[str, Any]:
    """What ``estimator.json`` says. Raises ModelFolderError where it cannot be read."""
    try:
        fields = {"estimator": str, "parameters": Mapping[str, Any], "features": int}
        said: dict[str, Any] = check_fields(read_json(path / ESTIMATOR), fields, {"feature_names": Sequence[str]})
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path}: no {ESTIMATOR} in it; estimators are saved with save(path)") from error
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path / ESTIMATOR}: damaged ({reason(error)}); save the estimator again") from error
    return said


def load(path: str | Path) -> VectorEstimator:
    """Return the estimator of a folder that ``save`` wrote.

    Raises:
        ModelFolderError: no such folder, or a damaged one.

    Example:
        >>> from vqkit.sklearn import load
        >>> load("nowhere")
        Traceback (most recent call last):
        ...
        vqkit.errors.ModelFolderError: nowhere: no estimator.json in it; estimators are saved with save(path)
    """
    said = _said(Path(path))
    kind, features = ESTIMATORS.get_part(said["estimator"]), int(said["features"])
    try:
        estimator: VectorEstimator = kind(**said["parameters"])
    except TypeError as error:
        raise ModelFolderError(f"{Path(path) / ESTIMATOR}: parameters of another {kind.__name__} ({error})") from error
    estimator.model_ = load_model(path).eval()
    if (estimator.model_.axes, estimator.model_.channels) != (0, features):
        raise ModelFolderError(f"{path}: the model is none of rows of {features:,} numbers, as {ESTIMATOR} says")
    estimator.n_features_in_ = features
    if "feature_names" in said:
        estimator.feature_names_in_ = np.array(said["feature_names"], dtype=object)
    width = estimator._codes(np.zeros((1, features), np.float32)).shape[1]
    estimator._n_features_out = features if estimator.output == "decoded" else width
    return estimator
