"""The page that compares a signal with its reconstruction: slider, error map, bytes at each rate."""

from __future__ import annotations

from typing import final

import gradio as gr

from vqkit.lab.pages.base import LAB_PAGES, Page, choose_model, connected, said_line
from vqkit.lab.workshop import OpenModel, Workshop


@LAB_PAGES.register("compare")
@final
class ComparePage(Page):
    """Original and reconstruction of a file, with what it costs."""

    title = "Compare"
    help = "Drop a file: its reconstruction from tokens, beside the original, and the bytes that a file of it takes."

    def suits(self, model: OpenModel) -> bool:
        """See ``Page.suits``: all kinds that are shown."""
        return model.kind is not None

    def build(self, workshop: Workshop) -> None:
        """See ``Page.build``."""
        chosen = choose_model(workshop, self.suits)
        file = gr.File(label="File")
        line = said_line()
        told = gr.HTML()
        file.upload(connected(lambda name, path: f"{name} {path}", 1), [chosen, file], [told, line])
