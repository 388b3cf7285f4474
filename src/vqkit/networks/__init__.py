"""Encoders and decoders, written once for signals of 0 to 3 axes (vectors, sound, images, video)."""

from vqkit.networks.bottleneck import FromVector, ToVector
from vqkit.networks.decoder import Decoder
from vqkit.networks.encoder import Encoder
from vqkit.networks.layers import ResidualBlock, layer_widths
from vqkit.networks.linear_path import LinearPath, balanced
from vqkit.networks.padding import crop_to, grid_mask, grid_size, pad_to_multiple

__all__ = [
    "Decoder",
    "Encoder",
    "FromVector",
    "LinearPath",
    "ResidualBlock",
    "ToVector",
    "balanced",
    "crop_to",
    "grid_mask",
    "grid_size",
    "layer_widths",
    "pad_to_multiple",
]
