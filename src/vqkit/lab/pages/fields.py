"""Fields that pages share: the model, the signal (a file or an example), and the words about what was read."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import gradio as gr

from vqkit.lab import limits
from vqkit.lab.acts.examples import example_names, read_example
from vqkit.lab.acts.uploads import Upload, file_types, read_upload
from vqkit.lab.workshop import OpenModel, Workshop
from vqkit.models import IndexModel

_AS_IT_IS = "as it is"
WORKING = "encoding and decoding ..."
"""What a page says while a model works."""


@final
@dataclass(frozen=True)
class SignalFields:
    """The fields by which a user gives a model and a signal.

    Attributes:
        workshop: of the lab.
        model: chosen, of one dropdown; None: the page chooses itself.
        file: that was dropped.
        example: chosen instead.
        side: the longest side of pictures.
        seconds: of sounds, at most.
        model_changed: the event of another model, after which the fields are empty; pages go on with ``then``.
    """

    workshop: Workshop
    model: Any
    file: Any
    example: Any
    side: Any
    seconds: float = limits.MOST_SECONDS
    model_changed: Any = None

    @property
    def inputs(self) -> list[Any]:
        """The components whose values ``read`` takes, in its order."""
        return [self.model, self.file, self.example, self.side]

    @property
    def changing(self) -> list[Any]:
        """The components that ``changed`` gives new values for."""
        return [self.file, self.example, self.side]

    def changed(self, opened: OpenModel) -> tuple[Any, ...]:
        """Return the fields, empty, for signals of another model."""
        return (
            gr.update(value=None, file_types=_types(opened)),
            gr.update(choices=_examples(opened), value=None),
            gr.update(visible=opened.kind == "image"),
        )

    def read(self, model: str, file: str | None, example: str | None, side: str | None) -> tuple[OpenModel, Upload]:
        """Return the model and the signal of it.

        Raises:
            DataError: no signal was given, or none that the model reads.
        """
        opened = self.workshop[model]
        return opened, read_signal(opened, file, example, side, self.seconds)


def read_signal(
    opened: OpenModel,
    file: str | None,
    example: str | None,
    side: str | None,
    seconds: float = limits.MOST_SECONDS,
) -> Upload:
    """Return the signal that was dropped, or else the example that was chosen.

    Raises:
        DataError: see ``read_upload``.
    """
    longest = longest_side(side)
    if file is None and example:
        return read_example(opened, example, longest)
    return read_upload(opened, file, longest, seconds)


def longest_side(given: str | None) -> int | None:
    """Return what the field of the longest side says, in pixels; None: a picture stays as it is."""
    return int(given) if given is not None and given in map(str, limits.SIDES) else None


def signal_fields(
    workshop: Workshop,
    suits: Callable[[OpenModel], bool],
    *,
    side: int,
    seconds: float = limits.MOST_SECONDS,
    chooses: bool = True,
    preferred: str | None = None,
) -> SignalFields:
    """Make the fields, a row of them; a new model empties the others, a file the example and the other way round.

    Args:
        workshop: of the lab.
        suits: which models can be chosen.
        side: longest side of pictures at first, one of ``limits.SIDES``.
        seconds: of sounds, at most.
        chooses: whether there is a field for the model.
        preferred: the name of the model that is chosen at first; None: the first that suits.
    """
    names = workshop.names(suits)
    start = workshop[names[0] if preferred is None else preferred]
    with gr.Row(equal_height=True):
        file = gr.File(
            label=f"File ({limits.told()})",
            file_types=_types(start),
            height=150,
            scale=3,
            min_width=260,
            elem_classes=["vq-file"],
        )
        with gr.Column(scale=2, min_width=260):
            model = gr.Dropdown(
                names, value=start.name, label="Model", interactive=True, visible=chooses and len(names) > 1
            )
            example = gr.Dropdown(_examples(start), value=None, label="or an example", interactive=True)
            side_field = gr.Dropdown(
                [*map(str, limits.SIDES), _AS_IT_IS],
                value=str(side),
                label="Longest side of pictures, in pixels",
                interactive=True,
                visible=start.kind == "image",
            )

    fields = SignalFields(workshop, model, file, example, side_field, seconds)
    options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    changed = model.input(lambda name: fields.changed(workshop[name]), model, fields.changing, **options)
    fields = replace(fields, model_changed=changed)
    file.upload(lambda: None, None, example, **options)
    example.input(lambda: None, None, file, **options)
    return fields


def ready(opened: OpenModel) -> str:
    """Return the HTML that stands where a model waits for a signal: what it is."""
    model = opened.model
    codes = "continuous latents"
    if isinstance(model, IndexModel):
        several = f"{model.num_codebooks} codebooks of " if model.num_codebooks > 1 else ""
        codes = f"{several}{model.codebook_size:,} codes"
    words = f"{opened.name}: a {type(model).__name__} of {model.kind.describe(2, model.channels)}, {codes}."
    return f'<p class="vq-note vq-ready">{html.escape(words)} Drop a file, or choose an example.</p>'


def _examples(opened: OpenModel) -> list[str]:
    return example_names(opened)


def _types(opened: OpenModel) -> list[str]:
    return file_types(str(opened.kind))


def notes(upload: Upload) -> str:
    """Return the HTML of what is to be said of how a signal was read."""
    return "".join(f'<p class="vq-note">{html.escape(each)}</p>' for each in upload.notes)


def table(caption: str, heads: list[str], rows: list[list[str]]) -> str:
    """Return an HTML table that scrolls sideways where the screen is narrow."""
    head = "".join(f'<th scope="col">{html.escape(each)}</th>' for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(each)}</td>' for each in row)}</tr>" for row in rows)
    words = html.escape(caption)
    return (
        f'<p class="vq-caption">{words}</p><div class="vq-scroll" tabindex="0" role="region" aria-label="{words}">'
        f'<table class="vq-table" aria-label="{words}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
