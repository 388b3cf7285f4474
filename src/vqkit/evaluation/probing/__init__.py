"""Probes: what can be told of an item's label from its indices or its latents."""

from vqkit.evaluation.probing.intervals import bootstrap_interval, wilson_interval
from vqkit.evaluation.probing.linear import LinearProbe, linear_probe_accuracy
from vqkit.evaluation.probing.mapping import CodeLabels, chance_information_bits
from vqkit.evaluation.probing.pooling import default_parts, frequent_codes, index_shares, pooled, pooling_matrix
from vqkit.evaluation.probing.simple import describe_features, signal_features

__all__ = [
    "CodeLabels",
    "LinearProbe",
    "bootstrap_interval",
    "chance_information_bits",
    "default_parts",
    "describe_features",
    "frequent_codes",
    "index_shares",
    "linear_probe_accuracy",
    "pooled",
    "pooling_matrix",
    "signal_features",
    "wilson_interval",
]
