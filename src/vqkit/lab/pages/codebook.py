"""The page of the codebook: a map of the codes, how often each occurs, and where in the data."""

from __future__ import annotations

from typing import Any, final

import gradio as gr
import numpy as np

from vqkit.errors import DataError
from vqkit.lab import limits
from vqkit.lab.acts.code_use import PLACES, CodeUse, code_use, crop_at, data_use
from vqkit.lab.acts.codewords import flat_map, nearest_codes
from vqkit.lab.acts.comparison import picture
from vqkit.lab.acts.examples import example_names, read_example
from vqkit.lab.acts.uploads import file_types, read_upload
from vqkit.lab.pages.base import CLEAR, LAB_PAGES, Page, connected, said_line
from vqkit.lab.pages.fields import WORKING, table
from vqkit.lab.pages.views import caption, shown, spectrogram
from vqkit.lab.widgets.code_map import code_map, map_value
from vqkit.lab.workshop import OpenModel, Workshop
from vqkit.models import IndexModel
from vqkit.plotting import Panel, line_plots

_OFTEN = 8
_HELD_OUT, _EXAMPLES = "held-out items of the run", "the built-in examples"


@LAB_PAGES.register("codebook")
@final
class CodebookPage(Page):
    """The codes of a codebook, over the run's data or a user's files."""

    title = "Codebook"
    order = 30
    help = (
        "The codewords on their first two principal axes: a dot a code, the larger the more often it is used; red "
        "crosses are dead codes, which never occur. Choose one to see where in the data it is used."
    )
    nothing = "This page needs a model with a codebook; none is open."

    def suits(self, model: OpenModel) -> bool:
        """See ``Page.suits``: those with a codebook."""
        return isinstance(model.model, IndexModel) and model.kind is not None

    def build(self, workshop: Workshop) -> None:
        """See ``Page.build``."""
        _Gallery(workshop, self)


class _Gallery:
    """The components of the page; what a user's own files gave is in ``self.use``, of the session."""

    def __init__(self, workshop: Workshop, page: CodebookPage) -> None:
        self.workshop = workshop
        names = workshop.names(page.suits)
        first = workshop[names[0]]
        with gr.Row():
            with gr.Column(scale=2, min_width=260):
                self.model = gr.Dropdown(names, value=names[0], label="Model", interactive=True, visible=len(names) > 1)
                self.over = gr.Dropdown(_sets(first), value=_sets(first)[0], label="Signals", interactive=True)
                self.count = gr.Button("Count the codes", variant="primary")
            self.files = gr.File(
                label=f"or files of your own ({limits.told()} each, {limits.MOST_FILES} files)",
                file_count="multiple",
                file_types=file_types(str(first.kind)),
                height=170,
                scale=3,
                min_width=260,
            )
        self.line = said_line()
        self.told = gr.HTML()
        self.use = gr.State(None, time_to_live=limits.SESSION_SECONDS)
        with gr.Row(visible=False) as self.area:
            with gr.Column(scale=3, min_width=300):
                self.stage = gr.Dropdown(["1"], value="1", label="Codebook", interactive=True, visible=False)
                self.map = code_map("Map of the codebook")
            with gr.Column(scale=2, min_width=300):
                self.code = gr.Number(0, precision=0, minimum=0, label="Code", interactive=True)
                self.about = gr.HTML()
                caption("Where it is used", "its cell in the middle of each")
                self.places = gr.Gallery(
                    label="Places where the code is used",
                    show_label=False,
                    columns=4,
                    height="auto",
                    object_fit="contain",
                    interactive=False,
                    format="png",
                    buttons=[],
                    elem_classes=["vq-codes"],
                )
        self._connect()

    def _connect(self) -> None:
        options: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        counted = [self.use, self.told, self.area, self.stage, self.map, self.code, self.about, self.places]
        count = connected(self._count, len(counted), working=WORKING)
        self.count.click(count, [self.model, self.over], [*counted, self.line], **options)
        self.files.upload(
            connected(self._count_files, len(counted), working=WORKING),
            [self.model, self.files],
            [*counted, self.line],
            **options,
        )
        self.model.input(
            self._other, self.model, [self.over, self.files, self.use, self.area, self.told, self.line], **options
        )
        held, views = [self.model, self.use, self.stage], [self.map, self.code, self.about, self.places]
        self.map.select(connected(self._chosen, 4), held, [*views, self.line], **options)
        for event in (self.code.submit, self.code.blur):
            event(connected(self._typed, 4), [*held, self.code], [*views, self.line], **options)
        self.stage.input(connected(self._staged, 4), held, [*views, self.line], **options)

    def _other(self, name: str) -> tuple[Any, ...]:
        opened = self.workshop[name]
        sets = _sets(opened)
        files = gr.update(value=None, file_types=file_types(str(opened.kind)))
        return gr.update(choices=sets, value=sets[0]), files, None, gr.update(visible=False), CLEAR, CLEAR

    def _count(self, name: str, over: str) -> tuple[Any, ...]:
        opened = self.workshop[name]
        if over == _HELD_OUT:
            return self._opened(opened, opened.shared(("use", over), lambda: data_use(opened)))
        signals = [each for name in example_names(opened) for each in read_example(opened, name, 512).signals]
        return self._opened(
            opened, opened.shared(("use", over), lambda: code_use(opened, signals, _EXAMPLES, _share(signals)))
        )

    def _count_files(self, name: str, files: list[str] | None) -> tuple[Any, ...]:
        opened = self.workshop[name]
        if not files:
            raise DataError("there is no file yet: drop some")
        if len(files) > limits.MOST_FILES:
            raise DataError(f"{len(files)} files; the page takes {limits.MOST_FILES} at most")
        uploads = [read_upload(opened, each, 512) for each in files]
        signals = [signal for each in uploads for signal in each.signals]
        return self._opened(opened, code_use(opened, signals, f"{len(files)} of your files", _share(signals)))

    def _opened(self, opened: OpenModel, use: CodeUse) -> tuple[Any, ...]:
        books = len(use.counts)
        stages = [str(number + 1) for number in range(books)]
        stage = gr.update(choices=stages, value="1", visible=books > 1)
        code = int(use.counts[0].argmax())
        return use, _told(use), gr.update(visible=True), stage, *self._views(opened, use, 0, code)

    def _chosen(self, name: str, use: CodeUse, stage: str, event: gr.SelectData) -> tuple[Any, ...]:
        return self._views(self.workshop[name], use, int(stage) - 1, int(event.index))

    def _typed(self, name: str, use: CodeUse, stage: str, code: float | None) -> tuple[Any, ...]:
        return self._views(self.workshop[name], use, int(stage) - 1, int(code or 0))

    def _staged(self, name: str, use: CodeUse, stage: str) -> tuple[Any, ...]:
        number = int(stage) - 1
        return self._views(self.workshop[name], use, number, int(use.counts[number].argmax()))

    def _views(self, opened: OpenModel, use: CodeUse | None, stage: int, code: int) -> tuple[Any, ...]:
        if use is None:
            raise DataError("nothing is counted yet, or it was forgotten after a while: count the codes again")
        size = use.counts.shape[1]
        if not 0 <= code < size:
            raise DataError(f"code {code}: the codebook has the codes 0 to {size - 1}")
        words = opened.codewords(stage)
        places, share = opened.shared(("map", stage), lambda: flat_map(words))
        crops = [_shown(opened, crop_at(opened, use, place)) for place in use.places.get((stage, code), ())]
        about = _about(use, stage, code, nearest_codes(words, code, 4), share)
        return map_value(places, use.counts[stage], code), code, about, [each for each in crops if each is not None]


def _share(signals: list[Any]) -> int:
    """Places of a code in each of some signals."""
    return max(2, PLACES // len(signals))


def _sets(opened: OpenModel) -> list[str]:
    return [*([_HELD_OUT] if opened.data is not None else []), _EXAMPLES]


def _shown(opened: OpenModel, crop: np.ndarray[Any, Any]) -> Any:
    if opened.kind == "image":
        return shown(picture(crop), 96)
    if opened.kind == "sound":
        return spectrogram(opened, crop)
    return line_plots([Panel("vector", {"": [(number, float(value)) for number, value in enumerate(crop)]})])


def _told(use: CodeUse) -> str:
    size = use.counts.shape[1]
    rows = [
        [
            str(stage + 1),
            f"{use.usage(stage):.1%}",
            f"{use.perplexity(stage):,.1f}",
            f"{len(use.dead(stage)):,}",
            ", ".join(str(code) for code in np.argsort(-use.counts[stage], kind="stable")[:_OFTEN]),
        ]
        for stage in range(len(use.counts))
    ]
    about = f"{use.about}: {use.positions:,} positions, {size:,} codes in a codebook"
    return table(about, ["codebook", "usage", "perplexity", "dead codes", "most used"], rows)


def _about(use: CodeUse, stage: int, code: int, near: list[tuple[int, float]], share: float) -> str:
    count, total = int(use.counts[stage][code]), max(1, int(use.counts[stage].sum()))
    often = f"{count:,} of {total:,} positions ({count / total:.2%})" if count else "dead: it does not occur"
    nearest = ", ".join(f"{other} (distance {distance:.3g})" for other, distance in near)
    return (
        f'<p class="vq-cell"><b>Code {code}</b>: {often}.<br>Nearest codes: {nearest}.</p>'
        f'<p class="vq-note">The map shows {share:.0%} of the variance of the codewords.</p>'
    )
