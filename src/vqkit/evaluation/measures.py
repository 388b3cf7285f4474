"""Measures by the names that results give them: title, unit, which way is better, digits to show, paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class KnownMeasure:
    """What is known of a measure, for the head of a column or the label of an axis.

    Attributes:
        title: its name as papers write it.
        about: what it is, in a sentence.
        unit: of its numbers; none where they have none.
        better: which way is better; None: neither.
        digits: after the decimal point, as papers print it; None: three significant ones.
        percent: a fraction that is printed in per cent.
        citations: keys of vqkit's references; none of what every textbook has.

    Example:
        >>> from vqkit.evaluation import MEASURES
        >>> MEASURES["psnr_db"].title, MEASURES["psnr_db"].unit, MEASURES["psnr_db"].better
        ('PSNR', 'dB', 'high')
    """

    title: str
    about: str
    unit: str = ""
    better: Literal["low", "high"] | None = None
    digits: int | None = None
    percent: bool = False
    citations: tuple[str, ...] = ()


_DAC, _NEAREST = ("kumar2023high",), ("jegou2011product",)
_RECALL = "Fraction of queries whose true nearest neighbour is among the first {}, by distances to decoded vectors."
MEASURES: Mapping[str, KnownMeasure] = MappingProxyType(
    {
        # error
        "mse": KnownMeasure(title="MSE", about="Mean squared error over all values of the set.", better="low"),
        "nmse": KnownMeasure(title="NMSE", about="The squared error over the variance of the set.", better="low"),
        "psnr_db": KnownMeasure(
            title="PSNR",
            about="The squared error of the whole set in decibels below the squared range of the values.",
            unit="dB",
            better="high",
            digits=2,
        ),
        "psnr_item_mean_db": KnownMeasure(
            title="PSNR, mean of items",
            about="The mean over items of each item's own PSNR.",
            unit="dB",
            better="high",
            digits=2,
        ),
        "ssim": KnownMeasure(
            title="SSIM",
            about="Structural similarity, the mean over images.",
            better="high",
            digits=3,
            citations=("wang2004image",),
        ),
        "ms_ssim": KnownMeasure(
            title="MS-SSIM",
            about="Structural similarity at five scales, the mean over images.",
            better="high",
            digits=4,
            citations=("wang2003multiscale",),
        ),
        "ms_ssim_db": KnownMeasure(
            title="MS-SSIM",
            about="MS-SSIM in decibels, -10 log10(1 - MS-SSIM), the mean over images.",
            unit="dB",
            better="high",
            digits=2,
            citations=("wang2003multiscale",),
        ),
        "cosine": KnownMeasure(
            title="Cosine",
            about="Mean cosine between vectors and their reconstructions.",
            better="high",
            digits=3,
        ),
        # error of sounds
        "snr_db": KnownMeasure(
            title="SNR", about="Signal-to-noise ratio, the mean over items.", unit="dB", better="high", digits=2
        ),
        "si_sdr_db": KnownMeasure(
            title="SI-SDR",
            about="Scale-invariant signal-to-distortion ratio, the mean over items.",
            unit="dB",
            better="high",
            digits=2,
            citations=("leroux2019sdr",),
        ),
        "mel_distance": KnownMeasure(
            title="Mel distance",
            about="Distance of mel spectrograms, the mean over items.",
            better="low",
            digits=3,
            citations=_DAC,
        ),
        "stft_distance": KnownMeasure(
            title="STFT distance",
            about="Distance of short-time Fourier transforms, the mean over items.",
            better="low",
            digits=3,
            citations=_DAC,
        ),
        "stoi": KnownMeasure(
            title="STOI",
            about="Short-time objective intelligibility, 0 to 1.",
            better="high",
            digits=3,
            citations=("taal2011algorithm",),
        ),
        "pesq": KnownMeasure(
            title="PESQ",
            about="Perceptual evaluation of speech quality, MOS-LQO.",
            better="high",
            digits=2,
            citations=("rix2001perceptual",),
        ),
        "visqol": KnownMeasure(
            title="ViSQOL",
            about="Virtual speech quality objective listener, MOS-LQO.",
            better="high",
            digits=2,
            citations=("chinen2020visqol",),
        ),
        # use of the codebook
        "usage": KnownMeasure(
            title="Usage",
            about="Fraction of all codes that occur at least once in the set.",
            unit="%",
            better="high",
            digits=1,
            percent=True,
        ),
        "perplexity": KnownMeasure(
            title="Perplexity",
            about="exp(entropy) of the index histogram of the set; of several codebooks, of their mean entropy.",
            better="high",
            digits=0,
        ),
        "active_units": KnownMeasure(
            title="Active units",
            about="Latent numbers of a VAE that vary with the signal.",
            better="high",
            digits=0,
            citations=("burda2016importance",),
        ),
        # bits
        "nominal_bits": KnownMeasure(
            title="Nominal bits",
            about="Bits an item with every code equally likely: indices times log2 K (of real latents 32 a number).",
            digits=0,
        ),
        "entropy_bits": KnownMeasure(
            title="Entropy bits",
            about="Bits an item under the histogram of the set's own indices; of real latents, rounded at 0.1 dB.",
            digits=1,
        ),
        "prior_bits": KnownMeasure(title="Prior bits", about="Bits an item under a learned prior.", digits=1),
        "bits_per_position": KnownMeasure(
            title="Nominal bits", about="log2 K of all codebooks.", unit="per position", digits=2
        ),
        "entropy_bits_per_position": KnownMeasure(
            title="Entropy bits",
            about="Entropy of the index histogram of the stated set, all codebooks.",
            unit="per position",
            digits=2,
        ),
        "entropy_bits_per_pixel": KnownMeasure(
            title="Entropy",
            about="Bits of the indices under the histogram of the set's own, of each codebook, for each pixel.",
            unit="bits per pixel",
            digits=3,
        ),
        "entropy_kbps": KnownMeasure(
            title="Entropy",
            about="The same, a second of sound.",
            unit="kbps",
            digits=2,
        ),
        "bytes_per_vector": KnownMeasure(title="Bytes", about="log2 K bits an index.", unit="per vector", digits=0),
        "bits_per_dim": KnownMeasure(
            title="Bits per dim.",
            about="Bound on -log2 p(x) for each value of x: rate and distortion together.",
            better="low",
            digits=3,
        ),
        "importance_bits_per_dim": KnownMeasure(
            title="Bits per dim. (IW)",
            about="The importance-weighted bound on -log2 p(x) for each value of x.",
            better="low",
            digits=3,
            citations=("burda2016importance",),
        ),
        "bits_per_item": KnownMeasure(
            title="Bits per item", about="Bits of an item's indices under the prior.", better="low", digits=1
        ),
        "uniform_bits_per_item": KnownMeasure(
            title="Uniform bits", about="Bits of an item's indices when all codes are equally likely.", digits=1
        ),
        "nats_per_index": KnownMeasure(
            title="Nats per index", about="Cross-entropy of an index under the prior.", better="low", digits=3
        ),
        "lossless_bits_per_dim": KnownMeasure(
            title="Lossless bits per dim.",
            about="Tokens and residual of a lossless file, for each subpixel.",
            better="low",
            digits=3,
        ),
        "token_bits_per_dim": KnownMeasure(
            title="Token bits per dim.", about="The tokens' part of a lossless file.", digits=3
        ),
        "residual_bits_per_dim": KnownMeasure(
            title="Residual bits per dim.", about="The residual's part of a lossless file.", better="low", digits=3
        ),
        "bits_per_pixel": KnownMeasure(
            title="Rate", about="Bits of whole files, headers included.", unit="bits per pixel", digits=3
        ),
        "kbps": KnownMeasure(title="Rate", about="Kilobits of whole files a second of sound.", unit="kbps", digits=2),
        "bd_rate": KnownMeasure(
            title="BD-rate",
            about="Mean difference of bits at equal quality, against an anchor.",
            unit="%",
            better="low",
            digits=1,
            citations=("bjontegaard2001calculation",),
        ),
        # generation
        "frechet_samples": KnownMeasure(
            title="Fréchet distance",
            about="Of samples, in the features that the report names (FID where they are Inception's).",
            better="low",
            digits=1,
            citations=("heusel2017gans",),
        ),
        "frechet_reconstructions": KnownMeasure(
            title="Fréchet distance, rec.",
            about="Of reconstructions, in the features that the report names.",
            better="low",
            digits=1,
            citations=("heusel2017gans",),
        ),
        "precision": KnownMeasure(
            title="Precision",
            about="Fraction of generated items near real ones.",
            better="high",
            digits=3,
            citations=("kynkaanniemi2019improved",),
        ),
        "recall": KnownMeasure(
            title="Recall",
            about="Fraction of real items near generated ones.",
            better="high",
            digits=3,
            citations=("kynkaanniemi2019improved",),
        ),
        "density": KnownMeasure(
            title="Density",
            about="Precision that outliers disturb less.",
            better="high",
            digits=3,
            citations=("naeem2020reliable",),
        ),
        "coverage": KnownMeasure(
            title="Coverage",
            about="Recall that the size of the set disturbs less.",
            better="high",
            digits=3,
            citations=("naeem2020reliable",),
        ),
        # labels and neighbours
        "linear_probe_accuracy": KnownMeasure(
            title="Probe accuracy",
            about="Accuracy of a linear classifier of the labels on the latents.",
            unit="%",
            better="high",
            digits=1,
            percent=True,
            citations=("alain2017understanding",),
        ),
        **{
            f"recall_{count}": KnownMeasure(
                title=f"Recall@{count}",
                about=_RECALL.format(count),
                unit="%",
                better="high",
                digits=1,
                percent=True,
                citations=_NEAREST,
            )
            for count in (1, 10, 100)
        },
        "collision_rate": KnownMeasure(
            title="Collisions",
            about="Fraction of items all of whose indices an earlier item has.",
            unit="%",
            better="low",
            digits=2,
            percent=True,
        ),
        # cost
        "parameters": KnownMeasure(title="Parameters", about="Numbers that were learned.", digits=0),
        "train_seconds": KnownMeasure(title="Training", about="Wall-clock time.", unit="s", digits=0),
        "signals_per_second": KnownMeasure(title="Training", about="Speed.", unit="signals/s", digits=0),
        # curves of a training
        "loss": KnownMeasure(title="Loss", about="What training minimizes.", better="low"),
        "reconstruction_loss": KnownMeasure(title="Reconstruction loss", about="Its first term.", better="low"),
        "learning_rate": KnownMeasure(title="Learning rate", about="Of the step."),
    }
)
"""Every measure that a table or a plot of results knows, by its name in JSON."""
