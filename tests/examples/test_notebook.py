"""The notebook of ``examples/at_home`` runs as it stands, and shows what it should."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

FILE = Path(__file__).parents[2] / "examples" / "at_home" / "notebook.ipynb"


def sources() -> list[str]:
    cells = json.loads(FILE.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells), "it is kept without outputs"
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_it_is_short_and_without_outputs() -> None:
    lines = "\n".join(sources()).splitlines()
    assert len(lines) <= 60
    assert not any("._" in line for line in lines)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """The outputs of each cell of code."""
    nbclient = pytest.importorskip("nbclient", reason="notebooks are run by nbclient, which is not installed")
    pytest.importorskip("ipykernel", reason="notebooks are run in ipykernel, which is not installed")
    import nbformat

    notebook = nbformat.read(FILE, as_version=4)
    place = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    nbclient.NotebookClient(notebook, timeout=120, resources=place).execute()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def test_each_cell_shows_one_thing(shown: list[list[dict[str, Any]]]) -> None:
    kinds = [[output["output_type"] for output in outputs] for outputs in shown]
    result = ["execute_result"]
    assert kinds == [result, ["display_data", *result], result, result, result, result]
    pages = [output["data"].get("text/html", "") for outputs in shown for output in outputs]
    assert all("<table" in pages[place] for place in (1, 2, 5, 6))
    assert "<img" in pages[0]


def test_progress_is_one_output_that_changed_in_place(shown: list[list[dict[str, Any]]]) -> None:
    page = shown[1][0]["data"]["text/html"]
    assert '<progress max="1" value="1"' in page
    assert "<td><b>100</b></td>" in page, "the numbers of the last step"
    assert "validation PSNR" in page
    assert "done at step 100" in page


@pytest.mark.parametrize("cell", [2, 3])
def test_pictures(shown: list[list[dict[str, Any]]], cell: int) -> None:
    data = base64.b64decode(shown[cell][0]["data"]["image/png"])
    assert len(set(Image.open(io.BytesIO(data)).convert("L").getdata())) > 20
