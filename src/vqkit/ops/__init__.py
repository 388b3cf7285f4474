"""Pure functions on tensors: nearest code, gradient estimators, codebook statistics, k-means, spectra."""

from vqkit.ops.assignment.kmeans import kmeans
from vqkit.ops.assignment.nearest import nearest_code
from vqkit.ops.assignment.soft import SoftAssignment, soft_assignment
from vqkit.ops.assignment.statistics import (
    code_sums,
    codebook_histograms,
    entropy_bits,
    index_histogram,
    laplace_smoothed,
    perplexity,
    usage,
)
from vqkit.ops.binary_entropy import bit_entropy, mean_code_probabilities
from vqkit.ops.collectives import all_reduce_sum_, gather_rows, global_mean, rank_and_world
from vqkit.ops.gradients import GRADIENTS, rotation, straight_through
from vqkit.ops.modes import evaluating
from vqkit.ops.precision import float64
from vqkit.ops.spectra import mel_filters, mel_magnitude, stft_magnitude
from vqkit.ops.sphere import on_sphere

__all__ = [
    "GRADIENTS",
    "SoftAssignment",
    "all_reduce_sum_",
    "bit_entropy",
    "code_sums",
    "codebook_histograms",
    "entropy_bits",
    "evaluating",
    "float64",
    "gather_rows",
    "global_mean",
    "index_histogram",
    "kmeans",
    "laplace_smoothed",
    "mean_code_probabilities",
    "mel_filters",
    "mel_magnitude",
    "nearest_code",
    "on_sphere",
    "perplexity",
    "rank_and_world",
    "rotation",
    "soft_assignment",
    "stft_magnitude",
    "straight_through",
    "usage",
]
