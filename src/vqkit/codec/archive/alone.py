"""Signals of one size as groups of their own, coded together: any is decoded alone, at the speed of a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vqkit.codec.bounded.bound import coded_values
from vqkit.codec.entropy.models import Indices
from vqkit.codec.protocols import Output, PixelModel
from vqkit.coding import Block, FileHeader, GroupHeader, Place, integers_crc, pixels


def write_alone(
    output: Output,
    header: GroupHeader,
    names: Sequence[str | None],
    known: list[Indices],
    exact: list[list[Block]],
    gaps: Sequence[bytes] = (),
    bounds: Sequence[tuple[float, ...]] = (),
) -> None:
    """Write a group for each signal, with the bytes that it would have if it came alone.

    Args:
        output: where to.
        header: of each group, but the name.
        names: one for each signal, or None.
        known: of each tile the indices ``[signals, *tile, codebooks]``.
        exact: of each tile the residual blocks of the signals (``exact_alone``, ``bounded_alone``); empty: they have
            none.
        gaps: of each signal, packed; empty: none has any.
        bounds: of each signal, of each channel; empty: none has any.
    """
    blocks = []
    for place in header.places(output.writer.header):
        if place.kind == "indices":
            blocks.append(_coded(output, known[place.number], place))
        else:
            blocks.append(exact[place.number])
            output.report.residual_bytes += sum(len(each.data) for each in exact[place.number])
    for number, name in enumerate(names):
        own = (gaps[number],) if gaps and gaps[number] else ()
        within = bounds[number] if bounds else ()
        output.writer.begin(replace(header, names=() if name is None else (name,), gaps=own, bounds=within))
        for each in blocks:
            output.writer.block(each[number])


def exact_alone(
    pixel_model: PixelModel, batch: Tensor, known: list[Indices], header: GroupHeader, file: FileHeader
) -> list[list[Block]]:
    """The residual blocks of each tile, of each signal by itself.

    Args:
        pixel_model: codes them.
        batch: uint8 ``[signals, channels, H, W]``.
        known: see ``write_alone``.
        header: see ``write_alone``.
        file: the file's.
    """
    found = []
    for place in header.places(file):
        if place.kind == "indices":
            continue
        exact = batch[(slice(None), slice(None), *pixels(place.tile, header.size, file.downsampling))]
        items = torch.from_numpy(known[place.number])
        own = []
        for one, pixel in zip(items.split(1), exact.split(1), strict=True):
            own.append(Block(place=place, crc=integers_crc(pixel.numpy()), data=pixel_model.encode(one, pixel)))
        found.append(own)
    return found


def bounded_alone(
    batch: Tensor, bounds: Sequence[tuple[float, ...]], header: GroupHeader, file: FileHeader
) -> list[list[Block]]:
    """The blocks of each tile, of each signal by itself, that keep its values within its bounds.

    Args:
        batch: ``[signals, channels, *size]``.
        bounds: of each signal, of each channel.
        header: see ``write_alone``; its ``number_type`` is what values are written in.
        file: the file's.

    Raises:
        DataError: see ``coded_values``.
    """
    found = []
    for place in header.places(file):
        if place.kind == "indices":
            continue
        own = []
        for one, within in zip(batch.split(1), bounds, strict=True):
            here = (slice(None), slice(None), *pixels(place.tile, header.size, file.downsampling))
            data, crc = coded_values(one[here], within, header.number_type)
            own.append(Block(place=place, crc=crc, data=data))
        found.append(own)
    return found


def _coded(output: Output, items: Indices, place: Place) -> list[Block]:
    """Code the indices of a block of each signal, and count them."""
    first, last = place.first_codebook, place.first_codebook + place.codebooks
    size = output.writer.header.codebook_size
    output.report.nominal_bits += items[..., first:last].size * max(1, math.ceil(math.log2(size)))
    found = []
    for one, (data, bits) in zip(items, output.entropy.encode_each(items, first, place.codebooks), strict=True):
        found.append(Block(place=place, crc=integers_crc(one[..., first:last]), data=data))
        output.report.index_bytes += len(data)
        output.report.add_bits(output.entropy.kind, bits)
    return found
