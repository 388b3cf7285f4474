"""The reference models of the package, made again: trained, measured on held-out data, and written with their cards.

Each is one command, on the data that it names (the folders are those of the data's own README); seeds are fixed:

    python benchmarks/reference_models.py photo photos_open/ --out runs/reference --threads 1
    python benchmarks/reference_models.py speech speech_16k/train speech_48k/ --out runs/reference --threads 1

A model is trained, its weights are rounded to what a small folder holds exactly, the context prior is learned on the
indices of the rounded model, and both are measured as they are stored. ``--into src/vqkit/pretrained/weights`` writes
the folder into the package. What is there already in ``--out`` is gone on with, not made again.

``photo``: photographs with open licences; ``train/`` is learned from, ``val/`` is held out. ``speech``: the last tenth
of the first folder by a seeded permutation is held out, and of the second the five sentences of ``builtin:speech``.
"""

from __future__ import annotations

import json
import shutil
import time
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vqkit
from figures import Figure, figure, parser, report
from vqkit.codec import Signal, entropy_model, file_sizes
from vqkit.data import ConcatSource
from vqkit.data.builtin import SENTENCES
from vqkit.models import IndexModel
from vqkit.models.tiling import codebooks_of
from vqkit.pretrained.card import ModelCard
from vqkit.pretrained.reference import ABOUT, WEIGHTS
from vqkit.studies.rate_distortion.sounds.codecs import matched, sound_codecs
from vqkit.studies.rate_distortion.sounds.measures import delay_of, sound_qualities
from vqkit.training.recipes.prior import train_prior

RATE = 16000
KBPS = (1.5, 3.0, 6.0)
WEIGHTS_OF_RATE = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
USUAL_WEIGHT = 0.1
"""What a photograph's bits weigh in the second training, and in files where nobody says: the first, stronger weight
teaches to save, and leaves the later codebooks with nothing to say."""
SEED = 0
MOST_BYTES = {"photo": 2_000_000, "speech": 2_000_000}
"""As a wheel holds them, deflated: 4 MB together."""


@dataclass(frozen=True)
class Recipe:
    """What one model is made of: its data, its network, its training, its prior, and the words of its card."""

    minutes: float
    prior_minutes: float
    more_minutes: float
    training: dict[str, Any]
    prior: dict[str, Any]
    prior_training: dict[str, Any]
    about: dict[str, Any]
    data: str


PHOTO = Recipe(
    minutes=48,
    prior_minutes=15,
    more_minutes=28,
    training={"crop": 96, "batch_size": 8, "learning_rate": 8e-4, "flip": True},
    prior={"hidden_channels": 48},
    prior_training={"learning_rate": 5e-3, "batch_size": 16},
    about={"title": "photographs", "kind": "image", "license": "CC BY-SA 4.0", "tag": "cc-by-sa-4.0",
           "rates": "0.1 to 0.5 bits per pixel (--rate, --rate-weight, --codebooks 1 to 8)"},
    data="85 photographs whose licences allow it: CC0 and public domain, CC BY, CC BY-SA. `SOURCE.csv` beside this "
    "card has a row for each, with author, licence and source; all were downscaled and encoded again. Nine others are "
    "held out. Since some are CC BY-SA, the weights are CC BY-SA 4.0. A photograph that you compress, and its file, "
    "stay yours.",
)  # fmt: skip
SPEECH = Recipe(
    minutes=45,
    prior_minutes=6,
    more_minutes=0,
    training={"batch_size": 16, "crop": RATE // 2, "optimizer": "muon", "learning_rate": 1e-3, "evaluations": 2,
              "objective": "compressed(phase=0.1) + 2*envelope"},
    prior={"hidden_channels": 12, "layers": 3},
    prior_training={"learning_rate": 5e-3, "batch_size": 16},
    about={"title": "speech, 16 kHz", "kind": f"sound@{RATE}", "license": "Apache-2.0", "tag": "apache-2.0",
           "rates": "1.5, 3 and 6 kbps (--kbps)"},
    data="Spoken orders of many speakers at 16 kHz (speech_16k of the project's data, Apache-2.0; nine tenths of its "
    "files) and sentences of one speaker at 48 kHz, resampled (speech_48k, CC0 1.0; all but the five of "
    "`builtin:speech`). Both in English, read or spoken into a microphone near by.",
)  # fmt: skip
RECIPES = {"photo": PHOTO, "speech": SPEECH}
LIMITS = {
    "photo": "Small on purpose: a classic codec of the same size in bytes keeps fine texture better at high rates, and "
    "above 0.5 bits per pixel the curve is flat. Text, drawings and screenshots are not what it learned. Faces come "
    "back less faithfully than the rest. A file needs these very weights: keep the version of vqkit that wrote it.",
    "speech": "Speech in English, near a microphone. Music, noise, several voices at once and other languages come "
    "back worse. Content above 8 kHz is lost. It keeps who speaks: it hides nobody. A file needs these very weights: "
    "keep the version of vqkit that wrote it.",
}


def photo_data(folders: list[str]) -> tuple[Any, Any]:
    root = Path(folders[0])
    return vqkit.load_source(root / "train"), vqkit.load_source(root / "val")


def speech_data(folders: list[str]) -> tuple[Any, Any]:
    many = vqkit.load_source(f"sound@{RATE}:{folders[0]}")
    training, held_out = vqkit.split(many, 0.1, seed=SEED)
    one = [vqkit.load_source(f"sound@{RATE}:{folder}") for folder in folders[1:]]
    shown = tuple(SENTENCES)
    kept = [
        each.subset([n for n in range(len(each)) if Path(each.item_name(n) or "").stem not in shown]) for each in one
    ]
    return ConcatSource([training, *kept]), held_out


DATA = {"photo": photo_data, "speech": speech_data}


def photo_model(source: Any, width: int) -> vqkit.VQVAE:
    return vqkit.VQVAE.for_source(
        source, 512, code_dim=32, downsampling=8, num_codebooks=8, stacking="residual", linear_path=True,
        hidden_channels=width, widths=[width // 4, width // 2, width], residual_blocks=3, residual_channels=width // 2,
        quantizer_options={"quantizer_dropout": 0.5, "rate_weight": 0.4, "restart_below": 0.02}, seed=SEED,
    )  # fmt: skip


def speech_model(source: Any, width: int) -> vqkit.VQVAE:
    network = {"type": "convnext", "config": {"strides": [160, 2], "causal": False, "lapped": True}}
    return vqkit.VQVAE.for_source(
        source, 1024, code_dim=32, num_codebooks=12, stacking="residual", downsampling=320, hidden_channels=width,
        quantizer_options={"quantizer_dropout": 0.6, "dropout_codebooks": [3, 6]}, encoder=network, decoder=network,
        seed=SEED,
    )  # fmt: skip


MODELS = {"photo": (photo_model, 96), "speech": (speech_model, 80)}


def trained(name: str, training: Any, held_out: Any, out: Path, given: Any) -> IndexModel:
    """The tokenizer, rounded; trained where it is not there yet."""
    compact = out / "compact"
    if not (compact / "config.json").is_file():
        if not (out / "run" / "model").is_dir():
            make, width = MODELS[name]
            recipe = RECIPES[name]
            vqkit.train(
                make(training, given.width or width), training, out=out / "run", validation=held_out, seed=SEED,
                minutes=given.minutes or recipe.minutes, threads=given.threads, **recipe.training,
            )  # fmt: skip
        more = RECIPES[name].more_minutes
        done = vqkit.load_model(out / "run")
        if more:
            done = trained_on(done, training, held_out, out / "more", min(more, 1.0) if given.quick else more, given)
        done.compact().save_pretrained(compact)
    model = vqkit.load_model(compact)
    assert isinstance(model, IndexModel)
    return model


def trained_on(model: Any, training: Any, held_out: Any, place: Path, minutes: float, given: Any) -> Any:
    """The model of photographs trained on at half the rate, with bits that weigh what they usually will."""
    if not (place / "model").is_dir():
        for book in codebooks_of(model):
            book.rate_weight = USUAL_WEIGHT
        settings = {**PHOTO.training, "learning_rate": PHOTO.training["learning_rate"] / 2}
        vqkit.train(
            model, training, out=place, validation=held_out, seed=SEED + 1, minutes=minutes, threads=given.threads,
            **settings,
        )  # fmt: skip
    return vqkit.load_model(place)


def with_prior(name: str, model: IndexModel, training: Any, held_out: Any, out: Path, given: Any) -> None:
    """Learn the context prior of the rounded model, round it, and give it to the model."""
    recipe = RECIPES[name]
    place = out / "context"
    if not (place / "run" / "model" / "config.json").is_file():
        config = vqkit.TrainConfig(
            minutes=given.prior_minutes or recipe.prior_minutes, seed=SEED, validation=f"last:{len(held_out)}",
            **recipe.prior_training,
        )  # fmt: skip
        images = name == "photo"
        train_prior(
            model, ConcatSource([training, held_out]), place, config=config, prior_type="context",
            options=recipe.prior, crop=192 if images else 48 * 320, crops=(200 if given.quick else 6000),
            rate_weights=WEIGHTS_OF_RATE if images else (),
        )  # fmt: skip
    model.use_prior(vqkit.load_prior(place / "run").compact())


def photo_measures(model: Any, held_out: Any, out: Path, given: Any) -> tuple[list[Figure], list[str]]:
    """PSNR over bits per pixel of whole files, and BD-rate against JPEG and others."""
    model.save_pretrained(out / "measured")
    few: dict[str, Any] = {"images": 2, "shown": 0} if given.quick else {}
    document = vqkit.rate_distortion(held_out, out / "measured", out / "rates", **few).document
    figures, lines = [], []
    for curve in document["curves"]:
        for point in curve["points"]:
            told = f"{curve['name']} at {point['bits_per_pixel']:.3f} bits per pixel"
            figures.append(figure(told, [point["psnr_db"]], "dB"))
        if curve["name"].startswith("vqkit"):
            points = curve["points"]
            lines.append(", ".join(f"{each['psnr_db']:.2f} dB at {each['bits_per_pixel']:.3f}" for each in points))
    lines = [f"PSNR at bits per pixel of whole files: {line}" for line in lines]
    for each in document["bd_rates"]:
        if each["percent_low"] is not None:
            figures.append(
                figure(f"BD-rate against JPEG, {each['quality']}, {each['curve']}", [each["percent_low"]], "%")
            )
            if each["curve"].startswith("vqkit"):
                lines.append(
                    f"BD-rate against JPEG up to 0.5 bits per pixel, {each['quality']}: {each['percent_low']:.1f} %"
                )
    return figures, lines


def speech_measures(model: Any, held_out: Any, _: Path, given: Any) -> tuple[list[Figure], list[str]]:
    """STOI and mel distance at each rate, and kilobits a second of one file of all held-out recordings."""
    sounds = [np.asarray(held_out.read(number)) for number in range(2 if given.quick else len(held_out))]
    seconds = sum(sound.shape[1] for sound in sounds) / RATE
    entropy = entropy_model(model.prior, model.codebook_size)
    figures, lines = [], []
    for kbps in KBPS:
        found: dict[str, list[float]] = {}
        for sound in sounds:
            indices = model.encode(torch.from_numpy(sound).unsqueeze(0), kbps=kbps)
            back = model.decode(indices, [sound.shape[1]])[0].numpy()
            for measure, value in sound_qualities(sound, back, RATE).items():
                found.setdefault(measure, []).append(value)
        books = indices.shape[-1]
        size = file_sizes(model, lambda: (Signal(sound) for sound in sounds), [books], [entropy])[books]
        figures += [figure(f"{kbps:g} kbps {measure}", values, "") for measure, values in found.items()]
        figures.append(figure(f"{kbps:g} kbps in files", [8 * size / seconds / 1000], "kbps"))
        rate = 8 * size / seconds / 1000
        lines.append(f"STOI {np.mean(found['stoi']):.3f} at {kbps:g} kbps nominal, {rate:.2f} kbps as a file")
    for codec in sound_codecs({"opus": [6.0] if given.quick else [6.0, 8.0, 12.0]}, 1)[0]:
        for setting in codec.values:
            files = [codec.encode(sound, RATE, setting) for sound in sounds]
            stoi = []
            for sound, file in zip(sounds, files, strict=True):
                back, own = codec.decode(file)
                back = matched(sound, back, RATE, own, partial(delay_of, sound, rate=RATE))
                stoi.append(sound_qualities(sound, back, RATE)["stoi"])
            rate = 8 * sum(map(len, files)) / seconds / 1000
            figures.append(figure(f"{codec.name} {rate:.2f} kbps stoi", stoi, ""))
            lines.append(f"{codec.name} beside it: STOI {np.mean(stoi):.3f} at {rate:.2f} kbps")
    return figures, lines


MEASURES = {"photo": photo_measures, "speech": speech_measures}


def deflated(place: Path) -> int:
    """Bytes of a folder's files as a wheel holds them."""
    return sum(len(zlib.compress(file.read_bytes(), 9)) for file in place.rglob("*") if file.is_file())


def write(name: str, model: IndexModel, lines: list[str], held_out: Any, given: Any) -> Path:
    """Write the folder with its card: weights, prior, what was measured, whose data it learned."""
    recipe, place = RECIPES[name], Path(given.into) / name
    if place.exists():
        shutil.rmtree(place)
    command = f"python benchmarks/reference_models.py {name} {' '.join(Path(each).name + '/' for each in given.data)}"
    about = {key: value for key, value in recipe.about.items() if key != "tag"}
    about |= {"measured": lines, "held_out": held_out.describe(), "command": command, "seed": SEED}
    parts = [recipe.data, "## Held-out measures", held_out.describe() + ":", "\n".join(f"- {line}" for line in lines)]
    parts += ["## Limits", LIMITS[name], "## Made by", f"`{command}` (seed {SEED})"]
    card = ModelCard(license=recipe.about["tag"], data="\n\n".join(parts), tags=(recipe.about["title"],))
    model.save_pretrained(place, card=card)
    (place / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    listed = Path(given.data[0]) / "SOURCE.csv"
    if listed.is_file():
        shutil.copyfile(listed, place / "SOURCE.csv")
    size = deflated(place)
    if size > MOST_BYTES[name]:
        raise SystemExit(
            f"{place} has {size:,} bytes, deflated, more than {MOST_BYTES[name]:,}: give a smaller --width"
        )
    return place


def main() -> None:
    options = parser(__doc__)
    options.add_argument("name", choices=sorted(RECIPES))
    options.add_argument("data", nargs="+", help="folders of its data")
    options.add_argument("--minutes", type=float, help="of training the tokenizer (default: 48, speech 45)")
    options.add_argument("--prior-minutes", type=float, help="of training the prior (default: 15, speech 6)")
    options.add_argument("--width", type=int, help="channels of its networks (default: 96, speech 80)")
    options.add_argument("--threads", type=int, help="of training")
    options.add_argument("--out", type=Path, default=Path("runs/reference"), help="working folder")
    options.add_argument(
        "--into", type=Path, default=WEIGHTS, help="where the model's folder goes (default: the package)"
    )
    given = options.parse_args()
    start = time.perf_counter()
    out = given.out / given.name
    if given.quick:
        given.minutes, given.prior_minutes = given.minutes or 1.0, given.prior_minutes or 0.5
    training, held_out = DATA[given.name](given.data)
    model = trained(given.name, training, held_out, out, given)
    with_prior(given.name, model, training, held_out, out, given)
    figures, lines = MEASURES[given.name](model, held_out, out, given)
    place = write(given.name, model, lines, held_out, given)
    figures += [
        figure("folder, deflated", [deflated(place)], "bytes"),
        figure("all of it took", [time.perf_counter() - start], "s"),
    ]
    report(figures, given, data=[Path(each).name for each in given.data])


if __name__ == "__main__":
    main()
