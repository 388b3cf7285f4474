"""BibTeX of vqkit, of its parts and measures, and of all that a run made use of."""

from __future__ import annotations

from pathlib import Path

from vqkit.results.citations.parts import Cited, holds_model, named, used_by
from vqkit.results.citations.references import TOOLKIT, entries_of
from vqkit.results.reading import seed_runs


def cite(*names: str | Path) -> str:
    """Return the BibTeX of parts, of measures, or of what runs made use of; the same as ``vqkit cite``.

    Comments above the entries say what each key is for; of what has no paper they say so.

    Args:
        *names: of quantizers, priors, models, networks, likelihoods, objectives, optimizers, schedules, measures;
            ``"objective:gradient"`` where two kinds have a name in common; or run and model folders. None: vqkit.

    Raises:
        ConfigError: nothing is called so.
        ModelFolderError: a damaged run or model.

    Example:
        >>> import vqkit
        >>> print(vqkit.cite("fsq"), end="")
        % quantizer fsq: mentzer2024finite
        <BLANKLINE>
        @inproceedings{mentzer2024finite,
          title = {Finite Scalar Quantization: {VQ-VAE} Made Simple},
          author = {Mentzer, Fabian and Minnen, David and Agustsson, Eirikur and Tschannen, Michael},
          booktitle = {International Conference on Learning Representations},
          year = {2024},
          eprint = {2309.15505},
          archiveprefix = {arXiv},
        }
    """
    if not names:
        return f"% vqkit\n\n{TOOLKIT}\n"
    found: dict[str, Cited] = {}
    for name in names:
        path = next(iter(seed_runs(Path(name))), Path(name))
        for each in used_by(path) if holds_model(path) else named(str(name)):
            found.setdefault(each.what, each)
    entries: dict[str, str] = {}
    lines = []
    for each in found.values():
        own = entries_of(each.citations or ())
        entries |= own
        told = "not said" if each.citations is None else ", ".join(own) or "no paper"
        lines.append(f"% {each.what}: {told}")
    return "\n".join(lines) + "\n" + "".join(f"\n{entry}\n" for entry in entries.values())
