"""The floors of shared/DESIGN.md, read from the imports: down only, packages on one floor never meet."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "vqkit"

FLOORS = {
    "cli": 8,
    "app": 8,
    "studies": 7,
    "training": 6,
    "codec": 5,
    "evaluation": 5,
    "generation": 5,
    "priors": 4,
    "models": 3,
    "exact": 2,
    "quantizers": 2,
    "networks": 2,
    "ops": 1,
    "likelihoods": 1,
    "coding": 1,
    "data": 1,
    # L0: modules that anything may use and that use only each other
    "__init__": 0,
    "__main__": 9,
    "atomic": 0,
    "chance": 0,
    "building": 0,
    "checking": 0,
    "errors": 0,
    "host": 0,
    "marks": 0,
    "outputs": 0,
    "lock": 0,
    "words": 0,
    "pictures": 0,
    "seeds": 0,
    "reading": 0,
}
FILES = sorted(SRC.rglob("*.py"))


def block(path: Path) -> str:
    """The package or top-level module that a file belongs to."""
    first = path.relative_to(SRC).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST) -> list[str]:
    """Every module that is imported anywhere in the code, at module level or in functions, as dotted names."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def violations(source: str, own: str) -> list[str]:
    """What in ``source``, a file of the block ``own``, breaks the ladder."""
    wrong = []
    for name in imports(ast.parse(source)):
        parts = name.split(".")
        if parts[0] != "vqkit":
            continue
        other = parts[1] if len(parts) > 1 and parts[1] in FLOORS else "__init__"
        same_floor = FLOORS[own] == FLOORS[other] and FLOORS[own] > 0 and own != other
        if FLOORS[other] > FLOORS[own] or same_floor:
            wrong.append(f"{own} (L{FLOORS[own]}) imports {name} (L{FLOORS[other]})")
    return wrong


def test_every_package_has_a_floor() -> None:
    assert {block(path) for path in FILES} <= set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_imports_go_down(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    if path == SRC / "__init__.py":  # the face names every floor, for type checkers only
        tree = ast.parse(source)
        for node in tree.body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = [ast.Pass()]
        source = ast.unparse(tree)
    assert violations(source, block(path)) == []


def test_the_ladder_is_seen_to_break() -> None:
    assert violations("def f():\n    from vqkit.training import train", "models")
    assert violations("from vqkit.codec.tokens import Tokens", "evaluation")
    assert violations("import vqkit.cli.main", "atomic")
    assert violations("from vqkit import models", "ops")
    assert not violations("from vqkit import atomic, __version__\nfrom vqkit.models import VQVAE", "codec")


def test_coding_knows_no_torch() -> None:
    for path in FILES:
        if block(path) == "coding":
            roots = {name.split(".")[0] for name in imports(ast.parse(path.read_text(encoding="utf-8")))}
            assert "torch" not in roots, path


def test_nothing_is_ever_unpickled() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not {"pickle", "dill", "joblib"} & {name.split(".")[0] for name in imports(tree)}, path
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("torch.load", "torch.save"), path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert ast.unparse(node.value) == "False", path


@pytest.mark.parametrize("module", ["vqkit", "vqkit.cli.main", "vqkit.coding", "vqkit.data"])
def test_no_torch_before_it_is_needed(module: str) -> None:
    heavy = ["torch"] if module == "vqkit.data" else ["torch", "sklearn", "skimage", "pyarrow", "huggingface_hub"]
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_lazy_name_is_there() -> None:
    import vqkit

    assert sorted(vqkit.__all__) == sorted(vqkit._NAMES)
    for name in vqkit.__all__:
        assert getattr(vqkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'zap'"):
        _ = vqkit.zap
