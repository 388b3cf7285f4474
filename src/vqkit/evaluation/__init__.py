"""Distortion, rate and codebook measures, over whole sets."""

from vqkit.evaluation.distortion import psnr_db, squared_error, ssim
from vqkit.evaluation.judgement import Evaluation, evaluate
from vqkit.evaluation.rate import RateReport, rate_report

__all__ = [
    "Evaluation",
    "RateReport",
    "evaluate",
    "psnr_db",
    "rate_report",
    "squared_error",
    "ssim",
]
