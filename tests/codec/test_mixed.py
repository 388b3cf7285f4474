"""Groups of several sizes: what is coded together decodes to what each signal alone does, in fewer bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from tests.codec.cases import context, histogram, pixels, signals, tokenizer
from tests.golden.make_models import CODES, MODELS
from tests.reference import exact_priors
from tests.reference import vqk_reader as reference
from vqkit.codec import Compressor, Decompressor, Signal, entropy_model
from vqkit.codec.inspect import Inspection, inspect_file
from vqkit.codec.lossless import PixelCoder
from vqkit.models import VQVAE
from vqkit.priors import ContextPrior

SIZES: dict[int, list[tuple[int, ...]]] = {
    1: [(37,), (9,), (9,), (80,), (1,), (33,)],
    2: [(18, 29), (29, 18), (29, 18), (1, 5), (40, 7)],
    3: [(5, 9, 6), (4, 8, 4), (4, 8, 4), (1, 1, 9)],
}


def several(model: VQVAE, names: bool = True) -> list[Signal]:
    found = []
    for number, size in enumerate(SIZES[model.axes]):
        values = signals(model, 1, size, number)[0].numpy()
        found.append(Signal(values, f"talk/{number:03}.wav" if names else None))
    return found


def inspected(data: bytes) -> Inspection:
    return inspect_file(io.BytesIO(data), names=True)


def compressed(compressor: Compressor, given: list[Signal]) -> tuple[bytes, Any]:
    file = io.BytesIO()
    report = compressor.write(file, given)
    return file.getvalue(), report


@pytest.mark.parametrize("kind", ["uniform", "histogram", "context"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_signals_of_several_sizes_are_those_that_each_is_alone(axes: int, kind: str) -> None:
    model = tokenizer(axes, num_codebooks=2, stacking="residual")
    prior = {"uniform": lambda _: None, "histogram": histogram, "context": context}[kind](model)
    entropy, given = entropy_model(prior, 16), several(model, names=kind != "uniform")
    compressor, reader = Compressor(model, entropy), Decompressor(model, entropy)
    compressor.mixed = True  # of its own, for sounds only
    data, report = compressed(compressor, given)
    alone = [compressed(compressor, [each]) for each in given]
    about = inspected(data)
    assert (about.group_count, about.groups[0].blocks, about.signals) == (1, 1, len(given))
    found = list(reader.read(io.BytesIO(data)))
    for own, (file, _), each in zip(given, alone, found, strict=True):
        (one,) = reader.read(io.BytesIO(file))
        assert own.name == one.name == each.name
        assert torch.equal(one.indices, each.indices)
        assert torch.equal(one.values, each.values)
    for name in ("signals", "pixels", "values", "nominal_bits"):
        assert getattr(report, name) == sum(getattr(each, name) for _, each in alone)
        assert getattr(about, name) == getattr(report, name)
    ideal = report.model_bits[kind]
    assert ideal == pytest.approx(sum(each.model_bits[kind] for _, each in alone))
    assert abs(8 * report.index_bytes - ideal) <= 16  # one end of the coder, where each alone has its own


def test_a_sound_costs_few_bytes_beyond_its_indices() -> None:
    """2 or 3 bytes of size and 4 of name, where each in a group of its own costs 31 (21 bytes and a name)."""
    model = tokenizer(1)
    sizes = [128_000 // 16 + 400 * (number * number % 7) + number for number in range(20)]
    given = [Signal(signals(model, 1, (size,))[0].numpy(), f"{number:03}.wav") for number, size in enumerate(sizes)]
    _, report = compressed(Compressor(model), given)
    _, first = compressed(Compressor(model), given[:2])
    assert (report.header_bytes - first.header_bytes) / 18 <= 7


def test_a_reader_written_from_the_pages_reads_a_mixed_group_of_a_context_prior() -> None:
    model = VQVAE.from_pretrained(MODELS / "tokenizer").eval()
    entropy = entropy_model(ContextPrior.from_pretrained(MODELS / "context"), CODES)
    given = [Signal(signals(model, 1, size)[0].numpy(), name) for size, name in [((9, 13), "a"), ((6, 17), "b")]]
    data, _ = compressed(Compressor(model, entropy), given)
    _, groups = reference.read(data, exact_priors.context(MODELS / "context"))
    for own, group in zip(Decompressor(model, entropy).read(io.BytesIO(data)), groups, strict=True):
        (indices,) = group.indices
        assert [indices[place] for place in sorted(indices)] == own.indices.flatten(0, 1).tolist()


def test_what_does_not_go_together_is_in_groups_of_its_own() -> None:
    model = tokenizer(1)

    def groups(given: list[Signal], **options: Any) -> list[int]:
        data, _ = compressed(Compressor(model, **options), given)
        return [group.header.signals for group in inspected(data).groups]

    def sound(size: int, name: str | None = None) -> Signal:
        return Signal(np.zeros((2, size), dtype=np.float32), name)

    assert groups([sound(8), sound(9), sound(10)]) == [3]
    assert groups([sound(8), sound(8), sound(8)]) == [3]  # of one size: as they always were
    assert groups([sound(8, "a"), sound(9, "b"), sound(10, "a")]) == [2, 1]  # a name is once in a group
    assert groups([sound(8, "a"), sound(9), sound(10)]) == [1, 2]
    assert groups([sound(7 + number % 2) for number in range(70)]) == [64, 6]
    long = 4 * (1 << 16) + 4  # more than a tile
    assert groups([sound(8), sound(long), sound(9), sound(10)]) == [1, 1, 2]
    pictures = tokenizer(2)
    data, _ = compressed(Compressor(pictures, pixel_model=PixelCoder(pixels(pictures))), several(pictures))
    assert [group.header.signals for group in inspected(data).groups] == [1, 2, 1, 1]
