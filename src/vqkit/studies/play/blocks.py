"""Parts of a page that can be played with: planes with a point to drag, a token grid, a slider over trainings.

Without its script a page shows each plane and each grid as a picture, with the sentence that says what it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vqkit.studies.report import charts, page
from vqkit.studies.report.class_colors import class_color
from vqkit.studies.report.markup import Html, join, text
from vqkit.studies.report.page import part_of_page

SCRIPT, STYLE = "play.js", "play.css"
_DATA = "play-data"


def script() -> str:
    """The script of the parts."""
    return part_of_page(SCRIPT, __package__ or "")


def style() -> str:
    """Their style sheet."""
    return part_of_page(STYLE, __package__ or "")


def playground(
    rungs: Sequence[tuple[str, str, Mapping[str, Any]]], *, class_names: Sequence[str] | None, noun: str
) -> list[Html]:
    """The planes of all rungs beside each other, and the token grid of the one that has a codebook.

    Args:
        rungs: key, title and what ``read_play`` found of each.
        class_names: of the data's labels.
        noun: of the data's items, as plural.
    """
    there = [(key, title, found) for key, title, found in rungs if found]
    if not there:
        return []
    blocks = [
        page.paragraph(
            "Drag a point, or move it with the arrow keys: beside each plane stands what its rung decodes there. Both "
            f"axes are in standard deviations of the latents of held-out {noun}, so the same place is equally usual "
            "in every plane; each dot is one of them."
        ),
        Html(
            '<div class="play-bar" hidden><label><input type="checkbox" class="together" checked>Move all points '
            'together</label><label><input type="checkbox" class="decoded" checked>Show the decoded planes</label>'
            '<button type="button" class="middle">To the middle</button></div>'
        ),
        Html('<p class="quiet key" hidden></p>'),
        Html(f'<div class="planes">{join(*(_plane(number, *one) for number, one in enumerate(there)))}</div>'),
    ]
    data: dict[str, Any] = {
        "noun": noun,
        "class_names": list(class_names or []),
        "colors": [_hex(class_color(number)) for number in range(_classes(there))],
        "planes": {key: {k: v for k, v in found["plane"].items() if k != "sprite"} | _sizes(found["plane"]["sprite"])
                   for key, _, found in there},
    }  # fmt: skip
    for key, title, found in there:
        if tokens := found.get("tokens"):
            blocks += [page.heading(f"Codes of the {title} in each other's place"), *_tokens(key, tokens, noun)]
            data["tokens"] = {**tokens, "pictures": None}
    return [*blocks, data_block(_DATA, data)]


def _plane(number: int, key: str, title: str, found: Mapping[str, Any]) -> Html:
    plane = found["plane"]
    drawn, side, reach = plane["sprite"], plane["side"], plane["reach"]
    alt = (
        f"{title}: {side} by {side} places of the plane decoded, from {-reach:g} to {reach:g} standard deviations on "
        "each axis"
    )
    return Html(
        f'<section class="plane-card" data-part="{text(key)}" data-key="{text(key)}"><h3>'
        f"{charts.marker(key, number)}{text(title)}</h3>"
        f'<p class="quiet">{text(plane_in_words(plane))}</p><div class="play-parts"><div class="pad">'
        f'<img alt="{text(alt)}" src="{text(drawn["address"])}"></div><div class="out" hidden>'
        '<canvas role="img"></canvas><p class="where"></p></div></div></section>'
    )


def plane_in_words(plane: Mapping[str, Any]) -> str:
    """What a plane of ``plane_play`` is, and what it leaves out, in sentences."""
    numbers, side = plane["numbers"], plane["side"]
    if numbers == 1:
        what = "The one latent number, from left to right."
    elif numbers == 2:
        what = "All of the latent space: it has two numbers."
    else:
        share = sum(plane["explained"])
        what = (
            f"Of {numbers:,} latent numbers the plane of the two directions in which they vary most: {share:.0%} of "
            "their variance. All other directions are at their mean."
        )
    if plane.get("snapped"):
        what += " Each position of the latents is replaced by its nearest code before it is decoded."
    inexact = "" if plane["sprite"]["exact"] else " (kept as JPEG)"
    return f"{what} Decoded at {side * side:,} places{inexact}: the nearest is shown."


def _tokens(key: str, tokens: Mapping[str, Any], noun: str) -> list[Html]:
    rows, columns = tokens["grid"]
    shown, codes = len(tokens["indices"]), len(tokens["codes"])
    told = (
        f"Choose a position of the {rows} by {columns} grid: every place where its code is used is marked, in all "
        f"{shown} pictures."
    )
    changed = len(tokens["changes"])
    where = "" if changed == shown else f", in the first {f'{changed} pictures' if changed > 1 else 'picture'}"
    if codes:
        told += (
            f" Below stands what each of the {codes} most used codes makes of that position{where}. These are no "
            "sketches: each grid with one code replaced was decoded as a whole, and the part that changes was kept "
            f"({'to the pixel' if all(each['exact'] for each in tokens['changes']) else 'as JPEG'}). One at a time: "
            "what two replacements do together is not in this page."
        )
    else:
        told += " The grid is too large to keep what each replacement does; vqkit lab decodes it."
    strip = tokens["pictures"]
    alt = f"{shown} held-out {noun} as the codes restore them"
    return [
        page.paragraph(told),
        Html(
            f'<div class="tokens" data-part="{text(key)}"><figure><img class="strip" alt="{text(alt)}" '
            f'src="{text(strip["address"])}"><figcaption>{text(alt)}.</figcaption></figure></div>'
        ),
    ]


def beta_slider(entries: Sequence[Mapping[str, Any]]) -> list[Html]:
    """A slider over trainings with several weights: what each restores and samples, and its numbers.

    Args:
        entries: each with ``variant`` (in words), ``beta``, ``told`` (its numbers in words), and the addresses
            ``samples`` and ``reconstructions`` of rows of pictures; and ``originals``, the same of all.
    """
    if len(entries) < 2:
        return []
    originals = entries[0]["originals"]
    data = {"originals": originals, "betas": [{k: v for k, v in one.items() if k != "originals"} for one in entries]}
    return [
        Html(
            '<div class="beta" hidden><div class="play-bar"><label>Remedy <select class="variant"></select></label>'
            '<label class="slide">Beta <input type="range" min="0" step="1"></label></div>'
            '<p class="told" role="status"></p><div class="sheet named rows"></div></div>'
        ),
        data_block(_DATA, data),
    ]


def data_block(name: str, values: Any) -> Html:
    """JSON in the page for a script to read; nothing in it can end the block."""
    inside = json.dumps(values, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{text(name)}">{inside}</script>')


def chooser(parts: Sequence[tuple[str, str]]) -> Html:
    """Boxes that hide and show what belongs to a part of the page (see ``Section.part``); the script shows them.

    Args:
        parts: key and name of each.
    """
    boxes = "".join(
        f'<label><input type="checkbox" checked value="{text(key)}">{text(name)}</label>' for key, name in parts
    )
    return Html(f'<fieldset class="chooser" hidden><legend>Show</legend>{boxes}</fieldset>' if parts else "")


def _sizes(sprite: Mapping[str, Any]) -> dict[str, Any]:
    return {"tile": sprite["tile"]}


def _classes(rungs: Sequence[tuple[str, str, Mapping[str, Any]]]) -> int:
    return 1 + max([0, *(label for *_, found in rungs for label in found["plane"].get("labels") or [])])


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
