"""Networks for sound: strided causal or centered convolutions (SEANet) that give the same numbers in any pieces."""

from vqkit.networks.sound.convnext import ConvNeXtDecoder, ConvNeXtEncoder
from vqkit.networks.sound.network import SequenceNetwork, run_decoder
from vqkit.networks.sound.passes import StreamState
from vqkit.networks.sound.seanet import SEANetDecoder, SEANetEncoder

__all__ = [
    "ConvNeXtDecoder",
    "ConvNeXtEncoder",
    "SEANetDecoder",
    "SEANetEncoder",
    "SequenceNetwork",
    "StreamState",
    "run_decoder",
]
