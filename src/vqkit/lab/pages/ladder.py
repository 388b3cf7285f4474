"""The page of the ladder: a point dragged through the latent spaces of PCA, autoencoder, VAE and VQ-VAE."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, final

import gradio as gr

from vqkit.errors import ConfigError, DataError, VqkitError
from vqkit.lab.acts.comparison import picture
from vqkit.lab.acts.ladder.ladders import OWN_NAME, Ladder, Training, is_trained, ladders_in, open_ladder, own_place
from vqkit.lab.pages.base import CLEAR, LAB_PAGES, Page, connected, said_line, words_of
from vqkit.lab.widgets.parts import parts_of
from vqkit.lab.widgets.token_grid import data_uri
from vqkit.lab.workshop import Workshop
from vqkit.studies.play.planes import LatentPlane, Point, source_of_samples
from vqkit.studies.report.class_colors import CLASS_COLORS

_SAMPLES = 8
_COLORS = len(CLASS_COLORS)
_ABOUT = {
    "pca": "Linear both ways: every point is the mean plus a weighted sum of the same few pictures. Nothing breaks, "
    "and nothing is sharp.",
    "ae": "Two networks and nothing that orders the latents: near an item it is sharp, between items and beyond them "
    "it decodes to what no data looks like. A Gaussian fitted afterwards lands there too.",
    "vae": "The same networks, and the latents are pulled to N(0, I): the plane is filled, so that points between "
    "items decode to something plausible, if blurred. Samples of N(0, I) work.",
    "vqvae": "A grid of codes: the picture changes in jumps, when a position snaps to another code. What makes samples "
    "look like data is the prior learned over the codes.",
}


@LAB_PAGES.register("ladder")
@final
class LadderPage(Page):
    """The seed story in one page: what orders a latent space, and what that does to what it makes up."""

    title: ClassVar[str] = "Ladder"
    order: ClassVar[int] = 60
    help: ClassVar[str] = (
        "From PCA to VQ-VAE at the same number of bits: drag the red point through each latent space and watch what it "
        "decodes to. The dots are held-out items; the plane goes through the item that is shown above."
    )
    needs_model: ClassVar[bool] = False

    def build(self, workshop: Workshop) -> None:
        """See ``Page.build``."""
        shelf = Shelf(Path(each) for each in (*workshop.folders, Path("runs/demo")) if Path(each).is_dir())
        names = shelf.names()
        with gr.Row(equal_height=True):
            chosen = gr.Dropdown(
                names, value=names[0], label="Ladder", interactive=True, elem_id="ladder-of", visible=len(names) > 1
            )
        line = said_line()
        first = names[0]
        told = gr.HTML(_untrained(shelf, first), elem_id="ladder-told")
        train = gr.Button("Train a small ladder on handwritten digits (about half a minute)", elem_id="ladder-train",
            visible=not shelf.is_there(first), variant="primary")  # fmt: skip
        pads = gr.HTML(
            {"ladder": first if shelf.is_there(first) else None},
            elem_id="ladder",
            apply_default_css=False,
            server_functions=shelf.functions(),
            **parts_of("planes"),
        )
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

        def choose(name: str) -> tuple[Any, ...]:
            there = shelf.is_there(name)
            return {"ladder": name if there else None}, _untrained(shelf, name), gr.Button(visible=not there)

        def make() -> Iterator[tuple[Any, ...]]:
            for words in shelf.train():
                yield gr.skip(), words, gr.Button(visible=False)
            yield {"ladder": OWN_NAME}, CLEAR, gr.Button(visible=False)

        outputs = [pads, told, train, line]
        chosen.input(connected(choose, 3), [chosen], outputs, **quiet)
        train.click(connected(make, 3), [], outputs, concurrency_limit=8, **quiet)


def _untrained(shelf: Shelf, name: str) -> str:
    if shelf.is_there(name):
        return CLEAR
    return (
        '<p class="vq-note">No ladder is there yet. <code>vqkit demo</code> trains one, which '
        "<code>vqkit lab runs/demo</code> shows; or train a small one here. It is kept in your cache folder.</p>"
    )


@final
class Shelf:
    """The ladders that the page can show, opened when somebody first asks; the same for all sessions.

    Args:
        folders: where comparisons are looked for.
    """

    def __init__(self, folders: Iterator[Path]) -> None:
        self._places = {**ladders_in(list(folders)), OWN_NAME: own_place()}
        self._open: dict[str, Ladder] = {}
        self._lock = threading.Lock()
        self._training = Training(own_place())

    def names(self) -> list[str]:
        """Names of ladders, the lab's own last."""
        return list(self._places)

    def is_there(self, name: str | None) -> bool:
        """Return whether a ladder can be opened."""
        place = self._places.get(name or "")
        return place is not None and (place != own_place() or is_trained(place))

    def __getitem__(self, name: object) -> Ladder:
        """Return a ladder by its name.

        Raises:
            ConfigError: no such ladder.
            DataError: its data cannot be read again.
        """
        if not isinstance(name, str) or not self.is_there(name):
            raise ConfigError(f"no ladder {name!r} is open here; there are {', '.join(self._places)}")
        with self._lock:
            if name not in self._open:
                self._open[name] = open_ladder(self._places[name])
            return self._open[name]

    def train(self) -> Iterator[str]:
        """Train the lab's own ladder, or wait for whoever does; yields the progress as HTML.

        Raises:
            ConfigError: it failed.
        """
        self._training.start()
        while self._training.running:
            done, doing = self._training.progress()
            yield (
                f'<p class="vq-note" role="status">Training {doing}: {done:.0%} of the ladder.</p>'
                f'<progress max="1" value="{done:.3f}" style="width:100%" aria-label="training"></progress>'
            )
            time.sleep(0.5)
        error = self._training.error
        if error is not None:
            raise error if isinstance(error, VqkitError) else ConfigError(f"the training failed: {words_of(error)}")

    def functions(self) -> list[Callable[[Any], dict[str, Any]]]:
        """Functions that the script of the page calls; they keep nothing, each request says all."""

        def begin(request: Any) -> dict[str, Any]:
            return _answer(lambda: _begun(self[_of(request, "ladder")], request))

        def decode(request: Any) -> dict[str, Any]:
            return _answer(lambda: _decoded(self[_of(request, "ladder")], request))

        def sample(request: Any) -> dict[str, Any]:
            return _answer(lambda: _sampled(self[_of(request, "ladder")], request))

        return [begin, decode, sample]


def _answer(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - a page says it, and goes on
        return {"error": words_of(error)}


def _of(request: Any, name: str) -> Any:
    if not isinstance(request, dict) or name not in request:
        raise DataError(f"the request lacks {name!r}: load the page again")
    return request[name]


def _whole(request: Any, name: str, bound: int) -> int:
    """A whole number of a request, taken into ``[0, bound)``."""
    value = _of(request, name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{name}={value!r} is no whole number: load the page again")
    return value % bound


def _number(request: Any, name: str) -> float:
    value = _of(request, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{name}={value!r} is no number: load the page again")
    return float(max(-1e30, min(1e30, value)))


def _begun(ladder: Ladder, request: Any) -> dict[str, Any]:
    """All that the page shows of a ladder at first: points, boxes, an item, and what it decodes to."""
    item = _whole(request, "item", len(ladder.signals))
    most = max(len(rung.plane.pairs()) for rung in ladder.rungs.values())
    number = _whole(request, "pair", most)
    labels = [max(each, -1) % _COLORS for each in ladder.labels or [0] * len(ladder.signals)]
    names = ladder.class_names or []
    rungs = []
    for rung in ladder.rungs.values():
        pair = _pair(rung.plane.pairs(), number)
        x, y = rung.plane.place(item, pair)
        points = rung.plane.scores[:, list(pair)].tolist()
        rungs.append(
            {
                "key": rung.key,
                "title": f"{rung.title}, {_latents(rung.plane)}",
                "about": _ABOUT.get(rung.key, ""),
                "points": [[round(one, 4), round(two, 4)] for one, two in points],
                "box": rung.plane.box(pair),
                **_shown(rung.plane.decode(x, y, pair, item), None),
            }
        )
    held = f"item {item:,} of {len(ladder.signals):,} held out"
    return {
        "item": item,
        "name": held + _class_of(ladder, item),
        "picture": data_uri(picture(ladder.signals[item].numpy())),
        "labels": labels,
        "colors": list(CLASS_COLORS),
        "classes": names[:_COLORS],
        "pairs": [f"{2 * each + 1} and {2 * each + 2}" for each in range(most)],
        "rungs": rungs,
    }


def _class_of(ladder: Ladder, item: int) -> str:
    label = -1 if ladder.labels is None else ladder.labels[item]
    return f", class {ladder.class_names[label]}" if ladder.class_names and label >= 0 else ""


def _latents(plane: LatentPlane) -> str:
    grid = plane.grid
    return f"{plane.numbers:,} numbers" if grid is None else f"{' x '.join(map(str, grid))} codes"


def _pair(pairs: list[tuple[int, int]], number: int) -> tuple[int, int]:
    return pairs[min(number, len(pairs) - 1)]


def _decoded(ladder: Ladder, request: Any) -> dict[str, Any]:
    rung = ladder.rungs.get(str(_of(request, "key")))
    if rung is None:
        raise DataError("the request names no rung of this ladder: load the page again")
    item = _whole(request, "item", len(ladder.signals))
    pair = _pair(rung.plane.pairs(), _whole(request, "pair", 64))
    start = time.perf_counter()
    point = rung.plane.decode(_number(request, "x"), _number(request, "y"), pair, item)
    own = rung.plane.decode(*rung.plane.place(item, pair), pair, item) if point.indices is not None else None
    return {**_shown(point, own), "ms": round(1000 * (time.perf_counter() - start), 2)}


def _sampled(ladder: Ladder, request: Any) -> dict[str, Any]:
    rung = ladder.rungs.get(str(_of(request, "key")))
    if rung is None:
        raise DataError("the request names no rung of this ladder: load the page again")
    pair = _pair(rung.plane.pairs(), _whole(request, "pair", 64))
    points = rung.plane.sample(_SAMPLES, pair, _whole(request, "seed", 1 << 31))
    return {"points": [_shown(each, None) for each in points], "from": source_of_samples(rung.plane.model)}


def _shown(point: Point, own: Point | None) -> dict[str, Any]:
    text = f"at {point.x:.2f}, {point.y:.2f}"
    if own is not None and own.indices is not None and point.indices is not None:
        changed = int((own.indices != point.indices).sum())
        text += f"; {changed} of {point.indices.numel()} codes differ from the item's"
    return {"x": point.x, "y": point.y, "picture": data_uri(picture(point.signal.numpy())), "text": text, "ms": 0}
