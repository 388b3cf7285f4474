"""The page that compares a signal with its reconstruction: slider, error map, bytes at each rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, final

import gradio as gr

from vqkit.lab.acts.comparison import Comparison, RateRow, compare, rate_table
from vqkit.lab.acts.uploads import Upload
from vqkit.lab.pages.base import CLEAR, LAB_PAGES, Page, connected, said_line
from vqkit.lab.pages.fields import WORKING, notes, ready, signal_fields, table
from vqkit.lab.pages.views import VIEWS, View
from vqkit.lab.workshop import OpenModel, Workshop
from vqkit.models import IndexModel, model_rates

_UNDER = {
    "context": "context prior",
    "histogram": "histogram prior",
    "indices": "histogram of these indices; the file is coded with log2 K bits an index",
}
_MOST_RATES = 5


@LAB_PAGES.register("compare")
@final
class ComparePage(Page):
    """Original and reconstruction of a file, with what it costs."""

    title = "Compare"
    order = 10
    help = (
        "Drop a file, or choose an example: the model encodes it to tokens and decodes it again. Drag the slider "
        "between the original and the reconstruction; below is what a file of it takes, at each rate of the model."
    )

    def build(self, workshop: Workshop) -> None:
        """See ``Page.build``."""
        names = workshop.names(self.suits)
        kinds = [kind for kind in VIEWS.available() if kind in {workshop[name].kind for name in names}]
        fields = signal_fields(workshop, self.suits, side=512)
        line = said_line()
        told = gr.HTML(ready(workshop[names[0]]))
        views: dict[str, View] = {kind: VIEWS[kind](kind == workshop[names[0]].kind) for kind in kinds}
        rates = gr.HTML()
        parts = [part for view in views.values() for part in view.parts]
        groups = [view.group for view in views.values()]

        def run(*values: Any) -> Iterator[tuple[Any, ...]]:
            opened, upload = fields.read(*values)
            found = compare(opened, upload)
            shown = []
            for kind, view in views.items():
                shown += view.update(opened, found) if kind == opened.kind else view.empty()
            counts = rate_counts(opened)
            waiting = '<p class="vq-note">counting the bytes of each rate ...</p>' if counts else CLEAR
            yield (described(opened, upload, found), *shown, waiting)
            rows: list[RateRow] = []
            for count in counts:
                rows += rate_table(opened, upload, [count])
                yield (gr.skip(), *(gr.skip() for _ in shown), rate_html(opened, rows, len(counts), upload))

        def emptied(name: str) -> tuple[Any, ...]:
            kind = workshop[name].kind
            values = [value for view in views.values() for value in view.empty()]
            return (*(gr.update(visible=each == kind) for each in views), ready(workshop[name]), *values, CLEAR, CLEAR)

        outputs = [told, *parts, rates, line]
        act = connected(run, len(outputs) - 1, working=WORKING)
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "compare", "show_progress": "hidden"}
        for event in (fields.file.upload, fields.example.input, fields.side.input):
            event(act, fields.inputs, outputs, trigger_mode="always_last", **options)
        fields.model_changed.then(
            emptied, fields.model, [*groups, *outputs], show_progress="hidden", api_visibility="private"
        )


def rate_counts(opened: OpenModel) -> list[int]:
    """Return the numbers of codebooks in the table: those that were trained, halved again and again if many."""
    if not isinstance(opened.model, IndexModel):
        return []
    counts = [rate.codebooks for rate in model_rates(opened.model)]
    while len(counts) > _MOST_RATES:
        counts = [count for number, count in enumerate(counts) if (len(counts) - 1 - number) % 2 == 0]
    return counts


def described(opened: OpenModel, upload: Upload, found: Comparison) -> str:
    """Return the HTML of a comparison in one line, and the notes."""
    kind = opened.model.kind
    words = [f"<b>{number}</b> {unit}" for number, unit in measures(opened, found)]
    size = kind.describe_size(upload.size) or f"{len(upload.signals):,} vectors"
    grid = f" on a grid of {' x '.join(map(str, found.grid))}" if found.grid else ""
    tokens = f"{found.tokens:,} tokens{grid}" if found.tokens else "continuous latents, no tokens"
    return (
        f'<p class="vq-summary"><span>{size}</span><span>{tokens}</span>'
        f"{''.join(f'<span>{each}</span>' for each in words)}<span>{found.seconds:.2f} s</span></p>{notes(upload)}"
    )


def measures(opened: OpenModel, found: Comparison) -> list[tuple[str, str]]:
    """Return the measures of a comparison as numbers and units."""
    words = []
    if not math.isnan(found.psnr):
        words.append((f"{found.psnr:.2f}", "dB PSNR"))
    if not math.isnan(found.ssim):
        words.append((f"{found.ssim:.3f}", "SSIM"))
    if opened.kind != "image":
        words.append((f"{found.nmse:.3f}", "of the variance is error"))
    return words


def rate_html(opened: OpenModel, rows: Sequence[RateRow], whole: int, upload: Upload) -> str:
    """Return the HTML table of the rates."""
    picture, sound = opened.kind == "image", opened.kind == "sound"
    unit = rows[0].unit
    heads = ["codebooks", "nominal bytes", "entropy bytes", "file bytes", unit]
    heads += ["PSNR (dB)"] if picture or sound else []
    heads += ["SSIM"] if picture else []
    lines = []
    for row in rows:
        cells = [str(row.codebooks), f"{row.nominal_bytes:,.0f}", f"{row.entropy_bytes:,.0f}", f"{row.file_bytes:,}"]
        cells.append(f"{row.rate:.3f}" if row.rate < 100 else f"{row.rate:,.0f}")
        cells += [f"{row.psnr:.2f}"] if picture or sound else []
        cells += [f"{row.ssim:.3f}"] if picture else []
        lines.append(cells)
    more = f" ({len(rows)} of {whole} rates so far)" if len(rows) < whole else ""
    raw = upload.signals.size * (1 if picture else 2 if sound else 4)
    note = (
        f"Nominal: log2 K bits an index. Entropy: an ideal coder under the {_UNDER.get(rows[0].under, rows[0].under)}. "
        f"File: a whole .vqk file with header and checksum. The signal itself: {raw:,} bytes of "
        f"{'8-bit pixels' if picture else '16-bit samples' if sound else '32-bit floats'}."
    )
    return table(f"Bytes at each rate{more}", heads, lines) + f'<p class="vq-note">{note}</p>'
