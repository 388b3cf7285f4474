"""-log p(pixels | indices) with gradients: all pixels of all groups at once."""

from __future__ import annotations

import torch
from torch import Tensor

from vqkit.exact.logistic import UNIT_BITS, mixture_nats
from vqkit.pixels.neighbors import Canvas, Offsets, border
from vqkit.pixels.network import PixelNetwork, surprise
from vqkit.pixels.steps import positions_of


def training_nats(
    network: PixelNetwork,
    features: Tensor,
    pixels: Tensor,
    *,
    order: tuple[int, ...],
    cell: int,
    known: tuple[Offsets, ...],
) -> Tensor:
    """-log p of each image, ``[batch]``, in nats, of a network in training mode.

    Each group reads the true pixels of the earlier ones, so nothing has to be computed in order; what all groups share
    is computed for all of them together.

    Args:
        network: in training mode.
        features: ``[batch, H W, features]``, what the indices give each pixel.
        pixels: uint8 ``[batch, channels, H, W]``.
        order: of the channels.
        cell: see ``pattern``.
        known: offsets of each group, see ``offsets``.
    """
    size, batch = (int(pixels.shape[2]), int(pixels.shape[3])), len(pixels)
    canvas = Canvas.of(pixels, border(known), torch.float32)
    streams, references, levels = [], [], []
    for group in range(cell**2):
        positions = positions_of(size, cell, group).to(pixels.device)
        if len(positions):
            told, reference = canvas.around(positions, known[group])
            own = features.index_select(1, positions).flatten(0, 1)
            streams.append(network.stream(torch.cat([told, own], dim=1), group))
            references.append(reference)
            levels.append(canvas.levels(positions).flatten(0, 1))
    stream, active = network.body(torch.cat(streams))
    reference, level = torch.cat(references), torch.cat(levels)
    surprises: list[Tensor] = []
    nats = stream.new_zeros(len(stream))
    for number, channel in enumerate(order):
        mean = reference[:, channel] * float(1 << UNIT_BITS) + stream[:, number]
        nats = nats + mixture_nats(network.heads[number](mean, active, surprises), level[:, channel])
        surprises.append(surprise(level[:, channel], mean, True))
    parts = nats.split([len(each) for each in streams])
    return torch.stack([part.view(batch, -1).sum(dim=1) for part in parts]).sum(dim=0)
