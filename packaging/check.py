"""Build the sdist and the wheel, look into both, install the wheel into an environment of its own, and use it there.

``make test-wheel`` runs it. The new environment takes the dependencies of the one that runs this script; vqkit itself
is in it from the wheel alone. With ``--dependencies`` the dependencies are installed anew too, as for a stranger (torch
is some hundred MB).
"""

from __future__ import annotations

import argparse
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "package"
MOST_BYTES = 10 << 20
"""Of the wheel: weights of reference models take 4 MB at most, built-in data as much, code the rest."""


def main() -> None:
    """Check the packages of this tree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dependencies", action="store_true", help="install the dependencies anew too")
    given = parser.parse_args()
    shutil.rmtree(BUILD, ignore_errors=True)
    wheel, sdist = built()
    names = contents(wheel)
    check_wheel(wheel, names)
    check_sdist(sdist)
    again = rebuilt(sdist)
    if contents(again) != names:
        raise SystemExit(f"the wheel of the sdist differs: {sorted(set(contents(again)) ^ set(names))[:8]}")
    python = installed(wheel, dependencies=given.dependencies)
    use(python)
    print(
        f"{wheel.name}: {wheel.stat().st_size:,} bytes, {len(names)} files\n"
        f"{sdist.name}: {sdist.stat().st_size:,} bytes"
    )


def run(*command: str | Path, **options: str) -> str:
    """Run a command, and return what it printed; ends the program where it fails."""
    environment = {**os.environ, **options}
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, cwd=BUILD, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def built() -> tuple[Path, Path]:
    """Return the wheel and the sdist of this tree, built by hatchling in a folder of its own."""
    tools = BUILD / "tools"
    tools.mkdir(parents=True)
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", tools, "hatchling>=1.26")
    out = BUILD / "dist"
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tools)}, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def rebuilt(sdist: Path) -> Path:
    """Return the wheel that the sdist alone gives."""
    out, tools = BUILD / "again", BUILD / "tools"
    command = [
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(out),
        str(sdist),
    ]
    run(sys.executable, *command, PYTHONPATH=str(tools))
    return next(out.glob("*.whl"))


def contents(wheel: Path) -> dict[str, int]:
    """Return the files of a wheel with their checksums, without the list of them."""
    with zipfile.ZipFile(wheel) as opened:
        return {each.filename: each.CRC for each in opened.infolist() if not each.filename.endswith("RECORD")}


def check_wheel(wheel: Path, names: dict[str, int]) -> None:
    """Every file of the package that git knows is there, nothing else, and the metadata say what they should."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/vqkit"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    wanted = {name.removeprefix("src/") for name in listed if name and (ROOT / name).exists()}
    packaged = {name for name in names if ".dist-info/" not in name}
    if wanted != packaged:
        raise SystemExit(f"missing: {sorted(wanted - packaged)[:8]}; too much: {sorted(packaged - wanted)[:8]}")
    with zipfile.ZipFile(wheel) as opened:
        metadata = Parser().parsestr(opened.read(next(name for name in names if name.endswith("METADATA"))).decode())
    if metadata["Name"] != "vqkit" or metadata["License-Expression"] != "Apache-2.0" or not metadata.get_payload():
        raise SystemExit("the metadata lack the name, the licence or the README")
    for file in ("LICENSE", "LICENSES.md", "entry_points.txt"):
        if not any(name.endswith(file) for name in names):
            raise SystemExit(f"the wheel has no {file}")
    if wheel.stat().st_size > MOST_BYTES:
        raise SystemExit(f"the wheel has {wheel.stat().st_size:,} bytes, more than {MOST_BYTES:,}")


def check_sdist(sdist: Path) -> None:
    """What tests and docs need is in the sdist."""
    with tarfile.open(sdist) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    wanted = [
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "pyproject.toml",
        "tests/conftest.py",
        "docs/README.md",
        "CITATION.cff",
    ]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise SystemExit(f"the sdist lacks {', '.join(missing)}")


def installed(wheel: Path, *, dependencies: bool) -> Path:
    """Return the Python of a new environment with the wheel."""
    place = BUILD / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", place)
    python = place / "bin" / "python"
    into = ["--quiet", "--disable-pip-version-check"]
    if dependencies:
        run(sys.executable, "-m", "pip", "--python", python, "install", *into, wheel)
        return python
    run(sys.executable, "-m", "pip", "--python", python, "install", *into, "--no-deps", wheel)
    library = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    paths = {*site.getsitepackages(), sysconfig.get_path("purelib")}
    (library / "dependencies.pth").write_text("".join(f"{path}\n" for path in sorted(paths)))
    return python


def use(python: Path) -> None:
    """Train, judge and compress with the command of the wheel; the first part of the demo, in fewer steps."""
    alone = {"PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    where = run(python, "-c", "import vqkit; print(vqkit.__file__)", **alone).strip()
    if not Path(where).is_relative_to(BUILD):
        raise SystemExit(f"vqkit is not from the wheel but from {where}")
    command = python.parent / "vqkit"
    print(run(command, "--version", **alone).strip(), "from", where)
    run(command, "compare", "digits", "--out", "compare", "--steps", "40", **alone)
    run(command, "train", "digits", "--out", "run", "--steps", "20", **alone)
    run(command, "compress", "digits", "--model", "run", "--out", "digits.vqk", **alone)
    run(command, "decompress", "digits.vqk", "--model", "run", "--out", "back", **alone)
    made = ["compare/report.html", "digits.vqk"]
    missing = [name for name in made if not (BUILD / name).exists()]
    if missing:
        raise SystemExit(f"there is no {', '.join(missing)}: {sorted(each.name for each in BUILD.iterdir())}")


if __name__ == "__main__":
    main()
