"""Files of real models: what released versions wrote is read, and written, with the very same integers and bytes.

``tests.golden.make`` pins the container alone. Here small models with parameters of their own are pinned with their
files, so that a change of an order, a table, a rounding or a network fails, which would make files unreadable. A test
here may not be edited to pass; such a change is a new version of the format.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.golden import make_models
from tests.golden.make_models import CASES, CODES, MODELS, Case
from vqkit.codec import Compressor, Decompressor, Signal, entropy_model
from vqkit.codec.entropy.models import EntropyModel
from vqkit.codec.lossless import PixelCoder
from vqkit.coding import Reader, grid_of
from vqkit.exact.logistic import inverse_scales, logistic_table
from vqkit.exact.probabilities import exponentials
from vqkit.models import VQVAE
from vqkit.pixels import PixelPrior
from vqkit.pixels.neighbors import offsets
from vqkit.pretrained.folder import content_hash
from vqkit.priors import ContextPrior
from vqkit.priors.coding_order import CodingOrder, pattern

GOLDEN: dict[str, str] = {
    "context-first.indices.npy": "fdb236895ff1de2723a1631c0cba4e50",
    "context-first.vqk": "d25ddd441392597bd7e9826f6234c108",
    "context-tiles.indices.npy": "bfac8779f18add2a77aeedf6b68151f2",
    "context-tiles.vqk": "553108e4d692075110588002cce60c88",
    "context.indices.npy": "3772e47ed6ef304cc903b4b3efc29f58",
    "context.vqk": "2d4d559492997bddc157ca0c0f1b4455",
    "histogram-first.indices.npy": "6d41a843fabba570fea1ccbdff440e56",
    "histogram-first.pixels.npy": "8e8ce83a0cf2d70740c9d91c3bf055bb",
    "histogram-first.vqk": "63ae7988b2bbda987660fadfd2feb75a",
    "histogram-tiles.indices.npy": "e1ec2fe455c1a1376df6d725cc737b8d",
    "histogram-tiles.vqk": "79f5e6f0028ca2f91ceb8c1c640acb04",
    "histogram.indices.npy": "adae89576ca3422fa3378692034458f2",
    "histogram.vqk": "e6baf4e0b69f2cec74297973a62b12fd",
    "lossless-tiles.indices.npy": "6fdc0c0549407a046a5845ac594bbfb4",
    "lossless-tiles.pixels.npy": "f21e45745c245470bac79f24fa131c79",
    "lossless-tiles.vqk": "8a44d99c91ec3c48b89e2c1816362ea0",
    "lossless.indices.npy": "7a5b69ce216663f7e10345ddecc75e42",
    "lossless.pixels.npy": "08c5613d3a8d35034bd9f684b1c47089",
    "lossless.vqk": "334973553db68795baebc30a116e78e2",
    "uniform.indices.npy": "f965a763f08dfe4c2009460a4ed488b3",
    "uniform.pixels.npy": "493c7f6581cbead88424d56101e8791c",
    "uniform.vqk": "fec366e3f18f2ade081d221c579c8736",
}
MODEL_HASHES: dict[str, str] = {
    "tokenizer": "a0d780382b5f1a60eacd6a4fab2720ca3830446a5327a5117959f0db83013895",
    "histogram": "b41765a11475d817b095fe0b39a8da64edc2942a6be8d8b9b007e47f845ec323",
    "context": "ec212f32ffc40a7ef35912c71b42d1a9d1f6ec6e2e9beb7edd8a8ab3a9fbaf62",
    "pixels": "167ae8489710ed0a0de1624ad7b0826df17c545dbd03306479eb9e66d5c38d4d",
}
CARRIERS = {"int8": (torch.float32, True), "float32": (torch.float32, False), "float64": (torch.float64, None)}
"""Where products are of int8 or of floats; a machine without fast int8 computes the first as the second."""


@lru_cache(maxsize=1)
def tokenizer() -> VQVAE:
    return VQVAE.from_pretrained(MODELS / "tokenizer")


def models(case: Case, storage_dtype: str) -> tuple[EntropyModel, PixelCoder | None]:
    dtype, int8 = CARRIERS[storage_dtype]
    prior = make_models.prior_of(case)
    if isinstance(prior, ContextPrior):
        prior.set_storage_dtype(dtype, int8=int8)
    if not case.lossless:
        return entropy_model(prior, CODES), None
    exact = PixelPrior.from_pretrained(MODELS / "pixels")
    exact.set_storage_dtype(dtype, int8=int8)
    return entropy_model(prior, CODES), PixelCoder(exact)


def kept(name: str, what: str, shapes: list[tuple[int, ...]]) -> list[Tensor]:
    """The pinned arrays of each signal."""
    flat = torch.from_numpy(np.load(MODELS / f"{name}.{what}.npy"))
    assert flat.dtype == torch.uint8
    return [part.view(shape) for part, shape in zip(flat.split([int(np.prod(s)) for s in shapes]), shapes, strict=True)]


def kept_indices(name: str) -> list[Tensor]:
    case = CASES[name]
    return kept(name, "indices", [(*grid_of(size, 4), case.codebooks) for size in case.sizes])


def kept_pixels(name: str) -> list[Tensor]:
    return kept(name, "pixels", [(3, *size) for size in CASES[name].sizes])


def grouped(case: Case, items: list[Tensor]) -> list[Tensor]:
    """One tensor for each group of the file."""
    rest = iter(items)
    return [torch.stack([next(rest) for _ in range(group.signals)]) for group in case.groups]


def every() -> list[tuple[str, str]]:
    """Cases, those with an exact network once for each way to compute it."""
    return [(name, each) for name, case in CASES.items() for each in (CARRIERS if case.kind == "context" else ["int8"])]


@pytest.mark.parametrize(("name", "storage_dtype"), every())
def test_a_kept_file_decodes_to_the_kept_indices_and_pixels(name: str, storage_dtype: str) -> None:
    case, data = CASES[name], (MODELS / f"{name}.vqk").read_bytes()
    entropy, exact = models(case, storage_dtype)
    found = list(Decompressor(tokenizer(), entropy, pixel_model=exact).read(io.BytesIO(data)))
    assert [each.name for each in found] == case.names
    for each, wanted in zip(found, kept_indices(name), strict=True):
        assert torch.equal(each.indices, wanted.int())
    if case.lossless:
        assert all(torch.equal(each.values, wanted) for each, wanted in zip(found, kept_pixels(name), strict=True))
    if case.decoded:  # in floating point: a value near the middle of two levels may differ between machines
        for each, wanted in zip(found, kept_pixels(name), strict=True):
            assert int((each.values.int() - wanted.int()).abs().max()) <= 1


@pytest.mark.parametrize(("name", "storage_dtype"), every())
def test_the_kept_indices_and_pixels_are_written_as_the_kept_file(name: str, storage_dtype: str) -> None:
    case = CASES[name]
    indices = [each.long() for each in grouped(case, kept_indices(name))]
    images = grouped(case, kept_pixels(name)) if case.lossless else indices
    data = make_models.written(tokenizer(), *models(case, storage_dtype), case, indices, images)
    assert data == (MODELS / f"{name}.vqk").read_bytes()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not any(group.tile for group in case.groups)])
def test_the_compressor_writes_the_kept_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    entropy, exact = models(case, "int8")
    pinned = iter(grouped(case, kept_indices(name)))
    monkeypatch.setattr(Compressor, "tile_indices", lambda *_: next(pinned).long().numpy())
    images = kept_pixels(name) if case.lossless else [torch.zeros(3, *size, dtype=torch.uint8) for size in case.sizes]
    signals = [Signal(each.numpy(), own) for each, own in zip(images, case.names, strict=True)]
    file = io.BytesIO()
    Compressor(tokenizer(), entropy, pixel_model=exact, codebooks=case.codebooks).write(file, signals)
    assert file.getvalue() == (MODELS / f"{name}.vqk").read_bytes()


def test_nothing_that_is_kept_has_changed() -> None:
    files = [path for path in sorted(MODELS.glob("*")) if path.is_file()]
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:32] for path in files} == GOLDEN


def test_the_kept_models_are_those_that_the_script_makes() -> None:
    for (name, pinned), each in zip(MODEL_HASHES.items(), make_models.new_models(), strict=True):
        assert content_hash(type(each).from_pretrained(MODELS / name)) == pinned
        assert content_hash(each) == pinned


def test_the_kept_files_hold_what_is_to_be_pinned() -> None:
    seen = set()
    for name, case in CASES.items():
        reader = Reader(io.BytesIO((MODELS / f"{name}.vqk").read_bytes()))
        assert [group.header for group in reader] == list(case.groups)
        seen |= {(reader.header.entropy_model, group.codebooks, bool(group.tile)) for group in case.groups}
        assert bool(reader.header.pixel_digest) == case.lossless
    assert {(kind, codebooks, False) for kind in ("histogram", "context") for codebooks in (1, 2)} <= seen
    assert {(kind, 2, True) for kind in ("histogram", "context")} <= seen


def crc(integers: object) -> str:
    return f"{zlib.crc32(np.asarray(integers, dtype='>i8').tobytes()):08x}"


def test_tables_and_orders_of_released_files() -> None:
    """Of any model: what no one of the kept ones reaches (other axes, other cells, the ends of tables) too."""
    assert crc(exponentials()) == "d273a371"
    assert crc(logistic_table()) == "780c3777"
    assert crc(inverse_scales()) == "9d690040"
    orders = [pattern(cell, axes).flatten().numpy() for axes in range(4) for cell in (1, 2, 4, 8, 16)]
    assert crc(np.concatenate(orders)) == "b4f54180"
    assert crc([pair for group in offsets(4, 30) for pair in group]) == "0757c7c8"
    numbers = []
    for grid in ((), (9,), (5, 7), (3, 5, 6)):
        for step in (order := CodingOrder(4, 2)).steps(grid, 3):
            numbers += [order.number(step.codebook, step.group, len(grid)), *step.positions.tolist()]
    assert crc(numbers) == "384ee2c1"
