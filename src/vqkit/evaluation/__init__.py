"""Distortion, rate and codebook measures, over whole sets."""

from vqkit.deprecation import moved
from vqkit.evaluation.bd_rate import BdRate, bd_rate
from vqkit.evaluation.classifier import Classifier, ClassifierFeatures, train_classifier
from vqkit.evaluation.distortion import psnr_db, squared_error, ssim
from vqkit.evaluation.evaluation import Evaluation, evaluate
from vqkit.evaluation.features import RandomFeatures, extract, feature_network
from vqkit.evaluation.generation import (
    GenerationReport,
    density_coverage,
    frechet_distance,
    judge_generation,
    precision_recall,
)
from vqkit.evaluation.importance import importance_bits_per_dim
from vqkit.evaluation.latent_bits import LatentQuantizer, QuantizedLatents
from vqkit.evaluation.measures import MEASURES, KnownMeasure
from vqkit.evaluation.memorization import NearestItems, nearest_items, repeated_share
from vqkit.evaluation.ms_ssim import ms_ssim, ms_ssim_db
from vqkit.evaluation.probing import CodeLabels, LinearProbe, linear_probe_accuracy
from vqkit.evaluation.rate import BitsPerDim, RateReport, rate_report
from vqkit.evaluation.rate_curve import measure_rates
from vqkit.evaluation.sound import SoundQuality

__all__ = [
    "BdRate",
    "BitsPerDim",
    "Classifier",
    "ClassifierFeatures",
    "CodeLabels",
    "Evaluation",
    "MEASURES",
    "GenerationReport",
    "KnownMeasure",
    "LatentQuantizer",
    "LinearProbe",
    "NearestItems",
    "QuantizedLatents",
    "RandomFeatures",
    "RateReport",
    "SoundQuality",
    "bd_rate",
    "density_coverage",
    "evaluate",
    "extract",
    "feature_network",
    "frechet_distance",
    "importance_bits_per_dim",
    "judge_generation",
    "linear_probe_accuracy",
    "measure_rates",
    "ms_ssim",
    "ms_ssim_db",
    "nearest_items",
    "precision_recall",
    "psnr_db",
    "rate_report",
    "repeated_share",
    "squared_error",
    "ssim",
    "train_classifier",
]

__getattr__ = moved(
    __name__,
    {"LatentQuantiser": "vqkit.evaluation:LatentQuantizer", "QuantisedLatents": "vqkit.evaluation:QuantizedLatents"},
)
