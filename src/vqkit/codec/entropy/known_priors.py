"""The exact priors that lie in a run: what files of its model can be coded with."""

from __future__ import annotations

from pathlib import Path

from vqkit.errors import VqkitError
from vqkit.models import IndexModel
from vqkit.pretrained import folder
from vqkit.pretrained.folder import content_hash
from vqkit.storage.reading import read_json
from vqkit.tokens.manifest import MANIFEST


def known_priors(name: str | Path, model: IndexModel | None = None) -> dict[str, Path]:
    """Folders of the exact priors that lie in a run, the best one first, by kind.

    Args:
        name: the run's folder.
        model: leave out priors that are known to have learned indices of another state of the model than this one.

    Example:
        >>> import tempfile
        >>> from vqkit.codec import known_priors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     known_priors(folder)  # no prior lies there
        {}
    """
    found: dict[str, Path] = {}
    for kind in ("context", "histogram"):
        for place in priors_of_kind(name, kind):
            if model is None or not of_another_state(place, model):
                found[kind] = place
                break
    return found


def priors_of_kind(name: str | Path, kind: str) -> list[Path]:
    """Folders of all exact priors of a kind that lie in a run, the usual one first, those set aside last."""
    run = folder.home(name)
    homes = [run / "context", run / "prior"]
    homes += [each for home in homes for each in sorted(home.glob("before-*"), reverse=True)]
    names = ("run",) if kind == "context" else ("histogram", "run")
    places = [home / each for home in homes for each in names]
    places += [run / folder.BESIDE, run / "model" / folder.BESIDE]  # saved with the model itself
    return [place for place in places if _kind(place) == kind]


def of_another_state(place: str | Path, model: IndexModel) -> bool:
    """Return True if a prior records that it learned from a model of other weights than ``model``.

    A prior that does not say what it was learned from passes.

    Args:
        place: the prior's run, or the histogram beside it.
        model: the tokenizer.
    """
    place = Path(place)
    told = _told(place.parent / "tokens" / MANIFEST, "model_sha256") or _told(
        place / "run.json", "made_of", "tokenizer"
    )
    return told is not None and told != content_hash(model)


def _told(file: Path, *names: str) -> str | None:
    try:
        found = read_json(file)
        for name in names:
            found = found.get(name)
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _kind(place: Path) -> str | None:
    try:
        return folder.read_config(folder.locate(place))[0] if place.is_dir() else None
    except VqkitError:
        return None
