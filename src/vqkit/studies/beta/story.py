"""Claims of a study of beta, and the names of what is seen in it: posterior collapse, and what remedies do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqkit.studies.beta.settings import PLAIN, REMEDIES
from vqkit.studies.spread import all_hold, compared, never_falls

Entry = Mapping[str, Any]
_SOME_BITS = 0.1
"""An item; latents that move but say less than this are of no use to the decoder."""


def collapsed(entry: Entry) -> int:
    """Latent numbers that do not move with the signal, over seeds rounded: their posterior is the prior."""
    return int(entry["latent_dim"]) - round(entry["active_units"])


def collapse_in_words(entries: Sequence[Entry]) -> str:
    """Where the plain VAE's posterior collapses, in a sentence or two."""
    plain = sorted(_done(entries, PLAIN), key=lambda each: float(each["beta"]))
    if not plain:
        return ""
    units = int(plain[0]["latent_dim"])
    some = next((each for each in plain if collapsed(each)), None)
    if some is None:
        return f"No posterior collapse: all {units} latent numbers are active at every beta that was tried."
    told = f"Posterior collapse begins at beta {some['beta']:g}: {collapsed(some)} of {units} latent numbers no longer "
    told += "move with the signal; their posterior is the prior, they cost nothing and tell nothing."
    whole = next((each for each in plain if collapsed(each) == units), None)
    if whole is not None:
        told += f" It is complete at beta {whole['beta']:g}: every item is decoded to the same mean."
    return told


def claims(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Claims with whether they hold here, and the numbers behind them; only those whose trainings are done.

    Args:
        entries: of the study's document.
    """
    plain = sorted(_done(entries, PLAIN), key=lambda each: float(each["beta"]))
    found = []
    if len(plain) > 1:
        bits = ", ".join(f"{each['beta']:g}: {each['kl_bits']:,.1f}" for each in plain)
        falls = never_falls(plain[::-1], "kl_bits")
        found.append(_claim("The larger beta, the fewer bits of latents.", falls, f"KL in bits an item at beta {bits}"))
        error = ", ".join(f"{each['beta']:g}: {each['snr_db']:.2f}" for each in plain)
        rises = never_falls(plain, "mse")
        found.append(_claim("The larger beta, the more error.", rises, f"SNR in dB at beta {error}"))
        last = plain[-1]
        told = f"at beta {last['beta']:g} {last['active_units']:g} of {last['latent_dim']} latent numbers are active"
        found.append(_claim("A large beta makes the posterior collapse.", collapsed(last) > 0, told))
        found += _bound(plain)
    for remedy, name in REMEDIES.items():
        found += _remedy(plain, _done(entries, remedy), name)
    return found


def _bound(plain: Sequence[Entry]) -> list[dict[str, Any]]:
    """The bound on the likelihood is the loss at beta 1, so that no other beta should have a better one."""
    counted = [each for each in plain if each.get("bits_per_dim") is not None]
    if len(counted) < 2 or all(each["beta"] != 1 for each in counted):
        return []
    own = next(each for each in counted if each["beta"] == 1)
    best = min((each for each in counted if each["beta"] != 1), key=lambda each: float(each["bits_per_dim"]))
    numbers = ", ".join(f"{each['beta']:g}: {each['bits_per_dim']:.3f}" for each in counted)
    claim = "The evidence lower bound is best at beta 1, whose loss it is."
    return [_claim(claim, compared(own, best, "bits_per_dim"), f"bits per dimension at beta {numbers}")]


def _remedy(plain: Sequence[Entry], treated: Sequence[Entry], name: str) -> list[dict[str, Any]]:
    """Whether a remedy keeps more units active, at the least beta at which the plain VAE has lost the most."""
    known = {float(each["beta"]): each for each in treated}
    lost = [each for each in plain if collapsed(each) and float(each["beta"]) in known]
    if not lost:
        return []
    worst = max(lost, key=collapsed)
    other = known[float(worst["beta"])]
    return [
        _claim(
            f"Where the posterior collapses, with {name} more latent numbers stay in use.",
            all_hold([compared(worst, other, "active_units"), compared(worst, other, "kl_bits", _SOME_BITS)]),
            f"at beta {worst['beta']:g}: {worst['active_units']:g} of {worst['latent_dim']} active and "
            f"{worst['kl_bits']:,.1f} bits without, {other['active_units']:g} and {other['kl_bits']:,.1f} with",
        )
    ]


def _done(entries: Sequence[Entry], variant: str) -> list[Entry]:
    return [each for each in entries if each["status"] == "done" and each["variant"] == variant]


def _claim(claim: str, holds: bool | None, numbers: str) -> dict[str, Any]:
    return {"claim": claim, "holds": holds, "numbers": numbers}
