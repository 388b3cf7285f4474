"""Networks for sound that give the same numbers in any pieces: strided convolutions (SEANet), a WaveNet decoder."""

from vqkit.networks.sound.convnext import ConvNeXtDecoder, ConvNeXtEncoder
from vqkit.networks.sound.network import SequenceNetwork, run_decoder
from vqkit.networks.sound.passes import StreamState
from vqkit.networks.sound.seanet import SEANetDecoder, SEANetEncoder
from vqkit.networks.sound.wavenet.decoder import WaveNetDecoder

__all__ = [
    "ConvNeXtDecoder",
    "ConvNeXtEncoder",
    "SEANetDecoder",
    "SEANetEncoder",
    "SequenceNetwork",
    "StreamState",
    "WaveNetDecoder",
    "run_decoder",
]
