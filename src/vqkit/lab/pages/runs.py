"""The page of models side by side on one signal, with their numbers."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from typing import Any, final

import gradio as gr

from vqkit.errors import ConfigError
from vqkit.lab.acts.comparison import picture
from vqkit.lab.acts.side_by_side import Entry, side_by_side
from vqkit.lab.pages.base import CLEAR, LAB_PAGES, Page, connected, said_line
from vqkit.lab.pages.fields import WORKING, longest_side, signal_fields, table
from vqkit.lab.pages.views import caption, shown, spectrogram
from vqkit.lab.workshop import KINDS, OpenModel, Workshop

_MOST = 8
_KINDS = {"image": "pictures", "sound": "sounds", "vector": "vectors"}


@LAB_PAGES.register("runs")
@final
class RunsPage(Page):
    """Several models on one picture, sound or table of vectors."""

    title = "Side by side"
    order = 50
    help = (
        "One signal through several models: their reconstructions beside each other, and what each costs and gives. "
        "Open several with: vqkit lab runs/a runs/b, or the folder that they lie in."
    )

    def build(self, workshop: Workshop) -> None:
        """See ``Page.build``."""
        by_kind = {
            kind: found
            for kind in KINDS
            if (found := workshop.names(lambda model, kind=kind: model.kind == kind))  # type: ignore[misc]
        }
        kind, names = max(by_kind.items(), key=lambda each: len(each[1]))
        labels = [_KINDS[each] for each in by_kind]
        of = dict(zip(labels, by_kind, strict=True))
        with gr.Row():
            which = gr.Radio(
                labels, value=_KINDS[kind], label="Signals", interactive=True, visible=len(labels) > 1, min_width=200
            )
            chosen = gr.CheckboxGroup(
                names, value=names[:_MOST], label=f"Models, at most {_MOST}", interactive=True, scale=3, min_width=260
            )
        fields = signal_fields(workshop, self.suits, side=512, chooses=False, preferred=names[0])
        run = gr.Button("Compare", variant="primary")
        line = said_line()
        caption("Original and reconstructions", "choose one to see it large")
        gallery = gr.Gallery(
            label="Original and reconstructions",
            show_label=False,
            columns=3,
            height="auto",
            object_fit="contain",
            interactive=False,
            format="png",
            buttons=["fullscreen"],
            visible=False,
            elem_classes=["vq-runs"],
        )
        numbers = gr.HTML()

        def other(label: str) -> tuple[Any, ...]:
            found = by_kind[of[label]]
            first = workshop[found[0]]
            return (
                gr.update(choices=found, value=found[:_MOST]),
                *fields.changed(first),
                first.name,
                gr.update(value=None, visible=False),
                CLEAR,
                CLEAR,
            )

        def compared(
            models: list[str], name: str, file: str | None, example: str | None, side: str | None
        ) -> Iterator[tuple[Any, ...]]:
            del name
            if not models:
                raise ConfigError("choose at least one model")
            if len(models) > _MOST:
                raise ConfigError(f"{len(models)} models are chosen; the page compares {_MOST} at most")
            opened = [workshop[each] for each in models]
            if len({each.kind for each in opened}) > 1:
                raise ConfigError("these models are of several kinds of signals: choose those of one kind")
            entries: list[Entry] = []
            for entry in side_by_side(opened, file, example, longest_side(side)):
                entries.append(entry)
                yield gr.update(value=(seen := _pictures(entries)), visible=bool(seen)), _numbers(entries, len(opened))

        outputs = [gallery, numbers, line]
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "compare", "show_progress": "hidden"}
        act = connected(compared, 2, working=WORKING)
        for event in (run.click, fields.file.upload, fields.example.input):
            event(act, [chosen, *fields.inputs], outputs, trigger_mode="always_last", **options)
        which.input(
            other,
            which,
            [chosen, *fields.changing, fields.model, *outputs],
            show_progress="hidden",
            api_visibility="private",
        )


def _pictures(entries: list[Entry]) -> list[tuple[Any, str]]:
    """The original and each reconstruction, with their captions."""
    found: list[tuple[Any, str]] = []
    for entry in entries:
        if entry.found is None:
            continue
        if not found:
            found.append((_shown(entry.opened, entry.found.original[0]), "original"))
        found.append((_shown(entry.opened, entry.found.reconstruction[0]), entry.opened.name))
    return [(image, words) for image, words in found if image is not None]


def _shown(opened: OpenModel, item: Any) -> Any:
    if opened.kind == "image":
        return shown(picture(item))
    return spectrogram(opened, item) if opened.kind == "sound" else None


def _numbers(entries: list[Entry], whole: int) -> str:
    kind = entries[0].opened.kind
    unit = next((entry.row.unit for entry in entries if entry.row is not None), "")
    heads = ["model", "tokens", "file bytes", *([unit] if unit else [])]
    heads += ["PSNR (dB)"] if kind != "vector" else []
    heads += ["SSIM"] if kind == "image" else ["error / variance"]
    heads.append("seconds")
    rows, notes = [], []
    for entry in entries:
        found, row = entry.found, entry.row
        if found is None:
            notes.append(f'<p class="vq-say">{html.escape(f"{entry.opened.name}: {entry.wrong}")}</p>')
            continue
        cells = [entry.opened.name, f"{found.tokens:,}" if found.tokens else "-", f"{row.file_bytes:,}" if row else "-"]
        cells += [f"{row.rate:.3f}" if row else "-"] if unit else []
        cells += [_number(found.psnr, 2)] if kind != "vector" else []
        cells += [_number(found.ssim if kind == "image" else found.nmse, 3), f"{found.seconds:.2f}"]
        rows.append(cells)
        notes += [
            f'<p class="vq-note">{html.escape(f"{entry.opened.name}: {note}")}</p>'
            for note in (entry.upload.notes if entry.upload else ())
        ]
    more = f" ({len(entries)} of {whole} models so far)" if len(entries) < whole else ""
    return (table(f"Numbers of each model{more}", heads, rows) if rows else "") + "".join(notes)


def _number(value: float, places: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{places}f}"
