"""The pages say all that a reader needs: one written from them alone gives the kept integers of kept files.

Pages: docs/bitstream.md and docs/exact-priors.md.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.golden.make_models import CASES, CODES, MODELS
from tests.reference import exact_priors
from tests.reference import vqk_reader as reference

FILLS = {
    "uniform": lambda: reference.uniform(CODES),
    "histogram": lambda: reference.histogram(MODELS / "histogram"),
    "context": lambda: exact_priors.context(MODELS / "context"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_reader_written_from_the_pages_reads_the_kept_files(name: str) -> None:
    case = CASES[name]
    pixels = exact_priors.pixels(MODELS / "pixels") if case.lossless else None
    header, groups = reference.read((MODELS / f"{name}.vqk").read_bytes(), FILLS[case.kind](), pixels)
    assert header.tokenizer == reference.digest_of(MODELS / "tokenizer")
    if case.kind != "uniform":
        assert header.entropy_digest == reference.digest_of(MODELS / case.kind)
    if case.lossless:
        assert header.pixel_digest == reference.digest_of(MODELS / "pixels")
    assert [group.size for group in groups for _ in range(group.signals)] == case.sizes
    assert [name for group in groups for name in group.names or [None] * group.signals] == case.names
    found = [index for group in groups for signal in group.indices for each in signal.values() for index in each]
    assert found == np.load(MODELS / f"{name}.indices.npy").tolist()
    if case.lossless:
        channels = [(group.size, each) for group in groups for image in group.pixels for each in image]
        levels = [each[at] for size, each in channels for at in itertools.product(*map(range, size))]
        assert levels == np.load(MODELS / f"{name}.pixels.npy").tolist()


def test_the_reader_has_nothing_of_vqkit() -> None:
    for module in ("vqk_reader", "exact_priors", "range_coding"):
        assert "import vqkit" not in (text := (Path(reference.__file__).parent / f"{module}.py").read_text())
        assert "from vqkit" not in text
