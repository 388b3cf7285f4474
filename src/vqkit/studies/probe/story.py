"""What a probe study says: whether labels can be told from indices, and of which labels more is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqkit.studies.probe.label_sets import LabelSet
from vqkit.studies.probe.measures import LINEAR, Probed, kept_difference, kept_share
from vqkit.studies.probe.representations import INDICES, LATENTS
from vqkit.studies.probe.settings import ProbeConfig

Found = Mapping[str, Sequence[Probed]]
"""The probes of each set of labels."""


def finest(probes: Sequence[Probed], model: str, of: str) -> Probed | None:
    """The linear probe of a representation at most parts; None where there is none."""
    rows = [
        each
        for each in probes
        if (each.row["model"], each.row["representation"], each.row["probe"]) == (model, of, LINEAR)
    ]
    return max(rows, key=lambda each: int(each.row["parts"]), default=None)


def kept(
    found: Found, chances: Mapping[str, float], sets: Sequence[LabelSet], config: ProbeConfig
) -> list[dict[str, Any]]:
    """How much of what continuous latents tell of each set of labels indices tell too, for every pair of these.

    Of each set of labels but the first also the difference to the first, with its interval.
    """
    names = [each.name for each in sets]
    models = list(dict.fromkeys(each.row["model"] for each in found[names[0]] if each.row["model"]))
    entries = []
    for model in models:
        for other in models:
            pairs = {name: (finest(found[name], model, INDICES), finest(found[name], other, LATENTS)) for name in names}
            if any(each is None for pair in pairs.values() for each in pair):
                continue
            shares = {name: kept_share(ours, theirs, chances[name]) for name, (ours, theirs) in pairs.items()}  # type: ignore[arg-type]
            entry: dict[str, Any] = {"indices_of": model, "latents_of": other, "shares": shares, "differences": {}}
            for name in names[1:]:
                if shares[names[0]] is None or shares[name] is None:
                    continue
                bounds = kept_difference((*pairs[names[0]], chances[names[0]]), (*pairs[name], chances[name]), config)  # type: ignore[arg-type]
                if bounds[0] == bounds[0]:
                    entry["differences"][name] = {
                        "difference": shares[names[0]] - shares[name],  # type: ignore[operator]
                        "interval": list(bounds),
                    }
            entries.append(entry)
    return entries


def claims(
    found: Found, chances: Mapping[str, float], sets: Sequence[LabelSet], shares: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Claims with whether the numbers hold them (None: they do not decide), and the numbers."""
    result = []
    for name in (each.name for each in sets):
        for probe in found[name]:
            if probe is finest(found[name], probe.row["model"], INDICES):
                low, high = probe.row["interval"]
                holds = True if low > chances[name] else False if high < chances[name] else None
                numbers = f"{_percent(probe.row['accuracy'])} ({_percent(low)} to {_percent(high)}) of held-out items"
                result.append(
                    {
                        "claim": f"The indices of {probe.row['model']} tell the {name} better than chance.",
                        "holds": holds,
                        "numbers": f"{numbers}; the most frequent {name}: {_percent(chances[name])}",
                    }
                )
    for entry in shares:
        first = sets[0].name
        for name, difference in entry["differences"].items():
            low, high = difference["interval"]
            whose = (
                "its own latents"
                if entry["latents_of"] == entry["indices_of"]
                else f"the latents of {entry['latents_of']}"
            )
            result.append(
                {
                    "claim": f"Beside {whose}, the indices of {entry['indices_of']} keep more of the {first} than of "
                    f"the {name}.",
                    "holds": True if low > 0 else False if high < 0 else None,
                    "numbers": f"share kept of what the latents tell above chance: {first} "
                    f"{_percent(entry['shares'][first])}, {name} {_percent(entry['shares'][name])}; difference "
                    f"{100 * difference['difference']:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})",
                }
            )
    return result


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
