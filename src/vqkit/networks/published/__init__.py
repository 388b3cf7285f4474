"""Networks of published tokenizers, layer by layer, so that their weights can be read and written."""

from vqkit.networks.published.dac import DACDecoder, DACEncoder
from vqkit.networks.published.encodec import EnCodecDecoder, EnCodecEncoder
from vqkit.networks.published.vqgan import VQGANDecoder, VQGANEncoder

__all__ = ["DACDecoder", "DACEncoder", "EnCodecDecoder", "EnCodecEncoder", "VQGANDecoder", "VQGANEncoder"]
