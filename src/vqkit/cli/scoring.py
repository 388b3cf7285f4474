"""Parts of ``vqkit score``: the prior that counts, what is usual, and the items that are told."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vqkit.cli.failures import warn
from vqkit.cli.loading import held_out, open_data, run_settings

if TYPE_CHECKING:
    from vqkit.data import Source
    from vqkit.models import Model, ScoreReference, Scores

_NONE = "none"


def use_scoring_prior(model: Model, name: str, prior: str | None) -> None:
    """Let a model count bits under a prior: the one named, the best of its run that needs no class, or none.

    Args:
        model: opened.
        name: of it.
        prior: what was named; ``none``: none.

    Raises:
        ModelFolderError: a prior is named for a model without a codebook, or is none of this model.
    """
    from vqkit.cli.files import say_stale
    from vqkit.codec import known_priors
    from vqkit.codec.entropy.known_priors import of_another_state
    from vqkit.errors import ModelFolderError
    from vqkit.generation import check_pair
    from vqkit.models import IndexModel
    from vqkit.priors import Prior, load_prior

    if not isinstance(model, IndexModel):
        if prior not in (None, _NONE):
            raise ModelFolderError(f"{name}: a prior over indices belongs to a model with a codebook")
        return
    places: list[str | Path] = [] if prior in (None, _NONE) else [str(prior)]
    if prior is None:
        own = Path(name) / "prior" / "run"
        places = [*known_priors(name, model).values()]
        places += [own] if (own / "model" / "config.json").is_file() and not of_another_state(own, model) else []
    for place in places:
        found = load_prior(place).to(model.device)
        check_pair(model, found)
        if prior is not None or not found.conditions or found.conditions.dropout:
            model.use_prior(found)
            typer.echo(f"prior: {place}", err=True)
            return
    if prior == _NONE:
        model.use_prior(None)
    elif not isinstance(model.prior, Prior):
        say_stale(name, model)


def usual_scores(model: Model, name: str, against: str | None, batch_size: int) -> ScoreReference | None:
    """What percentiles are against: the data named, or the held-out items of the run, whose scores it keeps.

    None, which is said, where there are neither.
    """
    from vqkit.errors import DataError
    from vqkit.evaluation.scoring.held_out import KEPT, keep_reference, read_reference, reference_key

    if against is not None:
        return _reference(model, open_data(model, against), batch_size)
    settings = run_settings(name)
    if not settings:
        typer.echo(
            f"  note: {name} is a model without a run, so what is usual is not known: no percentiles; name usual items "
            "with --against DATA",
            err=True,
        )
        return None
    run = Path(name) if (Path(name) / "run.json").is_file() else Path(name).parent
    key = reference_key(model, settings)
    found = read_reference(run, key)
    if found is not None:
        return found
    try:
        source = held_out(name, model)
    except DataError as error:
        warn(f"no percentiles: {error}, with --against DATA")
        return None
    found = _reference(model, source, batch_size)
    if not keep_reference(run, key, found):
        typer.echo(f"  note: {run / KEPT} cannot be written, so these scores are computed anew each time", err=True)
    return found


def _reference(model: Model, source: Source, batch_size: int) -> ScoreReference:
    from vqkit.cli.output.terminal import counting
    from vqkit.models import ScoreReference
    from vqkit.models.scoring.scorer import score_batches

    with counting("usual items") as progress:

        def measures() -> Iterator[dict[str, Any]]:
            for numbers, scores in score_batches(model, source, batch_size=batch_size):
                progress(int(numbers[-1]) + 1, len(source))
                yield scores.measures()

        return ScoreReference.of(measures())


class Strangest:
    """The items of the highest scores so far, and of each column its sum and its ends; in constant memory.

    Args:
        count: of items.
        by: the column that they are ranked by; None: the first one.
    """

    def __init__(self, count: int, by: str | None) -> None:
        self.count, self.by = count, by
        self.items = 0
        self._totals: dict[str, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, dict[str, Any]]] = []

    def add(self, numbers: Any, scores: Scores) -> None:
        """Take in some items.

        Raises:
            ConfigError: no such column.
        """
        from vqkit.errors import ConfigError

        measures, columns = scores.measures(), scores.columns()
        by = self.by = self.by or next(iter(measures))
        if by not in columns:
            raise ConfigError(f"--by {by}: there is no such score; there are {', '.join(columns)}")
        self.items += len(scores)
        for name, values in measures.items():
            known, (total, count) = values[values == values], self._totals.get(name, (0.0, 0))
            self._totals[name] = (total + float(known.sum()), count + len(known))
        sign = -1.0 if by.startswith("psnr") else 1.0
        for row, number in enumerate(numbers):
            value = sign * float(columns[by][row])
            if value != value:  # not known
                continue
            entry = (value, -int(number), {"item": int(number), "name": None if scores.names is None else
                     scores.names[row], **{name: float(each[row]) for name, each in columns.items()}})  # fmt: skip
            if len(self._heap) < self.count:
                heapq.heappush(self._heap, entry)
            elif self._heap and entry[:2] > self._heap[0][:2]:
                heapq.heapreplace(self._heap, entry)

    @property
    def means(self) -> dict[str, float]:
        """The mean of each score, over the items that have one; NaN where none has."""
        return {name: total / count if count else math.nan for name, (total, count) in self._totals.items()}

    def rows(self) -> list[dict[str, Any]]:
        """The items, the strangest first; of equal ones in their order."""
        return [row for _, _, row in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


def write_scores(
    model: Model,
    source: Source,
    reference: ScoreReference | None,
    *,
    out: Path | None,
    maps: Path | None,
    about: dict[str, Any],
    batch_size: int,
    look: Callable[[Any, Scores], None],
) -> None:
    """Score a source, and write the table and the maps: each is there in the end, or is not there at all.

    Args:
        model: with its prior.
        source: the items.
        reference: what percentiles are against.
        out: of the table; None: none is written.
        maps: a new folder for maps; None: none are written.
        about: what the table says of itself.
        batch_size: items that are read at a time.
        look: told of the numbers and scores of some items, in order.
    """
    from vqkit.cli.output.terminal import counting
    from vqkit.evaluation.scoring.maps import write_maps
    from vqkit.evaluation.scoring.tables import blocks_of, write_table
    from vqkit.models.scoring.scorer import score_batches
    from vqkit.storage import atomic

    width = max(5, len(str(len(source) - 1)))
    with ExitStack() as stack:
        progress = stack.enter_context(counting("items"))
        folder = None
        if maps is not None:
            if maps.is_dir():  # empty, as was checked
                maps.rmdir()
            folder = stack.enter_context(atomic.new_folder(maps))

        def scored() -> Iterator[tuple[Any, Scores]]:
            for numbers, each in score_batches(model, source, batch_size=batch_size, maps=folder is not None):
                scores = each if reference is None else each.against(reference)
                look(numbers, scores)
                if folder is not None:
                    for number, item in zip(numbers, scores.maps or (), strict=True):
                        write_maps(folder, f"{number:0{width}d}", source.peek(int(number)), item, model.kind)
                progress(int(numbers[-1]) + 1, len(source))
                yield numbers, scores

        if out is None:
            for _ in scored():
                pass
        else:
            write_table(out, blocks_of(source, scored()), about)
