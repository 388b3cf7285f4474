"""Pure functions on tensors: nearest code, gradient estimators, codebook statistics, k-means."""

from vqkit.ops.collectives import all_reduce_sum_, gather_rows, rank_and_world
from vqkit.ops.gradients import GRADIENTS, rotation, straight_through
from vqkit.ops.kmeans import kmeans
from vqkit.ops.nearest import nearest_code
from vqkit.ops.precision import float64
from vqkit.ops.sphere import on_sphere
from vqkit.ops.statistics import (
    code_sums,
    codebook_histograms,
    entropy_bits,
    index_histogram,
    laplace_smoothed,
    perplexity,
    usage,
)

__all__ = [
    "GRADIENTS",
    "all_reduce_sum_",
    "code_sums",
    "codebook_histograms",
    "entropy_bits",
    "float64",
    "gather_rows",
    "index_histogram",
    "kmeans",
    "laplace_smoothed",
    "nearest_code",
    "on_sphere",
    "perplexity",
    "rank_and_world",
    "rotation",
    "straight_through",
    "usage",
]
