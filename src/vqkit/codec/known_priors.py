"""The exact priors that lie in a run: what files of its model can be coded with."""

from __future__ import annotations

from pathlib import Path

from vqkit.errors import VqkitError
from vqkit.models import folder


def known_priors(name: str | Path) -> dict[str, Path]:
    """Folders of the exact priors that lie in a run, the best one first, by kind."""
    run = Path(name)
    places = [
        ("context", run / "context" / "run"),
        ("context", run / "prior" / "run"),
        ("histogram", run / "context" / "histogram"),
        ("histogram", run / "prior" / "histogram"),
        ("histogram", run / "prior" / "run"),
    ]
    found: dict[str, Path] = {}
    for kind, place in places:
        if kind not in found and _kind(place) == kind:
            found[kind] = place
    return found


def _kind(place: Path) -> str | None:
    try:
        return folder.read_config(folder.locate(place))[0] if place.is_dir() else None
    except VqkitError:
        return None
