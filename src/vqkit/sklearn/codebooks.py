"""Quantizers of vectors without networks as estimators: residual, product, optimized product."""

from __future__ import annotations

from typing import Any, ClassVar, final

from vqkit.models import Model, OptimizedProductQuantization, ProductQuantization, ResidualQuantization
from vqkit.sklearn.base import ESTIMATORS, Rows, VectorEstimator


@ESTIMATORS.register("ResidualKMeans")
@final
class ResidualKMeans(VectorEstimator):
    """Residual quantization (``vqkit.models.ResidualQuantization``): the sum of one code of each codebook.

    Args:
        n_clusters: codes of a codebook; 256 make an index a byte.
        n_codebooks: indices of a row, coarse to fine.
        beam: prefixes that the search keeps; 1 is the residual k-means of old.
        rounds: of search and least squares in training.
        output: ``"codes"`` or ``"decoded"``.
        random_state: of the first codes.

    Example:
        >>> import numpy as np
        >>> from vqkit.sklearn import ResidualKMeans
        >>> rows = np.random.default_rng(0).normal(size=(100, 5))
        >>> ResidualKMeans(8, n_codebooks=2, random_state=0).fit_transform(rows).shape
        (100, 2)
    """

    closed_form = True

    def __init__(
        self,
        n_clusters: int = 256,
        *,
        n_codebooks: int = 4,
        beam: int = 16,
        rounds: int = 25,
        output: str = "codes",
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_codebooks = n_codebooks
        self.beam = beam
        self.rounds = rounds
        self.output = output
        self.random_state = random_state

    def _make(self, rows: Rows, seed: int) -> Model:
        sizes: dict[str, Any] = {"num_codebooks": self.n_codebooks, "beam": self.beam, "rounds": self.rounds}
        return ResidualQuantization(self.n_clusters, channels=rows.shape[1], seed=seed, **sizes)


class _Product(VectorEstimator):
    """What both product quantizers share."""

    closed_form = True
    _model: ClassVar[Any]
    n_clusters: int
    n_codebooks: int
    iterations: int

    def _make(self, rows: Rows, seed: int) -> Model:
        parts = min(self.n_codebooks, rows.shape[1])
        made: Model = self._model(
            self.n_clusters, num_codebooks=parts, channels=rows.shape[1], iterations=self.iterations, seed=seed
        )
        return made


@ESTIMATORS.register("ProductQuantizer")
@final
class ProductQuantizer(_Product):
    """Product quantization (``vqkit.models.ProductQuantization``): parts of a row, each with a k-means codebook.

    Args:
        n_clusters: codes of a codebook.
        n_codebooks: parts of a row, at most one for each column.
        iterations: of k-means.
        output: ``"codes"`` or ``"decoded"``.
        random_state: of the first codes.

    Example:
        >>> import numpy as np
        >>> from vqkit.sklearn import ProductQuantizer
        >>> rows = np.random.default_rng(0).normal(size=(100, 6))
        >>> ProductQuantizer(8, n_codebooks=3, random_state=0).fit(rows).get_feature_names_out().tolist()
        ['productquantizer0', 'productquantizer1', 'productquantizer2']
    """

    _model = ProductQuantization

    def __init__(
        self,
        n_clusters: int = 256,
        *,
        n_codebooks: int = 4,
        iterations: int = 25,
        output: str = "codes",
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_codebooks = n_codebooks
        self.iterations = iterations
        self.output = output
        self.random_state = random_state


@ESTIMATORS.register("OptimizedProductQuantizer")
@final
class OptimizedProductQuantizer(_Product):
    """Optimized product quantization (``vqkit.models.OptimizedProductQuantization``): a rotation learned beside.

    Args:
        n_clusters: codes of a codebook.
        n_codebooks: parts of a rotated row, at most one for each column.
        iterations: in which rotation, indices and codebooks are improved in turn.
        output: ``"codes"`` or ``"decoded"``.
        random_state: of the first codes.

    Example:
        >>> import numpy as np
        >>> from vqkit.sklearn import OptimizedProductQuantizer
        >>> rows = np.random.default_rng(0).normal(size=(100, 6))
        >>> found = OptimizedProductQuantizer(8, n_codebooks=2, iterations=5, random_state=0).fit(rows)
        >>> found.inverse_transform(found.transform(rows)).shape
        (100, 6)
    """

    _model = OptimizedProductQuantization

    def __init__(
        self,
        n_clusters: int = 256,
        *,
        n_codebooks: int = 4,
        iterations: int = 50,
        output: str = "codes",
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_codebooks = n_codebooks
        self.iterations = iterations
        self.output = output
        self.random_state = random_state
