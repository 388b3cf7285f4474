"""Models of vectors as estimators of scikit-learn, for its pipelines and grid searches (extra ``sklearn``)."""

from vqkit.optional import require

require("sklearn", "estimators of scikit-learn")

from vqkit.sklearn.base import load  # noqa: E402
from vqkit.sklearn.codebooks import OptimizedProductQuantizer, ProductQuantizer, ResidualKMeans  # noqa: E402
from vqkit.sklearn.networks import VAE, Autoencoder, VQTransformer  # noqa: E402
from vqkit.sklearn.principal import PCA  # noqa: E402

__all__ = [
    "PCA",
    "VAE",
    "Autoencoder",
    "OptimizedProductQuantizer",
    "ProductQuantizer",
    "ResidualKMeans",
    "VQTransformer",
    "load",
]
