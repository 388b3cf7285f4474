"""Views of a signal beside its reconstruction, one for each kind: slider and error map, players, plots."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import gradio as gr
import numpy as np
from PIL import Image

from vqkit.lab.acts.comparison import ERROR_FULL, Comparison, error_map, picture
from vqkit.lab.pages.fields import table
from vqkit.lab.workshop import OpenModel
from vqkit.plotting import Panel, line_plots
from vqkit.registry import Registry

_NO_RATE = 16_000
"""Samples a second at which sounds are played whose rate nobody knows."""
_ROWS = 8
_WIDEST, _HIGH = 900, 258
"""Pixels of a spectrogram."""


class View(ABC):
    """The components that show a comparison of one kind of signal.

    Attributes:
        parts: the components that ``update`` gives values for, in its order.
        group: what they are in, to be shown or hidden.
    """

    parts: list[Any]
    group: Any

    @abstractmethod
    def __init__(self, visible: bool) -> None: ...

    @abstractmethod
    def update(self, opened: OpenModel, found: Comparison) -> list[Any]:
        """Return values of the parts."""

    def empty(self) -> list[Any]:
        """Return values of the parts that show nothing."""
        return [None for _ in self.parts]


VIEWS: Registry[type[View]] = Registry("view of the lab", "vqkit.lab_views", View)
"""Views by the kind of signal."""


@VIEWS.register("image")
@final
class PictureView(View):
    """A slider between a picture and its reconstruction, and the error map."""

    def __init__(self, visible: bool) -> None:
        with gr.Row(visible=visible) as self.group:
            with gr.Column(scale=3, min_width=280):
                caption("Original and reconstruction", "drag the slider; left of it is the original")
                slider = gr.ImageSlider(
                    label="Original and reconstruction",
                    show_label=False,
                    format="png",
                    interactive=False,
                    max_height=560,
                    elem_classes=["vq-slider"],
                )
            with gr.Column(scale=2, min_width=280):
                caption("Error map", f"dark: none; bright: {ERROR_FULL:.0%} of the range and more")
                error = still("Error map: mean absolute error of each pixel")
        self.parts = [slider, error]

    def update(self, opened: OpenModel, found: Comparison) -> list[Any]:
        """See ``View.update``."""
        del opened
        original, back = found.original[0], found.reconstruction[0]
        pair = tuple(shown(picture(each)) for each in (original, back))
        return [pair, shown(error_map(original, back))]


@VIEWS.register("sound")
@final
class SoundView(View):
    """Players of a sound and of its reconstruction, and their spectrograms."""

    labels: ClassVar[tuple[str, str]] = ("Original", "Reconstruction")

    def __init__(self, visible: bool) -> None:
        self.parts = []
        with gr.Row(visible=visible) as self.group:
            for label in self.labels:
                with gr.Column(min_width=280):
                    player = gr.Audio(label=label, format="wav", interactive=False, buttons=["download"])
                    caption("Spectrogram", "low frequencies below; 80 dB from black to white")
                    self.parts += [player, still(f"Spectrogram of the {label.lower()}")]

    def update(self, opened: OpenModel, found: Comparison) -> list[Any]:
        """See ``View.update``."""
        values: list[Any] = []
        for each in (found.original[0], found.reconstruction[0]):
            values += [played(opened, each), spectrogram(opened, each)]
        return values


@VIEWS.register("vector")
@final
class VectorView(View):
    """The numbers of the first vectors beside those of their reconstructions."""

    def __init__(self, visible: bool) -> None:
        with gr.Column(visible=visible) as self.group:
            caption("The first vector and its reconstruction")
            plot = still("Numbers of the first vector and of its reconstruction")
            told = gr.HTML()
        self.parts = [plot, told]

    def update(self, opened: OpenModel, found: Comparison) -> list[Any]:
        """See ``View.update``."""
        del opened
        one, other = found.original, found.reconstruction
        series = {
            name: [(number, float(value)) for number, value in enumerate(values[0])]
            for name, values in (("original", one), ("reconstruction", other))
        }
        errors = np.square(one.astype(np.float64) - other).sum(axis=1)
        lengths = np.square(one.astype(np.float64)).sum(axis=1)
        rows = []
        for number in range(min(_ROWS, len(one))):
            product = float((one[number].astype(np.float64) * other[number]).sum())
            norm = float(np.linalg.norm(one[number].astype(np.float64)) * np.linalg.norm(other[number]))
            rows.append([
                f"{number + 1}",
                f"{np.sqrt(lengths[number]):.4g}",
                f"{np.sqrt(errors[number]):.4g}",
                f"{product / norm:.4f}" if norm else "-",
            ])  # fmt: skip
        about = f"The first {len(rows)} of {len(one):,} vectors"
        drawn = line_plots([Panel("numbers of the vector", series)], x_label="number")
        return [drawn, table(about, ["vector", "length", "distance", "cosine"], rows)]

    def empty(self) -> list[Any]:
        """See ``View.empty``."""
        return [None, "<span></span>"]


def caption(words: str, more: str = "") -> Any:
    """Make a caption above a picture, which never hides a part of it."""
    return gr.HTML(f'<p class="vq-caption">{words}{f" <small>({more})</small>" if more else ""}</p>')


def still(words: str, **options: Any) -> Any:
    """Make a picture that is looked at.

    Args:
        words: what it shows, for those who do not see it.
        options: of ``gr.Image``.
    """
    return gr.Image(
        label=words,
        show_label=False,
        format="png",
        interactive=False,
        buttons=["fullscreen"],
        alt_text=words,
        **options,
    )


def spectrogram(opened: OpenModel, samples: np.ndarray[Any, Any]) -> Image.Image | None:
    """Return the spectrogram of a sound ``[channels, time]``, wide enough for a page."""
    image = opened.model.kind.show(samples)
    if image is None:
        return None
    width = max(_WIDEST, image.width)
    return image.resize((width, max(image.height, _HIGH)), Image.Resampling.NEAREST)


def shown(image: Image.Image, least: int = 384) -> Image.Image:
    """Return a picture as a page shows it: a small one enlarged by a whole factor, so that pixels stay sharp."""
    factor = max(1, least // max(image.size))
    size = (image.width * factor, image.height * factor)
    return image.resize(size, Image.Resampling.NEAREST) if factor > 1 else image


def played(opened: OpenModel, samples: np.ndarray[Any, Any]) -> tuple[int, np.ndarray[Any, Any]]:
    """Return a sound ``[channels, time]`` as ``gr.Audio`` takes it, in 16 bits: nothing makes it louder then."""
    scaled = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)
    return opened.model.kind.rate or _NO_RATE, scaled.T if len(scaled) > 1 else scaled[0]
