"""Networks whose outputs are the same integers on every device: what an entropy coder may stand on."""

from vqkit.deprecation import moved
from vqkit.exact.formats import ACTIVATION, FAN_IN, LOGIT, SIGNED, STREAM, Format
from vqkit.exact.integers import Affine, IntegerConv, IntegerRescale, add_to_stream, gathered
from vqkit.exact.layers import ExactConv, ExactEmbedding, ExactLayer, ExactRescale, set_storage_dtype
from vqkit.exact.neighbors import among, neighbors, reached
from vqkit.exact.probabilities import TOTAL_BITS, exponentials, frequencies, frequencies_of, weights_of
from vqkit.exact.products import exact_matmul, int8_helps
from vqkit.exact.residual import ExactBlock
from vqkit.exact.rounding import quantized_activation, quantized_parameter, scaled

__all__ = [
    "ACTIVATION",
    "Affine",
    "ExactBlock",
    "ExactConv",
    "ExactEmbedding",
    "ExactLayer",
    "ExactRescale",
    "FAN_IN",
    "Format",
    "IntegerConv",
    "IntegerRescale",
    "LOGIT",
    "SIGNED",
    "STREAM",
    "TOTAL_BITS",
    "add_to_stream",
    "among",
    "exact_matmul",
    "exponentials",
    "frequencies",
    "frequencies_of",
    "gathered",
    "int8_helps",
    "neighbors",
    "quantized_activation",
    "quantized_parameter",
    "reached",
    "scaled",
    "set_storage_dtype",
    "weights_of",
]

__getattr__ = moved(
    __name__,
    {
        "neighbours": "vqkit.exact:neighbors",
        "quantised_activation": "vqkit.exact:quantized_activation",
        "quantised_parameter": "vqkit.exact:quantized_parameter",
        "use_carrier": "vqkit.exact:set_storage_dtype",
    },
)
