"""The page of the token grid: choose a position, see or hear its code, put another one there, undo."""

from __future__ import annotations

import html
from typing import Any, final

import gradio as gr
import numpy as np

from vqkit.lab import limits
from vqkit.lab.acts.codewords import nearest_codes
from vqkit.lab.acts.comparison import picture
from vqkit.lab.acts.token_grid import TokenGrid, decode_grid, encode_grid, patches
from vqkit.lab.pages.base import CLEAR, LAB_PAGES, Page, connected, said_line
from vqkit.lab.pages.fields import WORKING, notes, ready, signal_fields
from vqkit.lab.pages.views import caption, played, shown, spectrogram, still
from vqkit.lab.widgets.token_grid import grid_value, token_grid
from vqkit.lab.workshop import OpenModel, Workshop
from vqkit.models import IndexModel

_NEAREST = 11
_FRAMES = 80
"""Frames of a sound that are shown at a time."""
_LEAST_FRAME = 11
_NOBODY = TokenGrid("", "", (), np.zeros((0, 0), np.int64))


@LAB_PAGES.register("tokens")
@final
class TokensPage(Page):
    """The token grid of a picture or a sound."""

    title = "Token grid"
    order = 20
    help = (
        "Each cell is a token: a position of the grid, and the code that the encoder chose for it. Click one (or move "
        "with the arrow keys and press Enter), see what its code makes there, and put another code in its place: the "
        "decoder answers at once."
    )
    nothing = "The token grid needs a model of pictures or sounds with a codebook; none is open."

    def suits(self, model: OpenModel) -> bool:
        """See ``Page.suits``: pictures and sounds, with a codebook."""
        return isinstance(model.model, IndexModel) and model.kind in ("image", "sound")

    def build(self, workshop: Workshop) -> None:
        """See ``Page.build``."""
        _Desk(workshop, self)


class _Desk:
    """The components of the page and what connects them; the state of a user is ``self.state``."""

    def __init__(self, workshop: Workshop, page: TokensPage) -> None:
        self.workshop = workshop
        names = workshop.names(page.suits)
        first = workshop[names[0]]
        self.fields = signal_fields(workshop, page.suits, side=256, seconds=limits.GRID_SECONDS)
        self.line = said_line()
        self.told = gr.HTML(ready(first))
        self.state = gr.State(_NOBODY, time_to_live=limits.SESSION_SECONDS)
        self.at = gr.State((0, 0), time_to_live=limits.SESSION_SECONDS)
        books = max(_books(workshop[name]) for name in names)
        with gr.Row(visible=False) as self.area:
            with gr.Column(scale=3, min_width=300):
                with gr.Row():
                    self.stage = gr.Dropdown(
                        [str(number + 1) for number in range(_books(first))],
                        value="1",
                        label="Codebook (of a residual stack: the stage)",
                        interactive=True,
                        visible=books > 1,
                        min_width=120,
                    )
                    self.start = gr.Slider(
                        0, 1, value=0, step=0.1, label="From second", interactive=True, visible=False, min_width=160
                    )
                self.grid = token_grid("Token grid")
                with gr.Row():
                    self.undo = gr.Button("Undo", min_width=90)
                    self.reset = gr.Button("All as encoded", min_width=90)
                with gr.Column(visible=False) as self.sounds:
                    self.whole = gr.Audio(label="With your changes", format="wav", interactive=False, buttons=[])
                    self.near = gr.Audio(label="Around the frame", format="wav", interactive=False, buttons=[])
                    caption("Spectrogram of what is decoded", "low frequencies below; 80 dB from black to white")
                    self.seen = still("Spectrogram of the decoded sound")
            with gr.Column(scale=2, min_width=300):
                self.cell = gr.HTML()
                self.code = gr.Number(0, precision=0, minimum=0, label="Code here", interactive=True)
                self.put = gr.Button("Put this code", variant="primary")
                self.caption = caption("What nearby codes make here", "choose one to put it there")
                self.gallery = gr.Gallery(
                    label="Nearest codes",
                    show_label=False,
                    columns=4,
                    height="auto",
                    object_fit="contain",
                    allow_preview=False,
                    interactive=False,
                    format="png",
                    buttons=[],
                    elem_classes=["vq-codes"],
                )
        self._connect()

    def _connect(self) -> None:
        everything = [self.state, self.at, self.told, self.area, self.sounds, self.stage, self.start, *self._shown()]
        options: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        opening = connected(self._open, len(everything), working=WORKING)
        fields = self.fields
        for event in (fields.file.upload, fields.example.input, fields.side.input):
            event(opening, fields.inputs, [*everything, self.line], **options)
        closed = [self.state, self.area, self.sounds, self.told, self.line]
        fields.model_changed.then(self._closed, fields.model, closed, **options)
        held = [fields.model, self.state, self.at, self.stage, self.start]
        views = [self.state, self.at, *self._shown(), self.line]
        count = len(views) - 1
        self.grid.select(connected(self._choose, count), held, views, **options)
        self.stage.input(connected(self._again, count), held, views, **options)
        self.start.release(connected(self._again, count), held, views, **options)
        for event in (self.put.click, self.code.submit):
            event(connected(self._put, count), [*held, self.code], views, **options)
        self.gallery.select(connected(self._put_nearest, count), held, views, **options)
        self.undo.click(connected(self._undo, count), held, views, **options)
        self.reset.click(connected(self._reset, count), held, views, **options)

    def _shown(self) -> list[Any]:
        return [self.grid, self.cell, self.code, self.gallery, self.whole, self.near, self.seen]

    def _open(self, *values: Any) -> tuple[Any, ...]:
        opened, upload = self.fields.read(*values)
        grid = encode_grid(opened, upload)
        books, sound = grid.codebooks, opened.kind == "sound"
        length = _seconds(opened, grid)
        told = f'<p class="vq-summary"><span>{grid.indices.size:,} tokens</span><span>grid of '
        told += f"{' x '.join(map(str, grid.grid))}{f' x {books} codebooks' if books > 1 else ''}</span>"
        assert isinstance(opened.model, IndexModel)
        told += f"<span>{opened.model.codebook_size:,} codes in a codebook</span></p>{notes(upload)}"
        at = (0, 0) if sound else (grid.grid[0] // 2, grid.grid[1] // 2)
        stage = gr.update(
            choices=[str(number + 1) for number in range(books)], value="1", visible=books > 1 and not sound
        )
        last = max(0.1, length - _FRAMES * _frame(opened))
        start = gr.update(value=0, maximum=round(last, 1), visible=sound and grid.grid[0] > _FRAMES)
        views = self._views(opened, grid, at, 0, 0.0)
        return grid, at, told, gr.update(visible=True), gr.update(visible=sound), stage, start, *views

    def _closed(self, name: str) -> tuple[Any, ...]:
        return _NOBODY, gr.update(visible=False), gr.update(visible=False), ready(self.workshop[name]), CLEAR

    def _choose(
        self, model: str, grid: TokenGrid, at: Any, stage: str, start: float, event: gr.SelectData
    ) -> tuple[Any, ...]:
        opened = self.workshop[model]
        row, column = (int(each) for each in event.index)
        at = (row, column + (_first(opened, start) if opened.kind == "sound" else 0))
        return grid, at, *self._views(opened, grid, at, int(stage) - 1, start, redraw=False)

    def _again(self, model: str, grid: TokenGrid, at: Any, stage: str, start: float) -> tuple[Any, ...]:
        opened = self.workshop[model]
        if opened.kind == "sound":
            first = _first(opened, start)
            at = (at[0], min(max(at[1], first), min(first + _FRAMES, grid.grid[0]) - 1))
        return grid, at, *self._views(opened, grid, at, int(stage) - 1, start)

    def _put(self, model: str, grid: TokenGrid, at: Any, stage: str, start: float, code: float) -> tuple[Any, ...]:
        opened = self.workshop[model]
        assert isinstance(opened.model, IndexModel)
        position, book = _place(opened, at, int(stage) - 1)
        changed = grid.put(position, book, int(code if code is not None else -1), opened.model.codebook_size)
        return changed, at, *self._views(opened, changed, at, int(stage) - 1, start)

    def _put_nearest(
        self, model: str, grid: TokenGrid, at: Any, stage: str, start: float, event: gr.SelectData
    ) -> tuple[Any, ...]:
        opened = self.workshop[model]
        position, book = _place(opened, at, int(stage) - 1)
        codes = _offered(opened, grid.code(position, book), book)
        return self._put(model, grid, at, stage, start, codes[int(event.index)])

    def _undo(self, model: str, grid: TokenGrid, at: Any, stage: str, start: float) -> tuple[Any, ...]:
        return self._again(model, grid.undo(), at, stage, start)

    def _reset(self, model: str, grid: TokenGrid, at: Any, stage: str, start: float) -> tuple[Any, ...]:
        return self._again(model, grid.reset(), at, stage, start)

    def _views(
        self, opened: OpenModel, grid: TokenGrid, at: tuple[int, int], stage: int, start: float, redraw: bool = True
    ) -> list[Any]:
        """Values of ``_shown``; without ``redraw`` the signal is not decoded again: nothing in it has changed."""
        sound = opened.kind == "sound"
        position, book = _place(opened, at, stage)
        code = grid.code(position, book)
        codes = _offered(opened, code, book)
        whole = decode_grid(opened, grid) if redraw else None
        made = patches(opened, grid, position, book, codes)
        told = _told(opened, grid, at, book, code)
        if sound:
            value = _sound_grid(opened, grid, at, start)
            items = [
                (spectrogram(opened, each), _label(each_code, code))
                for each, each_code in zip(made, codes, strict=True)
            ]
            near = played(opened, made[0])
            heard = [gr.skip(), near, gr.skip()]
            if whole is not None:
                heard = [played(opened, whole), near, spectrogram(opened, whole)]
            return [value, told, code, items, *heard]
        view = gr.skip()
        if whole is not None:
            view = grid_value(grid.indices[..., book], shown(picture(whole), 512), at=at, changed=grid.changed(book))
        items = [
            (shown(picture(each), 96), _label(each_code, code)) for each, each_code in zip(made, codes, strict=True)
        ]
        return [view, told, code, items, None, None, None]


def _books(opened: OpenModel) -> int:
    return opened.model.num_codebooks if isinstance(opened.model, IndexModel) else 1


def _place(opened: OpenModel, at: tuple[int, int], stage: int) -> tuple[tuple[int, ...], int]:
    """Position and codebook of a cell: in the grid of a sound a row is a codebook, and a column a frame."""
    return ((at[1],), at[0]) if opened.kind == "sound" else (tuple(at), stage)


def _offered(opened: OpenModel, code: int, book: int) -> list[int]:
    """The code itself, and the nearest ones."""
    here = max(code, 0)
    return [here, *(each for each, _ in nearest_codes(opened.codewords(book), here, _NEAREST))]


def _label(code: int, here: int) -> str:
    return f"{code} (here)" if code == here else str(code)


def _frame(opened: OpenModel) -> float:
    """Seconds of a frame; frames themselves where the sample rate is not known."""
    model = opened.model
    assert isinstance(model, IndexModel)
    factor = model.downsampling if isinstance(model.downsampling, int) else model.downsampling[0]
    return factor / (model.kind.rate or factor)


def _seconds(opened: OpenModel, grid: TokenGrid) -> float:
    return grid.grid[0] * _frame(opened) if opened.kind == "sound" else 0.0


def _first(opened: OpenModel, start: float) -> int:
    return round((start or 0) / _frame(opened))


def _sound_grid(opened: OpenModel, grid: TokenGrid, at: tuple[int, int], start: float) -> dict[str, Any]:
    first = min(_first(opened, start), max(0, grid.grid[0] - _FRAMES))
    part = grid.indices[first : first + _FRAMES].T
    changed = [
        (each.stage, each.position[0] - first) for each in grid.changes if 0 <= each.position[0] - first < part.shape[1]
    ]
    here = (at[0], min(max(at[1] - first, 0), part.shape[1] - 1))
    return grid_value(
        part, at=here, changed=changed, rows="codebook", columns="frame", first=first, least_cell=_LEAST_FRAME
    )


def _told(opened: OpenModel, grid: TokenGrid, at: tuple[int, int], book: int, code: int) -> str:
    """The HTML of the chosen position."""
    books = f", codebook {book + 1} of {grid.codebooks}" if grid.codebooks > 1 else ""
    if opened.kind == "sound":
        where = f"Frame {at[1] + 1} ({at[1] * _frame(opened):.2f} s){books}"
    else:
        where = f"Row {at[0] + 1}, column {at[1] + 1}{books}"
    what = f"code <b>{code}</b>" if code >= 0 else "no code: this codebook adds nothing here"
    count = len(grid.changes)
    changes = f" {count} change{'' if count == 1 else 's'} so far." if count else ""
    return f'<p class="vq-cell"><b>{html.escape(where)}</b>: {what}.{changes}</p>'
