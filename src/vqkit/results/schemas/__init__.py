"""JSON schemas (draft 2020-12) of all files of results: what each key is, its type, and whether it is always there.

Other keys may be there: those of a later version, and what a part of another package adds.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

from vqkit.errors import ConfigError

SCHEMAS = {
    "run": "run.json of a run folder",
    "log-line": "a line of log.jsonl of a run folder",
    "seeds": "seeds.json of vqkit train --seeds",
    "evaluation": "FILE of vqkit eval --json FILE",
    "scores": "FILE.json of vqkit score --out FILE.json",
    "held-out-scores": "held-out-scores.json of a run folder",
    "compare": "compare.json of vqkit compare",
    "play": "play.json of a rung of vqkit compare",
    "compare-vectors": "compare.json of vqkit compare on vectors",
    "codebooks": "codebooks.json of vqkit study codebooks",
    "beta": "beta.json of vqkit study beta",
    "latents": "latents.json of vqkit study latents",
    "rate-distortion": "rate-distortion.json of vqkit study rate-distortion",
    "rate-distortion-sounds": "rate-distortion.json of vqkit study rate-distortion on sounds",
    "probe": "probe.json of vqkit probe",
}
"""Which file each schema is of."""


def schema(name: str) -> dict[str, Any]:
    """Return a JSON schema, for any validator of draft 2020-12.

    Args:
        name: a key of ``SCHEMAS``.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> from vqkit.results import schema
        >>> schema("run")["required"]
        ['data', 'fingerprint', 'model', 'training']
    """
    if name not in SCHEMAS:
        near = get_close_matches(name, SCHEMAS, 1)
        suggestion = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigError(f"schema {name!r} is unknown{suggestion}; known: {', '.join(SCHEMAS)}")
    text = (files("vqkit.results.schemas") / f"{name}.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
