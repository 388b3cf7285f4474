"""A watched training in words, numbers and charts: HTML that a page shows as it is."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

from vqkit.lab.acts.live.watching import FINISHED, RUNNING, STOPPED, WAITING, RunWatch
from vqkit.studies.report.charts import Series, line_chart
from vqkit.training.record.progress import duration

Points = list[tuple[float, float]]
_DRAWN = 120
"""Points of a line that are drawn."""
_CHARTS = (
    ("Loss", "loss", "loss", "What training minimizes, and the same of held-out data."),
    ("PSNR", "psnr_db", "PSNR, dB", "How near the reconstructions come to the originals."),
    ("Codebook usage", "usage", "share of codes", "The share of the codes that occurred at least once."),
    ("Perplexity", "perplexity", "perplexity", "exp(entropy of the codes): how many codes are used as if evenly."),
    ("Bits", "bits_per_dim", "bits per dimension", "What a number of the signal costs, rate and distortion."),
    ("Bits an item", "bits_per_item", "bits an item", "What a prior needs for a grid of indices."),
)
_WORDS = {
    WAITING: "waiting: nothing has been logged yet",
    RUNNING: "running",
    FINISHED: "finished",
    STOPPED: "not running: it was stopped or killed before its end",
}


def state_line(watch: RunWatch) -> str:
    """The state of a run and how far it is, as HTML with a bar."""
    words, done = _WORDS[watch.state], watch.fraction
    if watch.state == FINISHED and watch.reason:
        words = f"finished early: {watch.reason}"
    total = watch.settings.get("training", {}).get("steps")
    parts = [f"step {watch.step:,}" + (f" of {total:,}" if isinstance(total, int) else "")]
    left = watch.seconds_left
    parts += [] if left is None else [f"{duration(left)} left"]
    parts += [f"{watch.skipped:,} damaged lines of the log were passed over"] if watch.skipped else []
    bar = ""
    if done is not None:
        bar = (
            f'<div class="bar" role="progressbar" aria-label="training" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{100 * done:.0f}"><span style="width:{100 * done:.1f}%"></span></div>'
        )
    return (
        f'<p class="state"><b class="{watch.state}">{html.escape(words)}</b> '
        f"<span>{html.escape(', '.join(parts))}</span></p>{bar}"
    )


def numbers(watch: RunWatch) -> str:
    """The newest numbers, each with its name and unit, as HTML."""
    train, held_out = watch.train.newest or {}, watch.validation.newest or {}
    dead = None if watch.dead is None or watch.codes is None else f"{watch.dead:,} of {watch.codes:,}"
    tiles = [
        ("loss", _said(train.get("loss"), ".4g")),
        ("loss, held out", _said(held_out.get("loss"), ".4g")),
        ("PSNR", _said(train.get("psnr_db"), ".2f", " dB")),
        ("PSNR, held out", _said(held_out.get("psnr_db"), ".2f", " dB")),
        ("usage", _said(train.get("usage"), ".1%")),
        ("perplexity", _said(train.get("perplexity"), ",.0f")),
        ("dead codes", dead),
        ("restarts", _said(train.get("restarts"), ",d")),
        ("bits an item", _said(held_out.get("bits_per_item"), ",.1f")),
        ("signals/s", _said(train.get("signals_per_second"), ",.0f")),
    ]
    shown = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles if value is not None)
    return f'<dl class="numbers">{shown}</dl>' if shown else ""


def charts(watch: RunWatch) -> str:
    """A chart for each measure that was logged at least twice, as SVG."""
    found = []
    for title, name, label, description in _CHARTS:
        series = [
            Series(kind, thinned(lines.series(name)))
            for kind, lines in (("training", watch.train), ("held out", watch.validation))
            if lines.series(name)
        ]
        if any(len(each.points) > 1 for each in series):
            drawn = line_chart(series, title=title, description=description, x_label="step", y_label=label, height=300)
            found.append(f"<figure>{drawn}<figcaption>{html.escape(description)}</figcaption></figure>")
    return f'<div class="charts">{"".join(found)}</div>' if found else ""


def warnings(watch: RunWatch) -> str:
    """The last warnings of the run, the newest first, as HTML."""
    items = "".join(f"<li>step {step:,}: {html.escape(words)}</li>" for step, words in reversed(watch.warnings))
    return f'<div class="warnings"><b>Warnings</b><ul>{items}</ul></div>' if items else ""


def thinned(points: Sequence[tuple[float, float]], most: int = _DRAWN) -> Points:
    """At most so many points, evenly spread, the last always among them."""
    if len(points) <= most:
        return list(points)
    places = {round(number * (len(points) - 1) / (most - 1)) for number in range(most)}
    return [points[place] for place in sorted(places)]


def _said(value: Any, form: str, unit: str = "") -> str | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return format(value, form) + unit if fits else None
