"""Runner of tutorials: ``python run_pages.py < pages.json > outputs.json``, a process for the code of all of them.

A page is a list of blocks; each is Python, or command lines of ``vqkit``. Python blocks of a page share one namespace,
as cells of a notebook do, and what a block ends with is shown: pictures, tables, else its ``repr``.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import html
import io
import json
import os
import re
import shlex
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

PICTURES = (".png", ".jpg")


def make_data(folder: Path) -> None:
    """Write the files that pages name, of the photographs that come with vqkit: few and small."""
    import numpy as np
    from PIL import Image

    import vqkit

    photos = vqkit.load_source("builtin:photos")
    wholes = [np.asarray(photos[number]).transpose(1, 2, 0) for number in range(len(photos))]
    (folder / "photos").mkdir()
    crops = []
    for number, whole in enumerate(wholes):
        for row in range(3):
            top, left = (row * (side - 64) // 2 for side in whole.shape[:2])
            crops.append(whole[top : top + 64, left : left + 64])
            Image.fromarray(crops[-1]).save(folder / "photos" / f"{number}-{row}.png")
    np.save(folder / "images.npy", np.stack(crops))
    Image.fromarray(wholes[0]).save(folder / "photo.png")


def shown(value: Any) -> str:
    """Return the HTML of what a block ends with."""
    from PIL import Image

    if value is None:
        return ""
    if isinstance(value, Image.Image):
        file = io.BytesIO()
        value.save(file, format="PNG")
        return _picture(file.getvalue(), "png")
    as_html = getattr(value, "_repr_html_", None)
    return as_html() if as_html is not None else _words(repr(value))


def _picture(data: bytes, kind: str) -> str:
    text = base64.b64encode(data).decode("ascii")
    return f'<img alt="what the code above has drawn" src="data:image/{kind};base64,{text}">'


def _words(text: str) -> str:
    return f'<div class="highlight"><pre>{html.escape(text.rstrip())}</pre></div>' if text.strip() else ""


def run_python(text: str, namespace: dict[str, Any]) -> str:
    """Run a block, and return the HTML of what it printed and ended with."""
    tree = ast.parse(text)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(tree, "page", "exec"), namespace)
        value = eval(compile(ast.Expression(last.value), "page", "eval"), namespace) if last else None
    return _words(printed.getvalue()) + shown(value)


def run_commands(text: str) -> str:
    """Run the command lines of a block, and return the HTML of what they said and of the pictures that they wrote."""
    from vqkit.cli.main import app

    parts = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if not words:
            continue
        if words[0] != "vqkit":
            raise ValueError(f"{line}: only command lines of vqkit are run")
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()) as wrong:
            try:
                app(words[1:])
            except SystemExit as end:
                if end.code:
                    raise RuntimeError(f"{line}: {wrong.getvalue()[-500:]}") from end
        parts.append(_words(f"$ {' '.join(line.split('#')[0].split())}\n{said.getvalue()}"))
        for path in (Path(word) for word in words):
            sheet = path / "sheet.png" if path.is_dir() and (path / "sheet.png").exists() else path
            if sheet.suffix in PICTURES and sheet.is_file() and path.name in words[words.index("vqkit") + 2 :]:
                parts.append(_picture(sheet.read_bytes(), sheet.suffix[1:].replace("jpg", "jpeg")))
    return "".join(parts)


def run_page(blocks: list[tuple[str, str]]) -> dict[str, Any]:
    """Run the blocks of a page in a folder of their own."""
    import torch

    torch.manual_seed(0)
    namespace: dict[str, Any] = {"__name__": "page"}
    outputs, before, began = [], Path.cwd(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder))
        os.chdir(folder)
        try:
            for language, text in blocks:
                outputs.append(run_python(text, namespace) if language == "python" else run_commands(text))
        except Exception:  # noqa: BLE001 - whatever a page does wrong is told with its code
            return {"error": f"{blocks[len(outputs)][1]}\n{traceback.format_exc(limit=-3)}"}
        finally:
            os.chdir(before)
    return {"outputs": outputs, "seconds": round(time.process_time() - began, 1)}


def main() -> None:
    """Read pages as JSON, run them, write their outputs as JSON."""
    os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb")
    pages = json.load(sys.stdin)
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        found = {name: run_page([tuple(block) for block in blocks]) for name, blocks in pages.items()}
    json.dump(found, out)


if __name__ == "__main__":
    main()
