"""The command lines of the tutorials on data of science run, in the order of the page, with stand-ins for the data.

Blocks after ``<!-- run: at build -->`` and the Python blocks between them, which write their data and check what came
back: with two steps of training and small networks.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_code_blocks import ROOT, SHORTER, blocks

FIGURES = [(r"--steps \d+", "--steps 2"), (r"--hidden-channels \d+", "--hidden-channels 8"), (r"-k \d+", "-k 32"),
           (r"--crops \d+", "--crops 16")]  # fmt: skip
PAGES = {
    "weather": ("xarray", "h5netcdf"),
    "satellite-scenes": ("tifffile",),
    "scans": ("nibabel", "pydicom"),
    "archives": (),
    "anomalies": ("pyarrow",),
}


SECTIONS = {"anomalies": "## An ECG, from a table"}
"""Where a page begins to name data of science; ``test_code_blocks.py`` runs what comes before."""


@pytest.mark.parametrize("name", PAGES)
def test_the_commands_of_a_page_run(name: str, files: Path, vq: Any) -> None:
    for module in PAGES[name]:
        pytest.importorskip(module)
    page = ROOT / "docs" / f"{name}.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    begin = lines.index(SECTIONS[name]) if name in SECTIONS else 0
    namespace: dict[str, Any] = {"__name__": "page"}
    ran = []
    for block in blocks(page):
        if block.line < begin:
            continue
        text = block.text
        if block.language == "python":
            for pattern, replacement in SHORTER:
                text = re.sub(pattern, replacement, text)
            exec(compile("\n" * block.line + text, str(page), "exec"), namespace)
        elif lines[block.line - 2] == "<!-- run: at build -->":
            for pattern, replacement in FIGURES:
                text = re.sub(pattern, replacement, text)
            for line in re.sub(r"\\\n\s*", "", text).splitlines():
                words = shlex.split(line, comments=True)
                assert words[0] == "vqkit", line
                outcome = vq(*words[1:])
                assert outcome.status == 0, f"{line}: {outcome.err}"
                ran.append(words[1])
    assert len(ran) >= 6
