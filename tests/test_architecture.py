"""The floors of CONTRIBUTING.md, read from the imports: down only, packages on one floor never meet."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "vqkit"

FLOORS = {
    "__main__": 11,
    "cli": 10,
    "lab": 9,
    "studies": 8,
    "results": 8,
    "sklearn": 8,
    "training": 7,
    "codec": 6,
    "export": 6,
    "generation": 6,
    "ids": 6,
    "evaluation": 5,
    "tokens": 5,
    "pixels": 5,
    "models": 4,
    "quantizers": 3,
    "networks": 3,
    "priors": 3,
    "objectives": 3,
    "exact": 2,
    "data": 2,
    "pretrained": 2,
    "ops": 1,
    "likelihoods": 1,
    "coding": 1,
    "signals": 1,
    # L0: modules that anything may use and that use only each other
    "__init__": 0,
    "_version": 0,
    "building": 0,
    "calls": 0,
    "provenance": 0,
    "chance": 0,
    "crew": 0,
    "checking": 0,
    "_former": 0,
    "deprecation": 0,
    "docstrings": 0,
    "errors": 0,
    "host": 0,
    "notebooks": 0,
    "optional": 0,
    "pictures": 0,
    "plotting": 0,
    "resources": 0,
    "seeds": 0,
    "spelling": 0,
    "storage": 0,
    "threads": 0,
    "words": 0,
    "recording": 0,
    "registry": 0,
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


def module_name(path: Path) -> str:
    """The dotted name of a file; a package's ``__init__`` is the package."""
    return ".".join(("vqkit", *path.relative_to(SRC).with_suffix("").parts)).removesuffix(".__init__")


def import_graph() -> dict[str, set[str]]:
    """Which files of vqkit each file imports, those for type checkers included.

    A name that a package gives on is counted as an import of the package: its ``__init__`` runs.
    """
    modules = {module_name(path): path for path in FILES}
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        targets = set()
        for imported in imports(ast.parse(path.read_text(encoding="utf-8"))):
            target = imported if imported in modules else imported.rpartition(".")[0]
            if target in modules and target != name:
                targets.add(target)
        graph[name] = targets
    return {name: targets for name, targets in graph.items() if name != "vqkit"}


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """The files of one circle of imports, or none."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_cycle_of_files() -> None:
    assert cycle(import_graph()) == []


def test_a_cycle_is_seen() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert not cycle({"a": {"b", "c"}, "b": {"c"}})


def test_files_are_neither_long_nor_crumbs() -> None:
    """One notion a file: at most 400 lines, at least 25 (an ``__init__`` and the version aside)."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert [str(path) for path, length in lengths.items() if length > 400] == []
    crumbs = [str(path.relative_to(SRC)) for path, length in lengths.items() if length < 25]
    assert [crumb for crumb in crumbs if Path(crumb).name not in ("__init__.py", "__main__.py", "_version.py")] == []


def test_folders_of_many_files_have_wings() -> None:
    for folder in {path.parent for path in FILES}:
        wings = [path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"]
        assert wings or len(list(folder.glob("*.py"))) <= 12, folder


def test_the_ladder_is_seen_to_break() -> None:
    assert violations("def f():\n    from vqkit.training import train", "models")
    assert violations("from vqkit.tokens.tokens import Tokens", "evaluation")
    assert violations("import vqkit.cli.main", "storage")
    assert violations("from vqkit import models", "ops")
    assert not violations("from vqkit import storage, _version\nfrom vqkit.models import VQVAE", "codec")


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
    heavy = ["torch", "pyarrow", "datasets", "huggingface_hub"]
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
