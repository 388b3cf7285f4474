"""Blocks of indices written to files, and what they cost counted under every entropy model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vqkit.codec.entropy.models import EntropyModel, Indices, one_after_another
from vqkit.codec.protocols import Output
from vqkit.coding import Block, Place, integers_crc


def code_block(
    outputs: Sequence[Output],
    runs: Sequence[Indices],
    place: Place,
    codebook_size: int,
    beside: Sequence[EntropyModel],
) -> None:
    """Write the indices of a block to every file, and count what they would cost under the other models.

    Args:
        outputs: the files, each with its entropy model.
        runs: indices ``[n, *tile, codebooks]``.
        place: of the block.
        codebook_size: K.
        beside: models that are counted only.
    """
    last = place.first_codebook + place.codebooks
    own = [run[..., place.first_codebook : last] for run in runs]
    nominal = sum(run.size for run in own) * max(1, math.ceil(math.log2(codebook_size)))
    crc = integers_crc(one_after_another(own))
    ideal: dict[str, float] = {}
    for each in outputs:
        data, bits = each.entropy.encode(runs, place.first_codebook, place.codebooks)
        each.writer.block(Block(place=place, crc=crc, data=data))
        each.report.index_bytes += len(data)
        ideal[each.entropy.kind] = bits
    for model in beside:
        ideal[model.kind] = model.bits(runs, place.first_codebook, place.codebooks)
    for each in outputs:
        each.report.nominal_bits += nominal
        for kind, bits in ideal.items():
            each.report.add_bits(kind, bits)
