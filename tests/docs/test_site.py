"""The documentation site: a page for each quantizer and each public name; what ``make docs`` cannot see by itself."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import vqkit
from vqkit.quantizers import QUANTIZERS, STACKINGS
from vqkit.registry import origin_of
from vqkit.studies.codebooks.settings import OF_A_VAE

DOCS = Path(__file__).parents[2] / "docs"
SECTIONS = ["Equation", "Paper", "When to take it", "Pitfalls", "Measured"]
OWN = [name for name in QUANTIZERS if origin_of(QUANTIZERS[name]) == "vqkit"]


def extension(name: str) -> Any:
    """Return a module of docs/site that needs no Sphinx."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tutorials() -> list[str]:
    listed = (DOCS / "README.md").read_text(encoding="utf-8")
    started = re.search(r"## Start\n(.*?)## How to", listed, re.DOTALL)
    assert started is not None
    return re.findall(r"\| \[[^]]+\]\(([\w/-]+)\.md\)", started[1])


@pytest.mark.parametrize("name", [*OWN, *STACKINGS, "projected"])
def test_every_quantizer_has_its_page(name: str) -> None:
    text = (DOCS / "quantizers" / f"{name}.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert "```text" in text  # an equation
    assert re.search(r"\b(19|20)\d\d\b", text)  # a paper has a year
    if name in OWN:
        assert f'`quantizer="{name}"`, `{QUANTIZERS[name].__name__}(' in text
        studied = name == OF_A_VAE or re.search(rf"^\| `{name}` \| [\d.]+ \|", text, re.MULTILINE)
        assert studied, "its own row of figures"
    assert f"({name}.md)" in (DOCS / "quantizers" / "README.md").read_text(encoding="utf-8")


def test_figures_of_quantizers_are_those_of_the_study() -> None:
    study = (DOCS / "choosing-a-quantizer.md").read_text(encoding="utf-8").splitlines()
    for name in [each for each in [*OWN, *STACKINGS] if each != OF_A_VAE]:
        text = (DOCS / "quantizers" / f"{name}.md").read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if re.match(r"\| `[\w:=]+` \|", line)]
        assert rows
        assert set(rows) <= set(study)
        assert "vqkit study codebooks" in text


def test_every_package_with_public_names_has_its_page() -> None:
    listed = (DOCS / "api" / "README.md").read_text(encoding="utf-8")
    for package in vqkit._PACKAGES:
        text = (DOCS / "api" / f"{package}.md").read_text(encoding="utf-8")
        if getattr(getattr(vqkit, package), "__all__", ()):
            assert f".. automodule:: vqkit.{package}\n   :members:\n" in text
        assert f"({package}.md)" in listed


def test_every_name_of_vqkit_is_on_a_page() -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    for name in vqkit.__all__:
        home = vqkit._NAMES[name]
        package = getattr(vqkit, home.split(".")[1])
        by_package = name in getattr(package, "__all__", ()) and f"automodule:: {package.__name__}\n" in pages
        assert by_package or f"automodule:: {home}\n" in pages or f"autofunction:: {home}.{name}\n" in pages, name


def test_every_page_is_listed_where_the_sidebar_comes_from() -> None:
    for folder in (DOCS, DOCS / "quantizers", DOCS / "coming-from", DOCS / "api"):
        listed = (folder / "README.md").read_text(encoding="utf-8")
        for page in folder.glob("*.md"):
            assert page.name == "README.md" or f"({page.name})" in listed, page


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("items ``[C, *size]`` and [C, *size]", r"items ``[C, *size]`` and [C, \*size]"),
        ("|z - e|^2 in ``|x|``", r"\|z - e\|^2 in ``|x|``"),
        ("**A quantizer of your own** subclasses", "**A quantizer of your own** subclasses"),
        ("an *emphasis* stays", "an *emphasis* stays"),
        ("2 * 3 is 6", "2 * 3 is 6"),
        ("    code_dim: d.", r"    code_dim: \d."),
        ("    a: x. y.", r"    a: \x. y."),
    ],
)
def test_shapes_and_norms_of_docstrings_are_no_markup(line: str, wanted: str) -> None:
    assert extension("docstrings").escaped(line) == wanted


def test_examples_and_blocks_of_docstrings_are_left_alone() -> None:
    lines = ["Sum::", "", "    |a| + [*b]", "", "Then |a|.", ">>> f(*a) | g", "[*b]", "", "[*b]"]
    found = list(extension("docstrings").prose_escaped(lines))
    assert found == [*lines[:4], r"Then \|a\|.", *lines[5:8], r"[\*b]"]


def test_the_build_runs_every_tutorial() -> None:
    """Each has code that is run; what makes it smaller matches something."""
    executed = extension("conf").executed_pages
    assert set(executed) == {f"docs/{page}" for page in tutorials()}
    for page, smaller in executed.items():
        text = (DOCS.parent / f"{page}.md").read_text(encoding="utf-8")
        assert any(extension("execution").blocks_of(text, {})), page
        for pattern in smaller:
            assert re.search(pattern, text), f"{page}: {pattern}"


def test_blocks_that_the_build_runs() -> None:
    text = """```python
first
```
<!-- run: skip, a reason -->
```python
second
```

```
vqkit info
```
<!-- run: at build -->
```console
vqkit info
```
```math
x
```
"""
    found = extension("execution").blocks_of(text, {"fir": "wor"})
    assert found == [("python", "worst\n"), None, None, ("console", "vqkit info\n")]


def test_what_a_block_prints_and_ends_with_is_shown() -> None:
    run = extension("run_pages").run_python
    names: dict[str, Any] = {}
    assert "&lt;7&gt;" in run("x = 7\nprint(f'<{x}>')", names)
    assert ">8<" in run("x + 1", names)
    assert run("y = x", names) == run("None", names) == ""
    drawn = run("from PIL import Image\nImage.new('L', (2, 2))", names)
    assert drawn.startswith("<img")
    assert "data:image/png;base64," in drawn
    with pytest.raises(ZeroDivisionError):
        run("x / 0", names)


def test_a_page_that_fails_is_an_error_and_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = extension("execution")
    (tmp_path / "good.md").write_text("```python\n1\n```\n```python\n2\n```\n")
    (tmp_path / "bad.md").write_text("```python\nrefused\n```\n")
    given: list[Any] = []

    def run(pages: dict[str, Any]) -> dict[str, Any]:
        given.append(sorted("bad" if "refused" in str(blocks) else "good" for blocks in pages.values()))
        return {
            key: {"error": "NameError"} if "refused" in str(blocks) else {"outputs": ["1", "2"], "seconds": 0}
            for key, blocks in pages.items()
        }

    monkeypatch.setattr(execution, "ROOT", tmp_path)
    monkeypatch.setattr(execution, "digest_of_package", lambda: "digest")
    monkeypatch.setattr(execution, "_run", run)
    for _ in range(2):
        found = execution.outputs_of({"good": {}, "bad": {}}, tmp_path / "kept")
        assert found["good"]["outputs"] == ["1", "2"]
        assert found["bad"]["error"] == "NameError"
    assert given == [["bad", "good"], ["bad"]]


def test_papers_are_links() -> None:
    found = list(extension("arxiv").pieces("of (arXiv 1711.00937, appendix A.1) and arXiv:1606.05328."))
    assert "".join(text for text, _ in found) == "of (arXiv 1711.00937, appendix A.1) and arXiv:1606.05328."
    assert [address for _, address in found if address] == [
        "https://arxiv.org/abs/1711.00937",
        "https://arxiv.org/abs/1606.05328",
    ]


def test_sounds_are_players(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"sound")
    found = extension("sounds").player(tmp_path / "a.mp3", "at 6 <kbps>")
    assert 'src="data:audio/mpeg;base64,c291bmQ="' in found
    assert found.endswith("at 6 &lt;kbps&gt;</span>")


def test_formulas_are_mathml() -> None:
    pytest.importorskip("docutils", reason="the extra docs is not installed")
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    drawn = extension("mathml").mathml(r"\lVert z_e - e_j \rVert", block=True)
    assert drawn.startswith("<math")
    assert 'display="block"' in drawn
