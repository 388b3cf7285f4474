"""The page of the prior at work: some positions are held, the others drawn anew, seen while they fill."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, final

import gradio as gr
import numpy as np
import torch

from vqkit.errors import ConfigError, DataError
from vqkit.lab import limits
from vqkit.lab.acts.comparison import picture
from vqkit.lab.acts.drawing import (
    MOST_VERSIONS,
    Canvas,
    Drawing,
    DrawnFrame,
    canvas_of,
    draw,
    priors_of,
    signal_size,
    strip,
    takes_steps,
    veiled,
)
from vqkit.lab.pages.base import LAB_PAGES, Page, connected, said_line
from vqkit.lab.pages.fields import SignalFields, notes, signal_fields
from vqkit.lab.pages.views import caption, played, shown, spectrogram, still
from vqkit.lab.widgets.parts import parts_of
from vqkit.lab.widgets.token_grid import data_uri
from vqkit.lab.workshop import OpenModel, Workshop
from vqkit.models import IndexModel
from vqkit.priors import Prior

_NOBODY = "no class"
_LARGEST_SEED = 1 << 31


@final
@dataclass(frozen=True)
class _Sheet:
    """What a session draws on: the canvas, for which model and which prior."""

    model: str = ""
    prior: str = ""
    canvas: Canvas | None = None


@LAB_PAGES.register("prior")
@final
class PriorPage(Page):
    """In-painting and generation by a prior over indices, step by step."""

    title: ClassVar[str] = "Prior"
    order: ClassVar[int] = 35
    help: ClassVar[str] = (
        "A prior knows which codes go together. Mark the positions that it shall draw anew (drag over the picture, or "
        "use the arrow keys and Space); the others are held. Without a file or an example it draws everything."
    )
    nothing: ClassVar[str] = "The prior needs a model of pictures or sounds with a codebook; none is open."

    def suits(self, model: OpenModel) -> bool:
        """See ``Page.suits``: pictures and sounds, with a codebook."""
        return isinstance(model.model, IndexModel) and model.kind in ("image", "sound")

    def build(self, workshop: Workshop) -> None:
        """See ``Page.build``."""
        _Easel(workshop, self)


class _Easel:
    """The components of the page and what connects them; a user's canvas is in ``self.sheet``."""

    def __init__(self, workshop: Workshop, page: PriorPage) -> None:
        self.workshop = workshop
        self._priors: dict[str, dict[str, Prior]] = {}
        self._lock = threading.Lock()
        names = sorted(workshop.names(page.suits), key=lambda name: not self.priors(name))
        first = names[0]
        own = self.priors(first)
        prior = next(iter(own), None)
        self.fields: SignalFields = signal_fields(
            workshop, page.suits, side=256, seconds=limits.GRID_SECONDS, preferred=first
        )
        self.told = gr.HTML(self._about(first), elem_id="prior-told")
        self.line = said_line()
        self.sheet = gr.State(_Sheet(), time_to_live=limits.SESSION_SECONDS)
        with gr.Row(visible=bool(own), elem_id="prior-area") as self.area:
            with gr.Column(min_width=300):
                caption("What is held, and what is drawn anew", "blue: drawn anew")
                self.mask = gr.HTML(
                    self._mask(first, prior, None) if prior else None, elem_id="prior-mask", **parts_of("mask")
                )
                with gr.Row():
                    self.start = gr.Button("Draw", variant="primary", min_width=110, elem_id="prior-draw")
                    self.stop = gr.Button("Stop", min_width=90, elem_id="prior-stop")
            with gr.Column(min_width=300):
                caption("What the prior draws", "grey: not there yet")
                self.state = gr.HTML('<p class="vq-note" role="status">Nothing has been drawn yet.</p>')
                self.drawn = still("What the prior draws", elem_id="prior-drawn")
                self.player = gr.Audio(
                    label="Drawn sound", format="wav", interactive=False, visible=False, buttons=["download"]
                )
                with gr.Row():
                    self.prior = gr.Dropdown(
                        list(own), value=prior, label="Prior", interactive=True, visible=len(own) > 1, min_width=140
                    )
                    self.label = gr.Dropdown(
                        **self._classes(own.get(prior or "")), label="Class", interactive=True, min_width=140
                    )
                self.temperature = gr.Slider(
                    0.1, 2.0, 1.0, step=0.05, interactive=True, label="Temperature (below 1: likelier, less varied)"
                )
                self.top_k = gr.Slider(
                    0,
                    _most_codes(own.get(prior or "")),
                    0,
                    step=1,
                    interactive=True,
                    label="Top-k: only so many likeliest codes (0: all)",
                )
                self.guidance = gr.Slider(
                    1.0, 8.0, 1.0, step=0.25, interactive=True, label="Guidance (above 1: truer to the class)",
                    visible=_guides(own.get(prior or "")),
                )  # fmt: skip
                self.steps = gr.Slider(
                    **_step_range(own.get(prior or "")), step=1, interactive=True, label="Steps (of a masked prior)",
                )  # fmt: skip
                with gr.Row():
                    self.versions = gr.Slider(
                        1, MOST_VERSIONS, 1, step=1, interactive=True, label="Versions", min_width=140
                    )
                    self.seed = gr.Number(
                        0, precision=0, minimum=0, maximum=_LARGEST_SEED - 1, label="Seed", interactive=True,
                        min_width=110,
                    )  # fmt: skip
        self._connect()

    def priors(self, name: str) -> dict[str, Prior]:
        """The priors of a model, looked for once."""
        with self._lock:
            if name not in self._priors:
                self._priors[name] = priors_of(self.workshop[name])
            return self._priors[name]

    def _prior(self, name: str, kind: str | None) -> tuple[str, Prior]:
        own = self.priors(name)
        if not own:
            raise ConfigError(_missing(self.workshop[name]))
        kind = kind if kind in own else next(iter(own))
        return kind, own[kind]

    def _connect(self) -> None:
        options: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        fields = self.fields
        knobs = [self.prior, self.label, self.guidance, self.steps, self.top_k]
        opened = [self.sheet, self.told, self.area, self.mask, *knobs]
        changed = connected(self._changed, len(opened))
        fields.model.input(changed, [fields.model, self.prior], [*opened, self.line], **options)
        self.prior.input(changed, [fields.model, self.prior], [*opened, self.line], **options)
        reading = connected(self._read, 3)
        for event in (fields.file.upload, fields.example.input):
            event(reading, [*fields.inputs, self.prior], [self.sheet, self.told, self.mask, self.line], **options)
        fields.file.clear(
            reading, [*fields.inputs, self.prior], [self.sheet, self.told, self.mask, self.line], **options
        )
        settings = [
            self.label, self.temperature, self.top_k, self.guidance, self.steps, self.versions, self.seed,
        ]  # fmt: skip
        event = self.start.click(
            connected(self._draw, 4),
            [fields.model, self.prior, self.sheet, self.mask, *settings],
            [self.state, self.drawn, self.player, self.seed, self.line],
            **options,
        )
        ended = '<p class="vq-note" role="status">Stopped.</p>'
        self.stop.click(lambda: ended, None, self.state, cancels=[event], **options)

    def _changed(self, name: str, kind: str | None) -> tuple[Any, ...]:
        """Another model, or another prior: an empty canvas, and the fields that it has a use for."""
        own = self.priors(name)
        if not own:
            quiet = (gr.skip() for _ in range(6))
            return _Sheet(), self._about(name), gr.update(visible=False), *quiet
        kind, prior = self._prior(name, kind)
        return (
            _Sheet(),
            self._about(name),
            gr.update(visible=True),
            self._mask(name, kind, None),
            gr.update(choices=list(own), value=kind, visible=len(own) > 1),
            gr.update(**self._classes(prior)),
            gr.update(value=1.0, visible=_guides(prior)),
            gr.update(**_step_range(prior)),
            gr.update(value=0, maximum=_most_codes(prior)),
        )

    def _read(self, name: str, file: str | None, example: str | None, side: str | None, kind: str | None) -> Any:
        """A file or an example: what is held comes from it. Neither: all is drawn."""
        kind, prior = self._prior(name, kind)
        if file is None and not example:
            return _Sheet(), self._about(name), self._mask(name, kind, None)
        opened, upload = self.fields.read(name, file, example, side)
        canvas = canvas_of(opened, prior, upload)
        return _Sheet(name, kind, canvas), self._about(name) + notes(upload), self._mask(name, kind, canvas)

    def _draw(self, name: str, kind: str | None, sheet: _Sheet, mask: Any, *settings: Any) -> Iterator[Any]:
        kind, prior = self._prior(name, kind)
        opened = self.workshop[name]
        how = _drawing(prior, *settings)
        canvas = sheet.canvas if (sheet.model, sheet.prior) == (name, kind) else None
        if canvas is None and isinstance(mask, dict) and mask.get("picture"):
            raise DataError("what is to be held was forgotten after a while: give the file or the example again")
        canvas = Canvas(signal_size(_index_model(opened), prior)) if canvas is None else canvas
        redraw = _marked(mask, prior)
        for number, frame in enumerate(draw(opened, prior, canvas, redraw, how)):
            words = f"seed {how.seed}, {frame.fraction:.0%} of the codes are there"
            if frame.done:
                words = f"seed {how.seed}: done, {int(redraw.sum()) if canvas.signal is not None else redraw.numel()}"
                words += f" of {redraw.numel()} positions drawn; the next drawing has another seed"
            said = f'<p class="vq-note" role="status" data-frame="{number}">{html.escape(words)}</p>'
            player = self._played(opened, frame)
            yield said, self._seen(opened, frame), player, how.seed + 1 if frame.done else gr.skip()

    @staticmethod
    def _seen(opened: OpenModel, frame: DrawnFrame) -> Any:
        if opened.kind == "image":
            pictures = [
                shown(picture(veiled(signal, filled).numpy()))
                for signal, filled in zip(frame.signals, frame.filled, strict=True)
            ]
            return strip(pictures)
        return spectrogram(opened, frame.signals[0].numpy())

    @staticmethod
    def _played(opened: OpenModel, frame: DrawnFrame) -> Any:
        if opened.kind != "sound" or not frame.done:
            return gr.skip()
        joined = np.concatenate(list(frame.signals.numpy()), axis=1)
        return gr.update(value=played(opened, joined), visible=True)

    def _mask(self, name: str, kind: str | None, canvas: Canvas | None) -> dict[str, Any]:
        """The value of the mask: the grid over the canvas, the middle marked; without a canvas all."""
        _, prior = self._prior(name, kind)
        grid = prior.grid if len(prior.grid) > 1 else (1, *prior.grid)
        marked = np.ones(grid, dtype=int)
        image = None
        if canvas is not None and canvas.signal is not None:
            marked = np.zeros(grid, dtype=int)
            rows = slice(None) if grid[0] == 1 else _middle(grid[0])
            marked[rows, _middle(grid[1])] = 1
            opened = self.workshop[name]
            image = picture(canvas.signal.numpy()) if opened.kind == "image" else None
            image = spectrogram(opened, canvas.signal.numpy()) if image is None else image
        return {
            "rows": grid[0],
            "columns": grid[1],
            "mask": marked.reshape(-1).tolist(),
            "picture": None if image is None else data_uri(image),
        }

    @staticmethod
    def _classes(prior: Prior | None) -> dict[str, Any]:
        """Choices of the field of classes."""
        if prior is None or prior.classes is None:
            return {"choices": [], "value": None, "visible": False}
        names = prior.class_names or [str(number) for number in range(prior.classes)]
        names = [*([_NOBODY] if prior.conditions.dropout else []), *names]
        return {"choices": names, "value": names[0], "visible": True}

    def _about(self, name: str) -> str:
        """What the prior is, or how to come by one, as HTML."""
        own = self.priors(name)
        if not own:
            return f'<p class="vq-nothing">{html.escape(_missing(self.workshop[name]))}</p>'
        words = [
            f"{kind}: {'sees all that is held' if prior.sees_all else 'sees what comes earlier in its order'}"
            for kind, prior in own.items()
        ]
        return f'<p class="vq-note">Prior of {html.escape(name)}: {html.escape("; ".join(words))}.</p>'


def _middle(side: int) -> slice:
    return slice(side // 4, max(side - side // 4, side // 4 + 1))


def _missing(opened: OpenModel) -> str:
    return (
        f"{opened.name} has no prior, so there is nothing to draw from. Train one with: vqkit prior RUN --kind masked "
        "(such a one sees all that is held), and open the lab again."
    )


def _guides(prior: Prior | None) -> bool:
    return prior is not None and prior.guides and bool(prior.conditions.dropout)


def _most_codes(prior: Prior | None) -> int:
    return 64 if prior is None else min(prior.codebook_size, 256)


def _step_range(prior: Prior | None) -> dict[str, Any]:
    """The range and the value of the field of steps."""
    most = 64 if prior is None else max(prior.positions, 2)
    return {"minimum": 1, "maximum": most, "value": min(8, most), "visible": prior is not None and takes_steps(prior)}


def _index_model(opened: OpenModel) -> IndexModel:
    if not isinstance(opened.model, IndexModel):
        raise DataError(f"{opened.name} has no codebook: choose another model")
    return opened.model


def _marked(mask: Any, prior: Prior) -> torch.Tensor:
    """The positions to draw, from what the page sent."""
    given = mask.get("mask") if isinstance(mask, dict) else None
    if not isinstance(given, list) or len(given) != prior.positions or not all(each in (0, 1) for each in given):
        raise DataError("the mask is not of this prior's grid: choose the model, or the example, again")
    return torch.tensor(given, dtype=torch.bool).view(prior.grid)


def _drawing(
    prior: Prior,
    label: str | None,
    temperature: float,
    top_k: int,
    guidance: float,
    steps: int,
    versions: int,
    seed: int | None,
) -> Drawing:
    """The settings of a drawing, from the fields of the page."""
    class_id = None
    if prior.classes is not None and label not in (None, _NOBODY):
        names = prior.class_names or [str(number) for number in range(prior.classes)]
        if label not in names:
            raise ConfigError(f"no class {label!r}; there are {', '.join(names)}")
        class_id = names.index(label)
    return Drawing(
        versions=int(versions),
        temperature=float(temperature),
        top_k=int(top_k) or None,
        guidance=float(guidance) if class_id is not None and _guides(prior) else 1.0,
        class_id=class_id,
        steps=int(steps) if takes_steps(prior) else None,
        seed=int(seed or 0) % _LARGEST_SEED,
    )
