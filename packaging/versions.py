"""The oldest and the newest versions that ``pyproject.toml`` allows of a dependency, with the tests that lean on it.

``make test-versions`` runs it for NumPy, Pillow, safetensors and typer. Each version lies in a folder of its own before
the environment's on ``PYTHONPATH``; a dependency that Python itself cannot run that old is said, not passed over.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "numpy": ["tests/coding", "tests/tokens/test_formats.py", "tests/data/test_npy.py", "tests/codec/test_vqk.py"],
    "pillow": ["tests/data/test_pictures.py", "tests/data/test_images.py", "tests/data/test_images_by_hand.py"],
    "safetensors": ["tests/pretrained/test_from_elsewhere.py", "tests/data/test_sources.py"],
    "typer": ["tests/cli/test_cli.py", "tests/cli/test_next_commands.py", "tests/cli/test_failures.py"],
}
BESIDE = {"typer": ["click", "rich", "shellingham", "typing-extensions"]}
"""What of the environment is newer than an old version may know, and comes with it."""


def allowed(name: str) -> tuple[str, str]:
    """Return the requirements of the oldest and of the newest version of a dependency."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["project"]["dependencies"]
    line = next(each for each in listed if re.match(rf"{name}\b", each))
    oldest = re.search(r">=([\w.]+)", line)
    assert oldest is not None, line
    return f"{name}=={oldest[1]}", line


def check(name: str, requirement: str) -> bool:
    """Install one version into a folder, run the tests with it, and say how they went."""
    place = ROOT / "build" / "versions" / requirement
    shutil.rmtree(place, ignore_errors=True)
    deps = [] if name in BESIDE else ["--no-deps"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *deps]
    done = subprocess.run([*pip, "--target", str(place), requirement], capture_output=True, text=True)
    if done.returncode:
        print(f"{requirement}: not installed here ({done.stderr.strip().splitlines()[-1]})")
        return False
    environment = {**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout.strip()
    command = [sys.executable, "-m", "pytest", "-q", "--durations=0", "-p", "no:cacheprovider", *TESTS[name]]
    tests = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    last = tests.stdout.strip().splitlines()[-1] if tests.stdout.strip() else tests.stderr.strip()[-200:]
    failed = [line for line in tests.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    print(f"{name} {found} (Python {sys.version.split()[0]}): {'passed' if not tests.returncode else failed or last}")
    return tests.returncode == 0


def main() -> None:
    """Try the dependencies that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TESTS)}")
    names = parser.parse_args().names or list(TESTS)
    went = [check(name, requirement) for name in names for requirement in allowed(name)]
    raise SystemExit(not all(went))


if __name__ == "__main__":
    main()
