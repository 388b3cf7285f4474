"""A VQ-VAE from a Gaussian VAE without training: Gaussian quantization (Xu et al. 2025, arXiv 2512.06609)."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch import Tensor

from vqkit.data import Source, evaluation_batches
from vqkit.data.batches import fitting_batch
from vqkit.errors import ConfigError
from vqkit.models.conversion.target import check_group, grouped
from vqkit.models.matching import in_channels, is_data, open_source, readable
from vqkit.models.vae import VAE, kl_nats
from vqkit.models.vqvae import VQVAE
from vqkit.ops import float64
from vqkit.quantizers import GaussianQuantizer, draw_margin_bits
from vqkit.spelling import option, setting

_SEEN = 1024
_MOST_CODES = 1 << 20
_SHARED = set(inspect.signature(VAE).parameters) & set(inspect.signature(VQVAE).parameters)


@torch.no_grad()
def quantize(
    vae: VAE, codebook_size: int | None = None, *, group_size: int | None = None, data: Any = None, seed: int = 0
) -> VQVAE:
    """Make a VQ-VAE of a trained VAE: the same networks, and a codebook of draws from N(0, I) between them.

    Each group of latent numbers at a position gets one index: that of the draw nearest to its posterior mean. The error
    is no larger than the noise that the decoder was trained with once log2 K exceeds the KL of a group by a little
    (``draw_margin_bits``); a VAE trained with ``group_bits`` holds it there (see ``divergence_bits``).

    Args:
        vae: with a grid of latents (``VAE(latent="grid")``; vectors as signals have one position).
        codebook_size: K; None: the nearest power of two to the ``group_bits`` that the VAE was trained with.
        group_size: latent numbers that share an index; None: as in training, or all at a position.
        data: signals, a source, or whatever ``load_source`` takes; up to 1,024 of them say in which latent numbers an
            error matters, and set the scale of p(x | z). None: what the VAE has seen in training with ``group_bits``,
            else all numbers alike.
        seed: of the draws.

    Returns:
        The VQ-VAE, in evaluation mode, on the VAE's device; its codebook does not learn if it is trained further.

    Raises:
        ConfigError: no VAE with a grid, or sizes that do not fit.

    Example:
        >>> import torch
        >>> import vqkit
        >>> vae = vqkit.VAE(4, latent="grid", channels=1, hidden_channels=8, group_bits=6.0).eval()
        >>> model = vqkit.quantize(vae)
        >>> model.codebook_size, model.encode(torch.rand(2, 1, 16, 16)).shape
        (64, torch.Size([2, 4, 4]))
    """
    size, group = _check(vae, codebook_size, group_size)
    groups = vae.latent_dim // group
    shared = {name: value for name, value in vae.config.items() if name in _SHARED}
    model = VQVAE(
        size,
        **shared,
        code_dim=vae.latent_dim,
        quantizer="gaussian",
        quantizer_options={"seed": seed},
        num_codebooks=groups,
        gaussian_encoder=True,
    ).to(vae.device)
    own = {name: value for name, value in vae.state_dict().items() if not name.startswith("divergence_target.")}
    missing, unexpected = model.load_state_dict(own, strict=False)
    assert not unexpected
    assert all(name.startswith("quantizer.") for name in missing)
    batches = [] if data is None else _batches(vae, data)
    precision = None if vae.divergence_target is None else vae.divergence_target.precision
    if batches:
        precision = _over_positions(vae, batches, lambda _, log_variance: torch.exp(-log_variance))
    if precision is not None:
        parts = [part for part in model.quantizer.modules() if isinstance(part, GaussianQuantizer)]
        for part, own_precision in zip(parts, precision.split(group), strict=True):
            part.set_precision(own_precision)
    if batches:
        model.finish(batches)
    return model.eval()


@torch.no_grad()
def divergence_bits(vae: VAE, data: Any, *, group_size: int | None = None) -> Tensor:
    """KL(q(z | x) || N(0, I)) of each group of latent numbers in bits, over signals and positions: ``[groups]``.

    Compare it with log2 K before ``quantize``: an index should have ``draw_margin_bits`` more.

    Args:
        vae: any.
        data: as of ``quantize``; up to 1,024 signals of it.
        group_size: as of ``quantize``.

    Raises:
        ConfigError: a group that does not divide the latent numbers.

    Example:
        >>> import torch
        >>> from vqkit import VAE
        >>> from vqkit.models import divergence_bits
        >>> vae = VAE(4, latent="grid", channels=1, hidden_channels=8)
        >>> divergence_bits(vae, torch.rand(2, 1, 16, 16), group_size=2).shape
        torch.Size([2])
    """
    size = check_group(vae.latent_dim, _group(vae, group_size))
    nats = _over_positions(vae, _batches(vae, data), lambda mean, log_variance: kl_nats(mean, log_variance))
    return grouped(nats.unsqueeze(0), size)[0] / math.log(2)


def describe_divergence(
    bits: Tensor, codebook_size: int, group_size: int, target_bits: float | None = None
) -> str | None:
    """Say where an index has too few bits for the divergence of its group; None: nowhere.

    Args:
        bits: ``[groups]``, the divergence of each.
        codebook_size: K.
        group_size: latent numbers in a group.
        target_bits: what the VAE was trained to hold; it is not told to be trained for what it was trained for.
    """
    room, margin = math.log2(codebook_size), draw_margin_bits(group_size)
    most = float(bits.max())
    if most + margin <= room + 0.5:
        return None
    wanted = option("codebook_size", 1 << math.ceil(most + margin))
    advice = f"give {wanted}" if most + margin <= 20 else f"let fewer numbers share an index ({option('group_size')})"
    trained = target_bits is not None and target_bits <= room + 0.01
    retrain = "" if trained else f", or train the VAE with {setting('group_bits', round(room, 2))}"
    return (
        f"a group of {group_size} latent numbers holds up to {most:.1f} bits, and an index of {room:.1f} bits is near "
        f"enough up to {max(room - margin, 0):.1f}: {advice}{retrain}"
    )


def _check(vae: VAE, codebook_size: int | None, group_size: int | None) -> tuple[int, int]:
    if not isinstance(vae, VAE):
        raise ConfigError(f"a {type(vae).__name__} has no Gaussian posterior to quantize: give a VAE")
    if vae.vector:
        raise ConfigError(
            "this VAE has one vector of latents for the whole signal, and a VQ-VAE has indices on a grid: train it "
            f"with {setting('latent', 'grid')}"
        )
    target = vae.divergence_target
    if codebook_size is None:
        if target is None:
            raise ConfigError(f"give {option('codebook_size')}: the VAE was not trained for a number of bits")
        codebook_size = 1 << max(1, round(target.nats / math.log(2)))
    if not 2 <= codebook_size <= _MOST_CODES:
        raise ConfigError(f"codebook_size={codebook_size}: give 2 to {_MOST_CODES:,} codes")
    return codebook_size, check_group(vae.latent_dim, _group(vae, group_size))


def _group(vae: VAE, group_size: int | None) -> int | None:
    target = vae.divergence_target
    return target.group_size if group_size is None and target is not None else group_size


def _batches(vae: VAE, data: Any) -> list[Tensor]:
    """Up to 1,024 signals of data."""
    if not is_data(data):
        return [vae.read_signals(data)[:_SEEN]]
    source: Source = readable(vae, in_channels(vae, open_source(vae, data)))
    source = source.subset(range(min(_SEEN, len(source))))
    return [vae.read_signals(signals) for _, signals in evaluation_batches(source, fitting_batch(source, 64))]


def _over_positions(vae: VAE, batches: list[Tensor], of: Any) -> Tensor:
    """The mean of something of each latent number over signals and positions, ``[latent_dim]``."""
    was, count, total = vae.training, 0, torch.zeros(vae.latent_dim, dtype=torch.float64)
    vae.eval()
    for signals in batches:
        values = float64(of(*vae.posterior(signals))).movedim(1, -1).flatten(0, -2)
        total, count = total + values.sum(dim=0).cpu(), count + len(values)
    vae.train(was)
    if not count:
        raise ConfigError("there are no signals to measure the latents of")
    return (total / count).to(vae.device, torch.float32)
