"""Encoders and decoders, written once for signals of 0 to 3 axes (vectors, sound, images, video)."""

from vqkit.networks.autoregressive import AutoregressiveNetwork, is_autoregressive
from vqkit.networks.base import Network, NetworkShape, check_emitted, shape_of
from vqkit.networks.bottleneck import FromVector, ToVector
from vqkit.networks.decoder import Decoder
from vqkit.networks.encoder import Encoder
from vqkit.networks.folding import FoldedDecoder, FoldedEncoder
from vqkit.networks.layers import ResidualBlock, layer_widths
from vqkit.networks.linear_path import LinearPath, balanced
from vqkit.networks.padding import crop_to, grid_mask, grid_size, pad_to_multiple, repeat_last
from vqkit.networks.published import (
    DACDecoder,
    DACEncoder,
    EnCodecDecoder,
    EnCodecEncoder,
    VQGANDecoder,
    VQGANEncoder,
)
from vqkit.networks.registry import DECODERS, ENCODERS, build_network, check_saves, network_config
from vqkit.networks.sound import (
    ConvNeXtDecoder,
    ConvNeXtEncoder,
    SEANetDecoder,
    SEANetEncoder,
    SequenceNetwork,
    StreamState,
    WaveNetDecoder,
    run_decoder,
)

__all__ = [
    "DECODERS",
    "ENCODERS",
    "AutoregressiveNetwork",
    "DACDecoder",
    "DACEncoder",
    "Decoder",
    "EnCodecDecoder",
    "EnCodecEncoder",
    "Encoder",
    "FoldedDecoder",
    "FoldedEncoder",
    "FromVector",
    "LinearPath",
    "Network",
    "NetworkShape",
    "ResidualBlock",
    "ConvNeXtDecoder",
    "ConvNeXtEncoder",
    "SEANetDecoder",
    "SEANetEncoder",
    "SequenceNetwork",
    "StreamState",
    "ToVector",
    "VQGANDecoder",
    "VQGANEncoder",
    "WaveNetDecoder",
    "balanced",
    "build_network",
    "check_emitted",
    "check_saves",
    "crop_to",
    "grid_mask",
    "grid_size",
    "is_autoregressive",
    "layer_widths",
    "network_config",
    "pad_to_multiple",
    "repeat_last",
    "run_decoder",
    "shape_of",
]
