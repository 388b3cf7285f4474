"""Terms of the comparison's page, each in a sentence: its glossary."""

from __future__ import annotations

TERMS = [
    ("Item", "One signal of the data, such as one image. All measures are taken on items that no rung was trained on."),
    ("Budget", "The latent bits an item that every rung is built to spend."),
    (
        "Latent bits (0.1 dB)",
        "What the latents of an item cost. A continuous latent counts the bits of the coarsest uniform quantisation, "
        "entropy-coded, that costs less than 0.1 dB of PSNR; a VQ-VAE counts its positions times log2 of its codes.",
    ),
    ("float32 bits", "The same latents as plain 32-bit numbers: what they cost when nobody thinks about it."),
    ("Entropy bits", "What the latents cost when each is coded by how often its value occurs."),
    ("Prior bits", "What the latents cost when they are coded with the rung's own prior."),
    ("MSE", "Mean squared error: the average squared difference between a value and its reconstruction."),
    ("PSNR", "The same error in decibels below the largest possible value; 3 dB more is half the error."),
    ("PSNR at the budget", "PSNR when the latents are quantised so that they cost exactly the budget."),
    (
        "SSIM",
        "Structural similarity: 1 when every small window of the picture has the same mean, contrast and pattern.",
    ),
    ("Probe accuracy", "How often a linear classifier on the latents alone names the right class."),
    (
        "Bits per dimension",
        "Bits to store an item without any loss, divided by its number of values; lower is a better model of the data.",
    ),
    ("Rate", "The part of the bits per dimension that pays for the latents."),
    ("Distortion", "The part that pays for what the latents leave out of the signal."),
    ("Uniform prior", "Every code is taken to be equally likely, so each costs log2 of the codebook size."),
    (
        "Learned prior",
        "A network that sees the codes so far says how likely each next code is; likely codes cost less.",
    ),
    ("IWAE", "A tighter bound on the VAE's bits per dimension that averages over several draws of the latents."),
    (
        "Frechet distance",
        "How far the features of two sets of items lie apart, as two Gaussians; 0 when means and covariances agree.",
    ),
    ("Frechet, reconstructions", "That distance between held-out items and their reconstructions."),
    ("Frechet, samples", "That distance between held-out items and what the rung makes up from its prior."),
    ("Precision", "The fraction of samples that lie among real items: quality."),
    ("Recall", "The fraction of real items that lie among samples: variety."),
    (
        "Density",
        "How many real neighbourhoods a sample lies in, on average; like precision, but outliers mislead it less.",
    ),
    ("Coverage", "The fraction of real items with a sample in their neighbourhood."),
    (
        "Fine detail",
        "The mean squared Laplacian of the pictures as a share of that of held-out ones: below 100 % they are blurred, "
        "above it they have edges or noise that real ones lack.",
    ),
    ("Usage", "The fraction of the codebook that occurs at least once in the held-out items."),
    ("Perplexity", "How many codes are in use, counted as if all were used equally often."),
    ("Active units", "Latent dimensions of a VAE that change with the input at all."),
]
