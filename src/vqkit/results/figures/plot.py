"""Plots of results for a paper: curves over steps, and rate-distortion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vqkit.errors import ConfigError, DataError
from vqkit.results.figures import curves as over_steps
from vqkit.results.figures import rates
from vqkit.results.figures.figure import WIDTH, check_figure_file, draw, save
from vqkit.results.figures.series import Axes
from vqkit.results.reading import load_results, places

CURVES, RATE_DISTORTION = "curves", "rate-distortion"
KINDS = (CURVES, RATE_DISTORTION)


def plot_results(
    paths: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    kind: str | None = None,
    measures: Sequence[str] = (),
    x: str = "step",
    log: bool = False,
    labels: Sequence[str] = (),
    width: float = WIDTH,
    say: Callable[[str], None] | None = None,
) -> Any:
    """Draw runs, evaluations and reports as a figure for a paper; the same as ``vqkit plot``. Needs the extra ``plot``.

    What agrees in everything but the seed is one line: of curves the mean and a band of one standard deviation (n - 1)
    on either side, of rate-distortion the mean and error bars.

    Args:
        paths: see ``load_results``; runs that have not finished have curves too.
        out: a file to write that ends in .pdf, .svg or .png; None: only what is returned.
        kind: ``"curves"`` of runs over steps, or ``"rate-distortion"``: quality over bits. None: curves where only runs
            are given.
        measures: a panel for each; names in the log (``"loss"``, ``"usage"``) or of
            ``vqkit.evaluation.MEASURES``. None: the headline.
        x: what curves are drawn over: ``"step"``, ``"epoch"`` or ``"seconds"``.
        log: a logarithmic axis: the vertical one of curves, the one of bits of rate-distortion.
        labels: of the lines, in their order, in place of the words in which they differ.
        width: of a panel, in inches.
        say: told what is left out; None is silent.

    Returns:
        A ``matplotlib.figure.Figure``, which a notebook shows and a program may change.

    Raises:
        DataError: no results there.
        ConfigError: a measure that the results do not have, or other settings that do not work.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import vqkit
        >>> vqkit.plot_results(["runs/a", "runs/b"], "figure.pdf", measures=["psnr_db"])  # doctest: +SKIP
    """
    if out is not None:
        check_figure_file(Path(out))
    panels = panels_of(paths, kind=kind, measures=measures, x=x, log=log, say=say)
    if labels:
        count = len(panels[0].lines)
        if len(labels) != count:
            now = "; ".join(line.name for line in panels[0].lines)
            raise ConfigError(f"labels: {len(labels)} for {count} lines; give one for each of: {now}")
        panels = [
            replace(panel, lines=[replace(line, name=name) for line, name in zip(panel.lines, labels, strict=True)])
            for panel in panels
        ]
    figure = draw(panels, width=width)
    if out is not None:
        save(figure, Path(out))
    return figure


def panels_of(
    paths: str | Path | Sequence[str | Path],
    *,
    kind: str | None = None,
    measures: Sequence[str] = (),
    x: str = "step",
    log: bool = False,
    say: Callable[[str], None] | None = None,
) -> list[Axes]:
    """Return the panels of ``plot_results``: the numbers that it draws."""
    several = [Path(each) for each in ([paths] if isinstance(paths, str | Path) else paths)]
    found = [place for path in several for place in places(path)]
    runs = [place for place in found if place.is_dir()]
    if kind is None:
        kind = CURVES if runs and len(runs) == len(found) else RATE_DISTORTION
    if kind not in KINDS:
        raise ConfigError(f"kind={kind!r}: choose {' or '.join(KINDS)}")
    if kind == RATE_DISTORTION:
        return rates.rate_distortion(load_results(several, say=say), measures, log_x=log)
    if not runs or len(runs) < len(found):
        others = [str(place) for place in found if not place.is_dir()] or [str(path) for path in several]
        raise DataError(f"{', '.join(others[:3])}: no run folder, and curves over steps are of runs; give runs")
    return over_steps.curves(runs, measures, x, log_y=log)
