"""The figures of README and docs again: old beside new, and whether their recipes are still those.

``rows.json`` holds each published figure with its place, and the recipe that it was measured by: all settings that its
command resolves to, their digest, and the commit. ``tests/docs/test_rows.py`` fails where a recipe is no longer that of
the code; this script measures again.

    python benchmarks/readme.py                                # the cheap ones (nightly): data of the package
    python benchmarks/readme.py --only codebooks --data /data  # those whose name holds a word, on what lies in /data
    python benchmarks/readme.py --all --data /data --seeds 0,1,2 --write

``--write`` puts new figures into the pages and into ``rows.json``, with deviation over seeds, recipe and commit.
``--quick`` trains nothing: it looks at the recipes alone. ``--adopt`` trains nothing either: it puts settings that are
new into the recipes with their defaults, where these are what was always done.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from figures import parser
from recipes import HERE, ROWS, changes, digest, read_rows, recipe_now, write_rows

ROOT = HERE.parent
_FIGURES = "figures.json"
_NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?")


def number_in(shown: str) -> float:
    """The first number of a figure as it is printed: 3782.0 of ``3,782 of 4,096``."""
    found = _NUMBER.search(shown)
    if found is None:
        raise ValueError(f"{shown}: no number")
    return float(found[0].replace(",", ""))


def printed(value: float, shown: str) -> str:
    """A new value as the old one was printed: with its decimals, and the words around it."""
    old = _NUMBER.search(shown)
    if old is None:
        raise ValueError(f"{shown}: no number")
    decimals = len(old[1] or ".") - 1
    return f"{shown[: old.start()]}{value:{',' if abs(value) >= 1000 else ''}.{decimals}f}{shown[old.end() :]}"


def cell_of(line: str, row: Mapping[str, Any]) -> tuple[int, int]:
    """From where to where the text of a row's cell goes in its line of a page; the whole line without ``cell``."""
    if "cell" not in row:
        return 0, len(line)
    bars = [place for place, letter in enumerate(line) if letter == "|"]
    return bars[row["cell"]] + 1, bars[row["cell"] + 1]


def line_of(text: str, row: Mapping[str, Any]) -> int | None:
    """The number of the line of a page that shows a row's figure; None: it is not there.

    The line begins with ``line``, below the first line that holds ``below``, where it is given.
    """
    lines, start = text.splitlines(), 0
    if "below" in row:
        start = next((number for number, line in enumerate(lines) if row["below"] in line), len(lines))
    for number in range(start, len(lines)):
        if lines[number].startswith(row["line"]):
            low, high = cell_of(lines[number], row)
            return number if row["shown"] in lines[number][low:high] else None
    return None


def put(text: str, row: Mapping[str, Any], shown: str) -> str:
    """A page with another figure in the place of a row's.

    Raises:
        ValueError: the page does not show it.
    """
    place = line_of(text, row)
    if place is None:
        raise ValueError(f"{row['page']}: no line {row['line']!r} shows {row['shown']}")
    lines = text.splitlines(keepends=True)
    low, high = cell_of(lines[place].rstrip("\n"), row)
    cell = lines[place][low:high].replace(row["shown"], shown, 1)
    lines[place] = lines[place][:low] + cell + lines[place][high:]
    return "".join(lines)


def at(document: Any, path: Sequence[Any]) -> float:
    """A number in a JSON document: names, places, and ``{"name": "ema"}`` for the item of a list that has it."""
    for step in path:
        if isinstance(step, Mapping):
            same = [each for each in document if all(each.get(key) == value for key, value in step.items())]
            if not same:
                raise LookupError(f"the command has written nothing of {dict(step)}")
            document = same[0]
        else:
            document = document[step]
    return float(document)


def measure(
    recipe: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    data: Path | None,
    seed: int | None,
    keep: Path | None = None,
) -> list[float]:
    """Run the commands of a recipe in an empty folder; the values of its rows.

    Raises:
        FileNotFoundError: data that is not there.
        LookupError: a figure that the command has not written.
        subprocess.CalledProcessError: a command that failed.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vqkit-rows-"))) if keep is None else keep
        folder.mkdir(parents=True, exist_ok=True)
        if keep is not None and all(any(folder.rglob(row["file"])) for row in rows):
            return _read(folder, rows)
        for entry in [] if data is None else sorted(data.iterdir()):
            (folder / entry.name).unlink(missing_ok=True)
            (folder / entry.name).symlink_to(entry.resolve())
        for need in recipe.get("needs", ()):
            if not (folder / need).exists():
                raise FileNotFoundError(f"{need} is not there: give the folder that holds it, --data FOLDER")
        for command in [*recipe.get("before", ()), recipe["command"]]:
            words = shlex.split(command)
            script = [str(HERE / Path(words[1]).name), *words[2:]] if words[0] == "python" else ["-m", *words]
            more = ["--json", _FIGURES] if words[0] == "python" else []
            if seed is not None and words[0] != "python" and recipe.get("seeded", True):
                more += ["--seed", str(seed)]
            subprocess.run([sys.executable, *script, *more], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return _read(folder, rows)


def _read(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    documents = {row["file"]: _found(folder, row["file"]) for row in rows}
    return [at(documents[row["file"]], row["path"]) * row.get("scale", 1) for row in rows]


def _found(folder: Path, name: str) -> Any:
    paths = sorted(folder.rglob(name))
    if not paths:
        raise FileNotFoundError(f"{name}: the command has not written it")
    return json.loads(paths[0].read_text(encoding="utf-8"))


def chosen(document: Mapping[str, Any], only: str, everything: bool) -> Iterator[str]:
    """Names of the recipes that are asked for."""
    for name, recipe in document["recipes"].items():
        if only in name if only else everything or recipe.get("cheap"):
            yield name


def adopt(recipe: dict[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Put settings that were not there into a recipe, in place; their names. Those that changed stay as they were."""
    new = {name: value for name, value in now.items() if name not in recipe["settings"]}
    recipe["settings"] |= new
    recipe["digest"] = digest(recipe["settings"])
    return sorted(new)


def commit() -> str:
    """The commit of this tree, with a plus where it has changes."""
    told = subprocess.run(
        ["git", "describe", "--always", "--abbrev=7", "--dirty=+", "--exclude=*"],
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
    )
    return told.stdout.strip()


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--only", default="", metavar="NAME", help="recipes whose name holds this")
    options.add_argument("--cheap", action="store_true", help="those that take a few minutes (the default)")
    options.add_argument("--all", action="store_true", help="all whose data are there")
    options.add_argument(
        "--data", type=Path, default=None, metavar="FOLDER", help="holds the data by their published names"
    )
    options.add_argument(
        "--seeds", default="", metavar="SEEDS", help="repeat with each, e.g. 0,1,2: means and deviations"
    )
    options.add_argument(
        "--keep", type=Path, default=None, metavar="FOLDER", help="run there, and read what an earlier call left there"
    )
    options.add_argument("--adopt", action="store_true", help="put settings that are new into the recipes, untrained")
    options.add_argument("--write", action="store_true", help="put the new figures into the pages and rows.json")
    arguments = options.parse_args()
    document, figures, here = read_rows(), [], commit()
    seeds = [int(each) for each in arguments.seeds.split(",")] if arguments.seeds else [None]
    for name in chosen(document, arguments.only, arguments.all or arguments.quick or arguments.adopt):
        recipe = document["recipes"][name]
        rows = [row for row in document["rows"] if row["recipe"] == name]
        now = recipe_now(recipe)
        aged = changes(recipe["settings"], now)
        print(f"{name}: {recipe['command']}")
        print("\n".join(f"  {line}" for line in aged) or f"  the recipe is that of {recipe['digest']}", flush=True)
        if arguments.adopt and (added := adopt(recipe, now)):
            print(f"  adopted: {', '.join(added)}")
            write_rows(document, ROWS)
        if arguments.quick or arguments.adopt or "file" not in rows[0]:
            continue

        def measured(seed: int | None, name: str = name, recipe: Any = recipe, rows: Any = rows) -> list[float]:
            keep = arguments.keep and arguments.keep / (name if seed is None else f"{name}-{seed}")
            return measure(recipe, rows, arguments.data, seed, keep)

        try:
            began = time.monotonic()
            values = list(zip(*(measured(seed) for seed in seeds), strict=True))
        except (FileNotFoundError, subprocess.CalledProcessError, LookupError) as error:
            print(f"  not measured: {error}")
            continue
        for row, found in zip(rows, values, strict=True):
            new, spread = statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None
            told = "" if spread is None else f" ± {spread:.2g} over {len(found)} seeds"
            place = f"{row['page']}, {row['line']} {row.get('what', '')}"
            print(f"  {place}: {row['shown']} -> {printed(new, row['shown'])}{told}")
            figures.append(
                {"name": f"{name}: {row['line']}", "old": number_in(row["shown"]), "new": new, "spread": spread}
            )
            if arguments.write:
                shown, page = printed(new, row["shown"]), ROOT / row["page"]
                page.write_text(put(page.read_text(encoding="utf-8"), row, shown), encoding="utf-8")
                row.update(
                    shown=shown,
                    value=new,
                    spread=spread,
                    commit=here,
                    date=datetime.datetime.now(datetime.UTC).date().isoformat(),
                )
        print(f"  {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
        if arguments.write:
            recipe.update(settings=now, digest=digest(now))
            write_rows(document, ROWS)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"figures": figures}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
