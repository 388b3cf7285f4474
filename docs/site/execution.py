"""Code of pages: which blocks are run, and what they gave, kept under a digest of the code and of vqkit itself."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_FENCE = re.compile(r"(?:^<!-- run: (?P<mark>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


def blocks_of(text: str, smaller: dict[str, str]) -> list[tuple[str, str] | None]:
    """Return the blocks of a page in order, each with its language; None: one that is not run.

    Args:
        text: of the page.
        smaller: regular expressions, and what the build puts in place of what they match.
    """
    found: list[tuple[str, str] | None] = []
    for block in _FENCE.finditer(text):
        language, mark, code = block["language"] or "console", block["mark"] or "", block["text"]
        if language == "math":
            continue
        for pattern, replacement in smaller.items():
            code = re.sub(pattern, replacement, code)
        runs = not mark.startswith("skip") if language == "python" else mark == "at build"
        found.append((language, code) if runs else None)
    return found


def digest_of_package() -> str:
    """Return a digest of the sources of vqkit and of the runner."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted([*(ROOT / "src" / "vqkit").rglob("*.py"), HERE / "run_pages.py"]):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def outputs_of(pages: dict[str, dict[str, str]], cache: Path) -> dict[str, dict[str, Any]]:
    """Return what the pages gave: ``outputs``, HTML or None for each block; ``key``; or ``error``."""
    package = digest_of_package()
    found: dict[str, dict[str, Any]] = {}
    missing: dict[str, list[tuple[str, str]]] = {}  # by key: a page and its translations are run once
    errors: dict[str, str] = {}
    for page, smaller in pages.items():
        blocks = blocks_of((ROOT / f"{page}.md").read_text(encoding="utf-8"), smaller)
        key = hashlib.sha256(json.dumps([blocks, package]).encode()).hexdigest()
        found[page] = {"key": key, "runs": [block is not None for block in blocks]}
        if not (cache / f"{key}.json").exists():
            missing[key] = [block for block in blocks if block is not None]
    if missing:
        for key, outcome in _run(missing).items():
            if "error" in outcome:
                errors[key] = outcome["error"]
            else:
                cache.mkdir(parents=True, exist_ok=True)
                (cache / f"{key}.json").write_text(json.dumps(outcome), encoding="utf-8")
    for each in found.values():
        if each["key"] in errors:
            each["error"] = errors[each["key"]]
        else:
            stored = json.loads((cache / f"{each['key']}.json").read_text(encoding="utf-8"))
            given = iter(stored["outputs"])
            each["outputs"] = [next(given) if runs else None for runs in each["runs"]]
            each["seconds"] = stored["seconds"]
    return found


def _run(pages: dict[str, list[tuple[str, str]]]) -> dict[str, Any]:
    """Run pages in one process with one thread: what is drawn is then the same on every machine of a kind."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(HERE / "run_pages.py")]
    done = subprocess.run(command, input=json.dumps(pages), capture_output=True, text=True, env=environment)
    if done.returncode:
        return {page: {"error": done.stderr[-2000:]} for page in pages}
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome
