"""The page of a training that runs now: loss, usage, dead codes and pictures, while they are written."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, final

import gradio as gr
from PIL import Image

from vqkit.lab import limits
from vqkit.lab.acts.live import progress
from vqkit.lab.acts.live.watching import RunWatch, runs_in
from vqkit.lab.pages.base import LAB_PAGES, Page, connected, said_line
from vqkit.lab.workshop import Workshop

_SECONDS = 2.0
"""Between two looks at the run."""
_CSS = """
.state { display: flex; flex-wrap: wrap; gap: 2px 12px; margin: 2px 0 6px; }
.state b.running { color: #15803d; } .state b.stopped { color: #b45309; }
.bar { height: 10px; border-radius: 5px; background: var(--border-color-primary); overflow: hidden; }
.bar span { display: block; height: 100%; background: #2563eb; border-radius: 5px; transition: width .4s; }
.numbers { display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 8px; margin: 12px 0; }
.numbers div { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 6px 10px; }
.numbers dt { color: var(--body-text-color-subdued); font-size: .82rem; margin: 0; }
.numbers dd { margin: 0; font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 10px 22px; }
.charts figure { margin: 0; } .charts svg { width: 100%; height: auto; display: block; }
.charts figcaption { color: var(--body-text-color-subdued); font-size: .85rem; }
.warnings { border-left: 4px solid #b45309; padding: 4px 12px; margin: 8px 0; overflow-wrap: anywhere; }
.warnings ul { margin: 2px 0; padding-left: 18px; }
.dark & .state b.running { color: #4ade80; } .dark & .state b.stopped { color: #fbbf24; }
"""


@LAB_PAGES.register("live")
@final
class LivePage(Page):
    """A run as it goes on: what its log and its pictures say."""

    title: ClassVar[str] = "Live"
    order: ClassVar[int] = 70
    help: ClassVar[str] = (
        "A training as it goes on: choose its run. The numbers follow its log every two seconds; a run that begins "
        "later, or ends, is noticed by itself."
    )
    needs_model: ClassVar[bool] = False

    def build(self, workshop: Workshop) -> None:
        """See ``Page.build``."""
        folders = workshop.folders
        if not folders:
            gr.HTML(
                '<p class="vq-nothing">The lab was opened without a folder of runs. Name the one that trainings write '
                "to: <code>vqkit lab runs/</code></p>"
            )
            return
        names = list(labeled(runs_in(folders), folders))
        with gr.Row(equal_height=True):
            chosen = gr.Dropdown(
                names, value=names[0] if names else None, label="Run", interactive=True, elem_id="live-run"
            )
        line = said_line()
        shown = gr.HTML(css_template=_CSS, elem_id="live", html_template="${value}")
        picture = gr.Image(
            label="Newest reconstructions", interactive=False, visible=False, format="png", elem_id="live-picture",
            buttons=["download", "fullscreen"],
        )  # fmt: skip
        state = gr.State(None, time_to_live=limits.SESSION_SECONDS)
        timer = gr.Timer(_SECONDS)
        look = connected(_looking(folders), 4)
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        outputs = [state, shown, picture, chosen, line]
        timer.tick(look, [state, chosen], outputs, **quiet)
        chosen.input(look, [state, chosen], outputs, **quiet)


def labeled(runs: Sequence[Path], folders: Sequence[Path]) -> Mapping[str, Path]:
    """Runs under short names: the path below the folder that was named, or the folder's own name."""
    found: dict[str, Path] = {}
    for run in runs:
        for folder in folders:
            if run == folder or run.is_relative_to(folder):
                short = folder.resolve().name if run == folder else run.relative_to(folder).as_posix()
                name = short if short not in found else str(run)
                found[name] = run
                break
    return found


def _looking(folders: Sequence[Path]) -> Any:
    """The handler of a tick: what has changed since the last one."""

    def look(seen: tuple[RunWatch, tuple[str, int] | None, list[str]] | None, name: str | None) -> tuple[Any, ...]:
        runs = labeled(runs_in(folders), folders)
        names = list(runs)
        if name not in runs:
            name = names[0] if names else None
        if name is None:
            where = ", ".join(map(str, folders))
            words = f"No run lies in {where} yet; one that begins there is shown here by itself."
            return None, f'<p class="vq-note">{html.escape(words)}</p>', gr.skip(), gr.skip()
        watch, pictured, listed = seen if seen is not None else (RunWatch(runs[name]), None, [])
        new = seen is None or watch.path != runs[name]
        if new and seen is not None:
            watch, pictured = RunWatch(runs[name]), None
        changed = watch.look() or new
        picture, pictured = _newest(watch, pictured, new)
        shown = whole(watch) if changed else gr.skip()
        choices = gr.Dropdown(choices=names, value=name) if names != listed or new else gr.skip()
        return (watch, pictured, names), shown, picture, choices

    return look


def _newest(watch: RunWatch, pictured: tuple[str, int] | None, new: bool) -> tuple[Any, tuple[str, int] | None]:
    """The newest picture, where it is another than the one that is shown."""
    for path in reversed(watch.pictures()):
        with suppress(OSError):
            identity = (path.name, path.stat().st_mtime_ns)
            if identity == pictured:
                return gr.skip(), pictured
            with Image.open(path) as opened:
                opened.load()
                when = path.stem.removeprefix("step_").lstrip("0") or "0"
                label = (
                    f"Reconstructions at the end ({path.name})" if when == "final" else f"Reconstructions, step {when}"
                )
                return gr.Image(opened.copy(), label=label, visible=True), identity
    return (gr.Image(visible=False) if new else gr.skip()), pictured


def whole(watch: RunWatch) -> str:
    """State, numbers, warnings and charts of a run, as HTML."""
    parts = (progress.state_line, progress.numbers, progress.warnings, progress.charts)
    return "".join(part(watch) for part in parts)
