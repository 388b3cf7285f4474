"""Principal component analysis as an estimator."""

from __future__ import annotations

from typing import Any, final

import vqkit
from vqkit.models import Model
from vqkit.sklearn.base import ESTIMATORS, Rows, VectorEstimator


@ESTIMATORS.register("PCA")
@final
class PCA(VectorEstimator):
    """Principal component analysis (``vqkit.PCA``), the first rung of the ladder.

    Args:
        n_components: numbers in the scores, at most the rows and columns there are; None: as many.
        whiten: whether scores have unit variance.
        output: ``"codes"`` (scores) or ``"decoded"``.
        random_state: of the randomised method of wide tables.

    Example:
        >>> import numpy as np
        >>> from vqkit.sklearn import PCA
        >>> rows = np.random.default_rng(0).normal(size=(50, 5))
        >>> PCA(2).fit_transform(rows).shape
        (50, 2)
    """

    closed_form = True

    def __init__(
        self, n_components: int | None = None, *, whiten: bool = False, output: str = "codes", random_state: Any = None
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.output = output
        self.random_state = random_state

    def _make(self, rows: Rows, seed: int) -> Model:
        most = min(rows.shape)
        components = most if self.n_components is None else min(self.n_components, most)
        return vqkit.PCA(components, whiten=self.whiten, axes=0, channels=rows.shape[1])
