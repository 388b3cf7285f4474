"""Models of networks as estimators: autoencoder, VAE, and the VQ-VAE of vectors."""

from __future__ import annotations

from typing import Any, ClassVar, final

import vqkit
from vqkit.models import Model
from vqkit.sklearn.base import ESTIMATORS, Rows, VectorEstimator


class _Trained(VectorEstimator):
    """What is trained by steps."""

    steps: int
    batch_size: int
    learning_rate: float
    hidden_channels: int

    def _settings(self, rows: Rows) -> dict[str, Any]:
        size = min(self.batch_size, len(rows))
        return {"steps": self.steps, "batch_size": size, "learning_rate": self.learning_rate, "threads": 1}

    def _sizes(self, rows: Rows) -> dict[str, Any]:
        inner = max(1, self.hidden_channels // 2)
        return {
            "axes": 0,
            "channels": rows.shape[1],
            "downsampling": 1,
            "hidden_channels": self.hidden_channels,
            "residual_channels": inner,
        }


class _Latent(_Trained):
    """An estimator whose codes are latents."""

    _model: ClassVar[Any]

    def __init__(
        self,
        n_components: int = 8,
        *,
        hidden_channels: int = 64,
        steps: int = 1000,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        output: str = "codes",
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.hidden_channels = hidden_channels
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.output = output
        self.random_state = random_state

    def _make(self, rows: Rows, seed: int) -> Model:
        made: Model = self._model(self.n_components, **self._sizes(rows))
        return made


@ESTIMATORS.register("Autoencoder")
@final
class Autoencoder(_Latent):
    """The autoencoder (``vqkit.Autoencoder``) of rows.

    Args:
        n_components: numbers in a latent.
        hidden_channels: width of the networks.
        steps: of training.
        batch_size: rows of a step, at most all.
        learning_rate: of AdamW.
        output: ``"codes"`` (latents) or ``"decoded"``.
        random_state: of weights and order.

    Example:
        >>> import numpy as np
        >>> from vqkit.sklearn import Autoencoder
        >>> rows = np.random.default_rng(0).normal(size=(50, 5))
        >>> Autoencoder(2, steps=5, random_state=0).fit_transform(rows).shape
        (50, 2)
    """

    _model = vqkit.Autoencoder


@ESTIMATORS.register("VAE")
@final
class VAE(_Latent):
    """The variational autoencoder (``vqkit.VAE``) of rows; codes are the means of their posteriors.

    Args:
        n_components: numbers in a latent.
        hidden_channels: width of the networks.
        steps: of training.
        batch_size: rows of a step, at most all.
        learning_rate: of AdamW.
        output: ``"codes"`` (latents) or ``"decoded"``.
        random_state: of weights, order and samples.

    Example:
        >>> import numpy as np
        >>> from vqkit.sklearn import VAE
        >>> rows = np.random.default_rng(0).normal(size=(50, 5))
        >>> VAE(2, steps=5, random_state=0).fit_transform(rows).shape
        (50, 2)
    """

    _model = vqkit.VAE


@ESTIMATORS.register("VQTransformer")
@final
class VQTransformer(_Trained):
    """The VQ-VAE (``vqkit.VQVAE``) of rows: a network, codebooks, a network.

    Args:
        codebook_size: codes of a codebook.
        n_codebooks: indices of a row.
        code_dim: numbers in a codeword of all codebooks together, a multiple of ``n_codebooks``.
        stacking: ``"residual"`` or ``"product"``, of several codebooks.
        hidden_channels: width of the networks.
        steps: of training.
        batch_size: rows of a step, at most all.
        learning_rate: of AdamW.
        output: ``"codes"`` (indices) or ``"decoded"``.
        random_state: of weights, order and codebooks.

    Example:
        >>> import numpy as np
        >>> from vqkit.sklearn import VQTransformer
        >>> rows = np.random.default_rng(0).normal(size=(50, 5))
        >>> VQTransformer(16, n_codebooks=2, steps=5, random_state=0).fit_transform(rows).shape
        (50, 2)
    """

    def __init__(
        self,
        codebook_size: int = 64,
        *,
        n_codebooks: int = 1,
        code_dim: int = 8,
        stacking: str = "residual",
        hidden_channels: int = 64,
        steps: int = 1000,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        output: str = "codes",
        random_state: Any = None,
    ) -> None:
        self.codebook_size = codebook_size
        self.n_codebooks = n_codebooks
        self.code_dim = code_dim
        self.stacking = stacking
        self.hidden_channels = hidden_channels
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.output = output
        self.random_state = random_state

    def _make(self, rows: Rows, seed: int) -> Model:
        several: dict[str, Any] = (
            {"num_codebooks": self.n_codebooks, "stacking": self.stacking} if self.n_codebooks > 1 else {}
        )
        options: dict[str, Any] = {"seed": seed}
        return vqkit.VQVAE(
            self.codebook_size, code_dim=self.code_dim, quantizer_options=options, **several, **self._sizes(rows)
        )
