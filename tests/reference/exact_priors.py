"""Frequencies of context and pixel priors, written from docs/exact-priors.md alone: int64 and Python integers.

Nothing of vqkit, and no torch. Slow: every step computes the whole tile.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from decimal import Decimal, getcontext
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.reference.range_coding import frequencies
from tests.reference.vqk_reader import Decode, DecodePixels, Group, Position, RangeDecoder, tensors

getcontext().prec = 60
ACTIVATION, SIGNED, STREAM, LOGIT = (4, 0, 127), (4, -127, 127), (10, -32767, 32767), (6, -32767, 32767)
Format = tuple[int, int, int]
Rows = np.ndarray[Any, np.dtype[np.int64]]


def rounded(parameter: np.ndarray, bits: int, low: int, high: int) -> Rows:
    scaled = np.nan_to_num(np.rint(parameter.astype(np.float64) * 2.0**bits))
    return np.clip(scaled, low, high).astype(np.int64)


class Network:
    """The parameters of a folder, and layers by their names; ``[*grid, channels]``."""

    def __init__(self, folder: Path) -> None:
        dtypes = {"F32": "<f4", "I64": "<i8"}
        self.tensors = {
            name: np.frombuffer(data, dtypes[dtype]).reshape(shape)
            for name, (dtype, shape, data) in tensors(folder).items()
        }
        self.config = json.loads((folder / "config.json").read_text())

    def table(self, name: str) -> Rows:
        return rounded(self.tensors[f"network.{name}.weight"], 10, *STREAM[1:])

    def convolution(self, name: str, x: Rows, target: Format) -> Rows:
        weight, gain, bias = (self.tensors[f"network.{name}.{each}"] for each in ("weight", "gain", "bias"))
        taps = weight.shape[2:]
        b = 0
        while 36 * 4 ** (b + 1) <= 127**2 * weight[0].size:
            b += 1
        w = rounded(weight, b, -127, 127)
        m = (1 << 12) + rounded(gain, 12, 1 - (1 << 12), (1 << 15) - 1 - (1 << 12))
        c = rounded(bias, target[0] + 8, 1 - (1 << 31), (1 << 31) - 1)
        shift = 12 + b + 4 - target[0]
        padded = np.pad(x, [(each // 2, each // 2) for each in taps] + [(0, 0)] * (x.ndim - len(taps)))
        sums = np.zeros((*x.shape[:-1], len(w)), dtype=np.int64)
        for tap in itertools.product(*map(range, taps)):
            window = tuple(slice(at, at + length) for at, length in zip(tap, x.shape, strict=False))
            sums += padded[window] @ w[(slice(None), slice(None), *tap)].T
        return np.clip((sums * m + (c << (shift - 8)) + (1 << (shift - 1))) >> shift, *target[1:])

    def rescale(self, name: str, x: Rows) -> Rows:
        bias = rounded(self.tensors[f"network.{name}.bias"], 10, *STREAM[1:])
        return np.clip((x + bias + (1 << 5)) >> 6, *ACTIVATION[1:])

    def block(self, name: str, x: Rows) -> Rows:
        inner = self.convolution(f"{name}.wide", self.rescale(f"{name}.enter", x), ACTIVATION)
        return np.clip(x + self.convolution(f"{name}.point", inner, STREAM), *STREAM[1:])


def group_of(position: Position, cell: int) -> int:
    corners = sorted(itertools.product((0, 1), repeat=len(position)), key=lambda each: (sum(each) % 2, each))
    group = 0
    for bit in range(cell.bit_length() - 1):
        group = group * len(corners) + corners.index(tuple(each >> bit & 1 for each in position))
    return group


@cache
def exponential(d: int) -> int:
    return int((Decimal(1 << 30) * (Decimal(-d) / 64).exp() + Decimal("0.5")).to_integral_value("ROUND_FLOOR"))


def of_logits(logits: Sequence[int]) -> list[int]:
    return frequencies([exponential(max(logits) - each) for each in logits])


def context(folder: Path) -> Decode:
    net = Network(folder)
    config = net.config
    size = config["codebook_size"]
    embedding, marker, step, classes = (
        net.table(name) if f"network.{name}.weight" in net.tensors else None
        for name in ("embedding", "marker", "step", "classes")
    )

    def cell_of(codebook: int) -> int:
        later = config["later_cell"]
        cells = [config["cell"], *([later] if isinstance(later, int) else later)]
        return int(cells[min(codebook, len(cells) - 1)])

    def logits(known: dict[Position, list[int]], grid: Position, codebook: int, now: int) -> Rows:
        cell, axes = cell_of(codebook), len(grid)
        before = sum(cell_of(each) ** axes for each in range(codebook))
        x = np.zeros((*grid, embedding.shape[1]), dtype=np.int64)
        for position, indices in known.items():
            group = group_of(position, cell)
            state = 0 if group < now else 1 if group == now else 2
            x[position] = marker[state] + step[before + now] + (0 if classes is None else classes[-1])
            for book in range(codebook + (state == 0)):
                x[position] += embedding[book * size + indices[book]]
        x = np.clip(x, *STREAM[1:])
        for layer in range(config["layers"]):
            x = net.block(f"blocks.{layer}", x)
        x = net.convolution(f"hidden.{codebook}", net.rescale("leave", x), ACTIVATION)
        return net.convolution(f"out.{codebook}", x, LOGIT)

    def fill(data: bytes, runs: list[tuple[Group, list[Position]]], layer: range) -> None:
        coder = RangeDecoder(data)
        for group, tile in runs:
            fill_run(coder, group, tile, layer)

    def fill_run(coder: RangeDecoder, group: Group, tile: list[Position], layer: range) -> None:
        first = tile[0]
        own = {tuple(at - start for at, start in zip(each, first, strict=True)): each for each in tile}
        grid = tuple(each + 1 for each in max(own))
        for codebook in layer:
            cell = cell_of(codebook)
            for now in range(cell ** len(grid)):
                places = [each for each in sorted(own) if group_of(each, cell) == now]
                for signal in group.indices if places else []:
                    found = logits({each: signal[own[each]] for each in own}, grid, codebook, now)
                    for each in places:
                        signal[own[each]][codebook] = coder.symbol(of_logits(found[each].tolist()))

    return fill


@cache
def logistic() -> list[int]:
    one = 1 << 100
    ratio, power, above = int(Decimal(one) * (Decimal(-1) / 1024).exp()), one, []
    for _ in range(16385):
        above.append(((one << 25) + one + power) // (2 * (one + power)))
        power = power * ratio >> 100
    return [(1 << 24) - each for each in reversed(above[1:])] + above


@cache
def inverse(s: int) -> int:
    return int((Decimal(1 << 17) * (Decimal(-s) / 64).exp() + Decimal("0.5")).to_integral_value("ROUND_FLOOR"))


def below(edge: int, means: list[int], scales: list[int], weights: list[int]) -> int:
    """D(edge)."""
    if edge in (0, 256):
        return edge << 30
    total = 0
    for mean, s, p in zip(means, scales, weights, strict=True):
        z = ((32 * edge - 16 - mean) * inverse(s) + (1 << 11)) >> 12
        total += p * logistic()[min(max(z, -16384), 16384) + 16384]
    return total >> 10


def part(first: int, step: int, mixture: tuple[list[int], list[int], list[int]]) -> list[int]:
    edges = [below(first + step * each, *mixture) for each in range(17)]
    return frequencies([after - before + 1 for before, after in itertools.pairwise(edges)])


def pixels(folder: Path) -> DecodePixels:
    net = Network(folder)
    config = net.config
    cell, count, d = config["cell"], config["features"], config["downsampling"]
    order = (1, 0, 2) if config["channels"] == 3 else (0,)
    reach = range(-2 * cell, 2 * cell + 1)
    offsets = sorted(itertools.product(reach, reach), key=lambda each: (each[0] ** 2 + each[1] ** 2, each))

    def features(indices: Rows) -> Rows:
        x = net.table("embedding")[indices + np.arange(indices.shape[2]) * config["codebook_size"]].sum(axis=2)
        x = np.clip(x, *STREAM[1:])
        for layer in range(config["token_layers"]):
            x = net.block(f"grid_blocks.{layer}", x)
        x = net.convolution("shuffle", net.rescale("grid_leave", x), SIGNED)
        h, w = x.shape[:2]
        return x.reshape(h, w, d, d, count).transpose(0, 2, 1, 3, 4).reshape(h * d, w * d, count)

    def told(
        levels: list[dict[Position, int]], size: Position, at: Position, group: int
    ) -> tuple[list[int], list[int]]:
        near = [
            each for each in offsets if group_of(((at[0] + each[0]) % cell, (at[1] + each[1]) % cell), cell) < group
        ]
        near = [(at[0] + down, at[1] + right) for down, right in near[: config["neighbours"]]]
        inside = [0 <= y < size[0] and 0 <= x < size[1] for y, x in near]
        few = [each for each, there in zip(near[:4], inside, strict=False) if there]
        reference = [
            (2 * sum(own[each] for each in few) + len(few)) // (2 * len(few)) if few else 128 for own in levels
        ]
        found = [
            min(max(own[each] - r, -127), 127) if there else 0
            for each, there in zip(near, inside, strict=True)
            for own, r in zip(levels, reference, strict=True)
        ]
        found += [16 * there for there in inside]
        return found + [min(max(each - 128, -127), 127) for each in reference], reference

    def fill(data: bytes, indices: list[Any], size: Position) -> list[list[dict[Position, int]]]:
        coder = RangeDecoder(data)
        known: list[list[dict[Position, int]]] = [[{} for _ in order] for _ in indices]
        given = [features(np.array(each)) for each in indices]
        for group in range(cell**2):
            places = [at for at in itertools.product(*map(range, size)) if group_of(at, cell) == group]
            if not places:
                continue
            rows, references = [], []
            for levels, own in zip(known, given, strict=True):
                for at in places:
                    row, reference = told(levels, size, at, group)
                    rows.append(row + own[at].tolist())
                    references.append(reference)
            x = net.convolution(f"enter.{group}", np.array(rows), STREAM)
            for layer in range(config["layers"]):
                x = net.block(f"blocks.{layer}", x)
            active, surprises = net.rescale("leave", x), np.zeros((len(rows), 0), dtype=np.int64)
            for k, channel in enumerate(order):
                mean = 32 * np.array(references)[:, channel] + x[:, k]
                hidden = net.convolution(f"heads.{k}.hidden", np.hstack([active, surprises]), ACTIVATION)
                hidden = np.hstack([hidden, surprises])
                means = mean[:, None] + net.convolution(f"heads.{k}.means", hidden, STREAM)
                scales, logits = np.split(net.convolution(f"heads.{k}.shape", hidden, LOGIT), 2, axis=1)
                scales = np.clip(scales, -133, 266)
                mixtures = [
                    (a.tolist(), b.tolist(), of_logits(c.tolist()))
                    for a, b, c in zip(means, scales, logits, strict=True)
                ]
                coarse = [coder.symbol(part(0, 16, each)) for each in mixtures]
                level = [
                    16 * high + coder.symbol(part(16 * high, 1, each))
                    for high, each in zip(coarse, mixtures, strict=True)
                ]
                new = np.clip((32 * np.array(level) - mean + 16) >> 5, -127, 127)
                surprises = np.hstack([surprises, new[:, None]])
                for (image, at), value in zip(itertools.product(range(len(indices)), places), level, strict=True):
                    known[image][channel][at] = value
        return known

    return fill
