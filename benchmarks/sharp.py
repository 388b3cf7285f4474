"""What an adversary, and features, do to reconstructions at equal tokens and equal time; and that they ruin nothing.

    python benchmarks/sharp.py --cifar10 FOLDER --photos FOLDER --bsds FOLDER --speech FOLDER --minutes 5

The same VQ-VAE learns for the same minutes with squared error, with a perceptual term (of a random network; of an
encoder that a fifth of the time was spent on, the rest on the model), with ``--sharp``, and with both. Judged on
held-out pictures: PSNR, SSIM and two Frechet distances of reconstructions to originals, in features that no objective
has seen: those of a classifier trained on the labels of CIFAR-10 (for photographs too: there it is a network from
elsewhere), and those of ``RandomFeatures(seed=1)``, whose filters and form differ from those of the network of the
objective, and whose filters differ from those of the guard. CIFAR-10: the last 5,000 images are held out. Photographs:
trained on crops of ``train`` of photos_open, judged on 64x64 tiles of its ``val`` and of that of BSDS500. Speech (the
last tenth of a seeded permutation): mel distance and STOI.

``--sabotage N``: N runs on the digits of the package whose adversary has its learning rate, weight or beginning set
badly, or whose data become NaN on the way: how many end worse than the checkpoint before it, by the rule and in PSNR
(none may). A run that is there is judged, not trained again. The sheet: rows of original, squared error, sharp.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import vqkit
from figures import Figure, figure, parser, report
from vqkit.data import ArraySource, Batches, default_crop
from vqkit.errors import DataError, TrainingStopped
from vqkit.evaluation import Classifier, ClassifierFeatures, RandomFeatures, extract, frechet_distance, train_classifier
from vqkit.training.sharp import settings as sharp_settings
from vqkit.training.sharp.figures import Figures

CODES, TILE, SHOWN = 512, 64, 10
MODEL: dict[str, Any] = {"code_dim": 64, "hidden_channels": 64, "residual_channels": 32, "downsampling": 4}
TRAINING: dict[str, Any] = {
    "batch_size": 32, "evaluations": 0, "evaluation_items": 256, "learning_rate": 2e-3, "seed": 0, "quiet": True,
}  # fmt: skip
WEIGHTS = {"random": "0.5", "run": "0.5"}
ADVERSARY: list[str] = []
"""In place of that of ``--sharp``."""
LOOK = 0.2
"""Of the time, for an encoder to look with."""
RATE = 16000


@dataclass(frozen=True)
class Length:
    """Of a run: minutes of the clock, or the CPU time that so many steps with squared error take."""

    minutes: float
    steps: int | None = None

    def __rmul__(self, share: float) -> Length:
        return Length(share * self.minutes, None if self.steps is None else round(share * self.steps))


def objective_of(way: str, out: Path) -> dict[str, Any]:
    """Settings of a way: ``l2``, ``random``, ``run``, ``sharp``, ``sharp+random`` ..."""
    words = way.split("+")
    terms = ["likelihood"]
    if "random" in words:
        terms.append(f"{WEIGHTS['random']}*perceptual")
    if "run" in words:
        terms.append(f"{WEIGHTS['run']}*perceptual(features={str(out / 'look')!r})")
    if "sharp" in words and ADVERSARY:
        terms += ADVERSARY
    return {"objective": " + ".join(terms), "sharp": "sharp" in words}


def cost_of(source: Any, settings: dict[str, Any], options: dict[str, Any]) -> float:
    """CPU seconds of a step, on average over a run: ``--sharp`` has its adversary for a third of it, and looks."""

    def measured(objective: str) -> float:
        model = vqkit.VQVAE.for_source(source, CODES, seed=0, **options).train()
        model.use_objective(objective)
        optimizer = torch.optim.Adam(model.parameters())
        own = torch.optim.Adam(parameters) if (parameters := list(model.objective.parameters())) else None
        x = Batches(source, settings["batch_size"], crop=settings.get("crop", default_crop(source)), seed=0).batch(0)
        times = []
        for _ in range(9):
            start = time.process_time()
            output: Any = model(x)
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
            for part in model.objective.parts:
                if own is not None and (losses := part.own_losses(output.decoded[0])):
                    own.zero_grad()
                    total: Any = torch.stack(list(losses.values())).sum()
                    total.backward()
                    own.step()
                part.end_step()
            times.append(time.process_time() - start)
        return float(np.mean(sorted(times)[1:-1]))

    if not settings.get("sharp"):
        return measured(settings["objective"])
    without = " + ".join(term for term in settings["objective"].split(" + ") if "adversarial" not in term)
    adversary = ADVERSARY[0] if ADVERSARY else sharp_settings.ADVERSARY
    return 1.05 * (2 * measured(without) + measured(f"{without} + {adversary}")) / 3


def trained(source: Any, way: str, out: Path, length: Length, **more: Any) -> Any:
    """The model of a way after so long, from whatever it looks with on."""
    if "run" in way.split("+"):
        trained(source, "look", out, LOOK * length, **more)
        length = (1 - LOOK) * length
    settings = {"objective": "likelihood"} if way in ("l2", "look") else objective_of(way, out)
    if not (out / way / "model").is_dir():
        options = {**MODEL, **more.pop("model", {})}
        settings = {**TRAINING, **settings, **more}
        time_of: dict[str, Any] = {"minutes": length.minutes}
        if length.steps is not None:
            plain = cost_of(source, {**settings, "objective": "likelihood", "sharp": False}, options)
            time_of = {"steps": max(20, round(length.steps * plain / cost_of(source, settings, options)))}
        print(f"{out.name}, {way}: {time_of} ...", file=sys.stderr, flush=True)
        model = vqkit.VQVAE.for_source(source, CODES, seed=0, **options)
        vqkit.train(model, source, out=out / way, **time_of, **settings)
    return vqkit.load_model(out / way)


def tiles(source: Any, most: int) -> Any:
    """64x64 tiles of photographs, evenly spread."""
    found = []
    for number in range(len(source)):
        picture = np.asarray(source.read(number))
        rows, columns = (length // TILE for length in picture.shape[1:])
        cut = picture[:, : rows * TILE, : columns * TILE].reshape(len(picture), rows, TILE, columns, TILE)
        found.append(cut.transpose(1, 3, 0, 2, 4).reshape(-1, len(picture), TILE, TILE))
    every = np.concatenate(found)
    return every[np.linspace(0, len(every) - 1, min(most, len(every))).astype(int)]


def reconstructed(model: Any, images: Any) -> Any:
    """As 8-bit images."""
    with torch.no_grad():
        parts = [
            model.reconstruct(torch.from_numpy(part)) for part in np.array_split(images, max(1, len(images) // 64))
        ]
    return (255 * torch.cat([part.cpu() for part in parts])).round().clamp(0, 255).to(torch.uint8).numpy()


def judged(images: Any, made: Any, networks: dict[str, Any]) -> dict[str, float]:
    """PSNR, SSIM and the Frechet distances of reconstructions, 8-bit both."""
    from vqkit.evaluation.distortion import psnr_db, ssim

    x, y = (torch.from_numpy(each).float() / 255 for each in (images, made))
    found = {"PSNR": psnr_db(float((x - y).square().mean())), "SSIM": float(ssim(x, y).mean())}
    for name, network in networks.items():
        batches: list[Any] = [torch.from_numpy(each) for each in (images, made)]
        features = [extract(network, each.split(256)) for each in batches]
        found[f"Frechet distance ({name})"] = frechet_distance(*features)
    return found


def compared(
    source: Any,
    sets: dict[str, Any],
    ways: Sequence[str],
    networks: dict[str, Any],
    out: Path,
    length: Length,
) -> list[Figure]:
    """Every way on every held-out set; a ratio is to squared error."""
    figures: list[Figure] = []
    shown: dict[str, list[Any]] = {name: [images[:SHOWN]] for name, images in sets.items()}
    first: dict[tuple[str, str], float] = {}
    for way in ways:
        model = trained(source, way, out, length)
        for name, images in sets.items():
            made = reconstructed(model, images)
            for measure, value in judged(images, made, networks).items():
                first.setdefault((name, measure), value)
                unit = "dB" if measure == "PSNR" else ""
                figures.append(figure(f"{name} {way} {measure}", [value], unit, {"l2": first[name, measure]}))
            if way in ("l2", "sharp", "sharp+random"):
                shown[name].append(made[:SHOWN])
    for name, rows in shown.items():
        sheet(rows, out / f"sheet-{name}.png")
    return figures


def sheet(rows: Sequence[Any], path: Path) -> None:
    """A row of pictures for each way, twice as large."""
    lines = [np.concatenate([np.pad(each, ((0, 0), (1, 1), (1, 1))) for each in row], axis=2) for row in rows]
    picture = np.concatenate(lines, axis=1).transpose(1, 2, 0).repeat(2, 0).repeat(2, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def networks_of(cifar10: Any, out: Path, quick: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"random": RandomFeatures(3, seed=1).eval()}
    if cifar10 is not None:
        kept = out / "classifier.safetensors"
        if kept.is_file():
            classifier = Classifier(3, 10).eval()
            classifier.load_state_dict(load_file(kept))
        else:
            classifier = train_classifier(cifar10, steps=100 if quick else 500, flip=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            save_file(classifier.state_dict(), kept)
        found["classifier"] = ClassifierFeatures(classifier)
    return found


def speech(folder: str, ways: Sequence[str], out: Path, length: Length, quick: bool) -> list[Figure]:
    from vqkit.evaluation.sound.quality import judge_sounds

    data = vqkit.load_source(f"sound@{RATE}:{folder}")
    learned, held_out = vqkit.split(data, 0.1, seed=0)
    network = {"type": "convnext", "config": {"strides": [160, 2], "causal": False, "lapped": True}}
    model = {
        "downsampling": 320, "hidden_channels": 64, "encoder": network, "decoder": network, "num_codebooks": 4,
        "stacking": "residual",
    }  # fmt: skip
    objective = "compressed(phase=0.1)"
    figures = []
    first: dict[str, float] = {}
    for way in ways:
        more: dict[str, Any] = {"batch_size": 8, "crop": RATE // 2, "learning_rate": 1e-3, "model": model}
        if way in ("l2", "sharp"):  # what sounds are trained with here, in place of squared error
            more |= {"objective": objective}
        made = trained(learned, way, out, length, **more)
        found: dict[str, list[float]] = {}
        for number in range(4 if quick else len(held_out)):
            sound = torch.from_numpy(np.asarray(held_out.read(number)))[None]
            for name, values in judge_sounds(sound, made.reconstruct(sound), RATE).items():
                found.setdefault(name, []).append(float(values.mean()))
        for name in ("mel_distance", "stoi"):
            value = float(np.mean(found[name]))
            first.setdefault(name, value)
            figures.append(figure(f"speech {way} {name}", [value], "", {"l2": first[name]}))
    return figures


def _poisoning(array: Any, step: int) -> vqkit.Callback:
    class Poison(vqkit.Callback):
        """NaN in a third of the training data from a step on, as of a disk that fails."""

        def on_step(self, number: int, values: Any) -> None:
            del values
            if number == step:
                array[: len(array) // 3] = np.nan

    return Poison()


def _sabotages() -> list[tuple[str, str, int | None]]:
    """Words of the adversary with its weight, and the step from which on data are NaN."""
    rates = [
        (f"learning rate {rate:g}", f"0.05*adversarial(learning_rate={rate:g}{{}})", None)
        for rate in (1e-9, 0.1, 3.0, 100.0)
    ]
    weights = [(f"weight {weight:g}", f"{weight:g}*adversarial({{}})", None) for weight in (1.0, 30.0, 1e3, 1e6)]
    starts = [
        (f"begins at step {step}", f"1*adversarial(after={step}, warmup=0{{}})", None) for step in (1, 5, 150, 159)
    ]
    both = [
        (f"weight {weight:g}, rate {rate:g}", f"{weight:g}*adversarial(learning_rate={rate:g}, warmup=0{{}})", None)
        for weight, rate in ((100.0, 1.0), (10.0, 0.3), (1e4, 1e-5), (3.0, 10.0))
    ]
    poisons = [(f"NaN from step {step} on", "0.05*adversarial({})", step) for step in (82, 100, 120, 155)]
    mixed = itertools.chain.from_iterable(zip(rates, weights, starts, both, poisons, strict=True))
    found = []
    for name, words, at in mixed:
        more = "width=8" if "after" in words else "width=8, after=80"
        found.append((name, words.format(f", {more}" if "(learning" in words or "(after" in words else more), at))
    return found


def sabotage(count: int) -> list[Figure]:
    digits = np.stack([vqkit.load_source("builtin:digits").read(number) for number in range(600)]) / np.float32(255)
    worse = lower = 0
    ends: dict[str, int] = {}
    for name, words, step in _sabotages()[:count]:
        images = digits.astype(np.float32).copy()
        learned, held_out = ArraySource(images[:500]), ArraySource(digits[500:].astype(np.float32))
        options: dict[str, Any] = {"code_dim": 8, "hidden_channels": 16, "residual_channels": 8, "downsampling": 2}
        model = vqkit.VQVAE.for_source(learned, 64, seed=0, **options)
        with tempfile.TemporaryDirectory() as folder:
            callbacks: list[Any] = [] if step is None else [_poisoning(images, step)]
            try:
                run = vqkit.train(
                    model, learned, out=f"{folder}/run", validation=held_out, steps=160, batch_size=16, log_every=1,
                    evaluations=0, learning_rate=3e-3, objective=f"likelihood + {words}", sharp=True, quiet=True,
                    average_decay=0.9, callbacks=callbacks,
                )  # fmt: skip
            except (TrainingStopped, DataError) as error:
                print(f"{name}: stopped ({error})", file=sys.stderr, flush=True)
                worse += 1
                continue
            lines = [line for line in run.log() if line["kind"] == "sharp"]
            begun, end = lines[0], lines[-1]
        before, after = (Figures(each["frechet_distance"], each["psnr_db"]) for each in (begun, end))
        bad = end["event"] != "end" or not after.no_worse_than(before)
        worse, lower = worse + bad, lower + (after.psnr < before.psnr - 1.0)
        ends[end["model"]] = ends.get(end["model"], 0) + 1
        backs = sum(line["event"] == "back" for line in lines)
        print(f"{name}: {end['model']}, {before} -> {after}, {backs} times back", file=sys.stderr, flush=True)
    return [
        figure("sabotaged runs", [count], ""),
        figure("end worse by the rule", [worse], ""),
        figure("end more than 1 dB lower", [lower], ""),
        *(figure(f"saved model: {which}", [number], "") for which, number in ends.items()),
    ]


def main() -> None:
    options = parser(__doc__)
    for name in ("cifar10", "photos", "bsds", "speech"):
        options.add_argument(f"--{name}", metavar="FOLDER")
    options.add_argument("--minutes", type=float, default=5.0, help="of each run (default: 5)")
    options.add_argument(
        "--steps", type=int, help="in place of minutes, the CPU time that so many steps with squared error take"
    )
    options.add_argument("--sabotage", type=int, default=0, metavar="N", help="runs, up to 20")
    options.add_argument("--ways", nargs="*", default=["l2", "random", "run", "sharp", "sharp+random"])
    options.add_argument("--adversary", help="with its weight, in place of that of --sharp")
    options.add_argument("--width", type=int, default=64, help="of the networks (default: 64)")
    options.add_argument("--out", type=Path, default=Path("runs/sharp"))
    given = options.parse_args()
    length, most = (Length(0.2), 256) if given.quick else (Length(given.minutes, given.steps), 2000)
    MODEL.update(hidden_channels=given.width, residual_channels=given.width // 2)
    ADVERSARY.extend([given.adversary] if given.adversary else [])
    figures: list[Figure] = []
    parts: list[Callable[[], list[Figure]]] = []
    labelled = None
    if given.cifar10:
        cifar10 = vqkit.load_source(given.cifar10)
        labelled, held_out = (
            cifar10.subset(range(len(cifar10) - 5000)),
            cifar10.subset(range(len(cifar10) - 5000, len(cifar10))),
        )
        images = np.stack([held_out.read(number) for number in range(most)])
        parts.append(
            lambda: compared(labelled, {"cifar10": images}, given.ways, networks, given.out / "cifar10", length)
        )
    if given.photos:
        photos = vqkit.load_source(f"{given.photos}/train")
        sets = {"photos_open": tiles(vqkit.load_source(f"{given.photos}/val"), most)}
        if given.bsds:
            sets["bsds500"] = tiles(vqkit.load_source(f"{given.bsds}/val"), most)
        parts.append(lambda: compared(photos, sets, given.ways, networks, given.out / "photos", length))
    if given.speech:
        parts.append(lambda: speech(given.speech, given.ways, given.out / "speech", length, given.quick))
    if given.sabotage:
        parts.append(lambda: sabotage(2 if given.quick else given.sabotage))
    networks = networks_of(labelled, given.out, given.quick) if given.cifar10 or given.photos else {}
    for part in parts:
        figures += part()
        report(figures, given, minutes=length.minutes, steps=length.steps)


if __name__ == "__main__":
    main()
