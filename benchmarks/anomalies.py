"""Which items are unusual: scores of a VQ-VAE and its prior beside PCA's error and an isolation forest, as AUC.

Three cases; models see usual items only, and the AUC is of telling usual from unusual items that none of them has seen
(0.5 is chance). Nothing is chosen by the outcome: sizes are fixed, PCA is given as the best of three sizes.

- **classes**: digits 8x8 of eight classes are usual, the other two are not; three ways to leave out two.
- **patches**: digits of the usual classes in half of which a square of 4x4 pixels is that of another item; also where
  in the item, over pixels (the maps of errors and of distances).
- **ECG** (``--ecg FILE.npy``: counts at 360 Hz, MIT-BIH record 208): windows of 0.7 s, anywhere in the beat. Unusual
  are those with a wide beat (ventricular, or a fusion with one) in their middle. With these data come no labels of a
  cardiologist: what is wide is said by a rule (above half its height for 70 ms, of which usual beats have 30). Learned
  from are the windows of the first two minutes without any, judged are those of the last two.

    python benchmarks/anomalies.py --ecg ecg_360hz.npy
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vqkit
from figures import Figure, figure, parser, report
from vqkit.models import Scores

_LEFT_OUT = [(0, 1), (4, 5), (8, 9)]
_SIZES = (4, 16, 32)
_RATE, _WINDOW, _HOP = 360, 256, 32


def auc(usual: Any, unusual: Any) -> float:
    """The probability that an unusual item has the higher score (Mann and Whitney), half of it for a tie."""
    ordered = np.sort(np.asarray(usual))
    left, right = (np.searchsorted(ordered, np.asarray(unusual), side=side) for side in ("left", "right"))
    return float((left + right).mean() / (2 * len(ordered)))


def trained(data: Any, steps: int, **options: Any) -> Any:
    """A VQ-VAE of some data that counts bits under a context prior of its indices."""
    with tempfile.TemporaryDirectory() as folder:
        quiet: dict[str, Any] = {"quiet": True, "tensorboard": False, "seed": 0, "evaluations": 1, "validation": 0.1}
        model = vqkit.VQVAE.for_source(data, 64, seed=0, **options)
        model = vqkit.train(model, data, out=f"{folder}/model", steps=steps, batch_size=64, **quiet).model()
        tokens = vqkit.tokenize(model, data)
        prior = vqkit.ContextPrior.for_tokens(tokens, seed=0, hidden_channels=32, layers=2)
        model.use_prior(vqkit.train(prior, tokens, out=f"{folder}/prior", steps=steps, **quiet).model())
    return model


def scores_of(model: Any, usual: Any, items: list[Any]) -> list[dict[str, Any]]:
    """Scores of several sets of items, and the mean of their percentiles against usual ones."""
    reference = model.score(usual)
    found = []
    for each in items:
        scores: Scores = model.score(each, against=reference)
        percentiles = scores.percentiles
        own = {name: scores.measures()[name] for name in ("mse", "bits", "distance_mean", "distance_max")}
        own["mean percentile"] = np.mean([percentiles[name] for name in own], axis=0)
        found.append({f"VQ-VAE {name.replace('_', ' ')}": values for name, values in own.items()})
    return found


def peers(usual: Any, items: list[Any]) -> list[dict[str, Any]]:
    """The errors of PCA in three sizes, and an isolation forest where scikit-learn is there."""
    flat = [np.asarray(each).reshape(len(each), -1).astype(np.float64) for each in (usual, *items)]
    center = flat[0].mean(axis=0)
    _, _, axes = np.linalg.svd(flat[0] - center, full_matrices=False)
    found: list[dict[str, Any]] = [{} for _ in items]
    for size in _SIZES:
        for own, each in zip(found, flat[1:], strict=True):
            left = (each - center) - (each - center) @ axes[:size].T @ axes[:size]
            own[f"PCA {size} error"] = (left**2).mean(axis=1)
    try:
        from sklearn.ensemble import IsolationForest
    except ImportError:
        print("scikit-learn is not installed: no isolation forest", file=sys.stderr)
        return found
    forest = IsolationForest(n_estimators=200, random_state=0).fit(flat[0])
    for own, each in zip(found, flat[1:], strict=True):
        own["isolation forest"] = -forest.score_samples(each)
    return found


def case(name: str, rounds: list[tuple[dict[str, Any], dict[str, Any]]]) -> Iterator[Figure]:
    """An AUC of every score, over the rounds of a case, with its ratio to PCA's best size and the forest."""
    aucs = {key: [auc(usual[key], unusual[key]) for usual, unusual in rounds] for key in rounds[0][0]}
    medians = {key: float(np.median(values)) for key, values in aucs.items()}
    beside = {"PCA": max(value for key, value in medians.items() if key.startswith("PCA"))}
    beside |= {key: value for key, value in medians.items() if key == "isolation forest"}
    for key, values in aucs.items():
        yield figure(f"{name}: {key}", values, "AUC", beside if key.startswith("VQ-VAE") else None)


def digits_cases(steps: int, rounds: int) -> Iterator[Figure]:
    """The cases of classes and of patches."""
    digits = vqkit.load_source("builtin:digits")
    assert digits.labels is not None
    order = np.random.default_rng(0).permutation(len(digits))
    first, last = order[:1200], order[1200:]
    of_classes, of_patches, places = [], [], {"error": [], "distance": []}  # type: ignore[var-annotated]
    for pair in _LEFT_OUT[:rounds]:
        rare = np.isin(digits.labels, pair)
        learned, usual, unusual = first[~rare[first]], last[~rare[last]], order[rare[order]]
        model = trained(digits.subset(learned), steps, downsampling=2, hidden_channels=32, code_dim=16)
        items = digits.gather(usual).astype(np.float32) / 255
        broken, where = patched(items)
        sets = [items, digits.gather(unusual).astype(np.float32) / 255, broken]
        known = digits.gather(learned).astype(np.float32) / 255
        own = scores_of(model, digits.subset(learned), sets)
        both = [{**a, **b} for a, b in zip(own, peers(known, sets), strict=True)]
        half = len(items) // 2  # an item and its broken twin are not both judged
        of_classes.append((both[0], both[1]))
        of_patches.append(({key: each[:half] for key, each in both[0].items()},
                           {key: each[half:] for key, each in both[2].items()}))  # fmt: skip
        maps = model.score(broken[half:], maps=True).maps
        for name, found in places.items():
            each = np.stack([getattr(item, name) for item in maps or ()])
            each = each[:, 0] if name == "error" else each.repeat(2, axis=1).repeat(2, axis=2)
            found.append(auc(each[~where[half:]], each[where[half:]]))
    yield from case("classes", of_classes)
    yield from case("patches", of_patches)
    for name, values in places.items():
        yield figure(f"patches: VQ-VAE {name} of pixels", values, "AUC")


def patched(items: Any) -> tuple[Any, Any]:
    """Items ``[N, 1, 8, 8]`` with a square exchanged for that of the next one, and where: bool ``[N, 8, 8]``."""
    generator = np.random.default_rng(1)
    broken, where = items.copy(), np.zeros((len(items), 8, 8), bool)
    for number in range(len(items)):
        row, column = generator.integers(0, 5, 2)
        place = (slice(row, row + 4), slice(column, column + 4))
        broken[number][(0, *place)] = items[(number + 1) % len(items)][(0, *place)]
        where[(number, *place)] = True
    return broken, where


def wide_beats(signal: Any) -> tuple[Any, Any]:
    """Places of heart beats, int64 ``[N]``, and whether each is wide: above half its height for more than 70 ms.

    Heights are above the running median of a second; a beat is a maximum of 0.5 mV or more, alone in 0.3 s.
    """
    values = signal.astype(np.float32)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(values, _RATE // 2, mode="edge"), _RATE)[: len(values)]
    height = values - np.interp(np.arange(len(values)), np.arange(0, len(values), 8), np.median(around[::8], axis=1))
    places: list[int] = []
    for at in np.argsort(-height):
        if height[at] < 100:
            break
        if all(abs(at - other) > 0.3 * _RATE for other in places):
            places.append(int(at))
    found = np.sort(places)
    widths = []
    for at in found:
        low = height[max(0, at - _RATE) : at + _RATE] < height[at] / 2
        middle = min(at, _RATE)
        before, after = np.flatnonzero(low[:middle]), np.flatnonzero(low[middle:])
        widths.append((after[0] if len(after) else _RATE) + (middle - before[-1] if len(before) else _RATE) - 1)
    return found, np.array(widths) > 0.07 * _RATE


def ecg_case(file: Path, steps: int) -> Iterator[Figure]:
    """The case of heart beats."""
    signal = np.load(file, allow_pickle=False)
    places, wide = wide_beats(signal)
    starts = np.arange(0, len(signal) - _WINDOW + 1, _HOP)
    windows = np.stack([signal[start : start + _WINDOW] for start in starts])
    items = ((windows.astype(np.float32) - 1024) / 1024)[:, None]
    apart = np.abs(starts[:, None] + _WINDOW // 2 - places[wide])
    clean, unusual = apart.min(axis=1) > 0.75 * _WINDOW, apart.min(axis=1) < 0.25 * _WINDOW
    early, late = starts < len(signal) // 2 - _WINDOW, starts >= len(signal) // 2
    learned = items[early & clean]
    sets = [items[late & clean], items[late & unusual]]
    print(f"ECG: {len(places)} beats, {wide.sum()} wide; {len(learned)} windows learned from, {len(sets[0])} usual and "
          f"{len(sets[1])} unusual judged")  # fmt: skip
    usual = vqkit.load_source(learned, kind="sound")
    model = trained(usual, steps, hidden_channels=32, code_dim=16, downsampling=8)
    own = scores_of(model, usual, [torch.from_numpy(each) for each in sets])
    both = [{**a, **b} for a, b in zip(own, peers(learned, sets), strict=True)]
    yield from case("ECG", [(both[0], both[1])])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--ecg", type=Path, metavar="FILE", help="counts at 360 Hz as .npy; left out: no such case")
    options.add_argument("--steps", type=int, default=None, help="of each training (default: 1500; quick: 20)")
    arguments = options.parse_args()
    steps = arguments.steps or (20 if arguments.quick else 1500)
    found = list(digits_cases(steps, 1 if arguments.quick else len(_LEFT_OUT)))
    if arguments.ecg is None or not arguments.ecg.is_file():
        print(f"no ECG: {arguments.ecg or '--ecg FILE'} is not there; that case is left out", file=sys.stderr)
    else:
        found += ecg_case(arguments.ecg, steps)
    report(found, arguments, steps=steps)


if __name__ == "__main__":
    main()
