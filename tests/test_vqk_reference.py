"""docs/bitstream.md says all that a reader needs: one written from it alone gives the kept integers of kept files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.golden.make_models import CASES, CODES, MODELS
from tests.reference import vqk_reader as reference


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind != "context"])
def test_a_reader_written_from_the_page_reads_the_kept_files(name: str) -> None:
    case = CASES[name]
    fill = reference.uniform(CODES) if case.kind == "uniform" else reference.histogram(MODELS / "histogram")
    header, groups = reference.read((MODELS / f"{name}.vqk").read_bytes(), fill)
    assert header.tokenizer == reference.digest_of(MODELS / "tokenizer")
    if case.kind == "histogram":
        assert header.entropy_digest == reference.digest_of(MODELS / "histogram")
    assert [group.size for group in groups for _ in range(group.signals)] == case.sizes
    assert [name for group in groups for name in group.names or [None] * group.signals] == case.names
    found = [index for group in groups for signal in group.indices for each in signal.values() for index in each]
    assert found == np.load(MODELS / f"{name}.indices.npy").tolist()


def test_the_reader_has_nothing_of_vqkit() -> None:
    for module in ("vqk_reader", "range_coding"):
        assert "import vqkit" not in (text := (Path(reference.__file__).parent / f"{module}.py").read_text())
        assert "from vqkit" not in text
