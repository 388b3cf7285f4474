"""Pairs of an encoder and a decoder: encode, decode, loss; saved as folders."""

from vqkit.models.autoencoder import Autoencoder
from vqkit.models.base import Model
from vqkit.models.conversion.quantization import divergence_bits, quantize
from vqkit.models.conversion.target import DivergenceTarget
from vqkit.models.indices import IndexModel
from vqkit.models.output import LatentCost, ModelOutput
from vqkit.models.pca import PCA
from vqkit.models.rates.rate import Rate, model_rates, rate_lines
from vqkit.models.registry import MODELS, load_model
from vqkit.models.scoring import ItemMaps, LatentScores, ScoreReference, Scores
from vqkit.models.streams.stream import Stream
from vqkit.models.vae import VAE, active_units
from vqkit.models.vectors.product import OptimizedProductQuantization, ProductQuantization
from vqkit.models.vectors.residual import ResidualQuantization
from vqkit.models.vqvae import VQVAE

__all__ = [
    "MODELS",
    "PCA",
    "VAE",
    "VQVAE",
    "Autoencoder",
    "DivergenceTarget",
    "IndexModel",
    "ItemMaps",
    "LatentCost",
    "LatentScores",
    "Model",
    "ModelOutput",
    "OptimizedProductQuantization",
    "ProductQuantization",
    "Rate",
    "ResidualQuantization",
    "ScoreReference",
    "Scores",
    "Stream",
    "active_units",
    "divergence_bits",
    "load_model",
    "model_rates",
    "quantize",
    "rate_lines",
]
