"""Pairs of an encoder and a decoder: encode, decode, loss; saved as folders."""

from vqkit.models.base import Model, ModelOutput
from vqkit.models.folder import load_model
from vqkit.models.vqvae import VQVAE

__all__ = ["VQVAE", "Model", "ModelOutput", "load_model"]
