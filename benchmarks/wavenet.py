"""The WaveNet decoder: seconds of sound it samples in a second, and bits per sample beside what knows less.

Sampling: one step a sample with memory, beside whole passes of the same network (a few positions, evenly spread, which
gives the same mean time). With ``--data FOLDER`` (recordings, 8 kHz unless ``--rate`` says another) also trainings: a
VQ-VAE whose decoder is a WaveNet, the same WaveNet without codes (an encoder that emits zeros), and the histogram of
mu-law levels, in bits per sample of held-out segments. ``--labels COLUMN`` gives the decoder the class (the speaker),
and every held-out item is also decoded under the next class. ``--out`` keeps runs, sounds and pictures.
"""

from __future__ import annotations

import math
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import vqkit
from figures import Figure, figure, parser, report
from vqkit.likelihoods.categorical import MU_LEVELS, compressed
from vqkit.networks import ENCODERS, Network, WaveNetDecoder
from vqkit.networks.autoregressive import AutoregressiveNetwork

_BATCHES = (1, 16, 64)
_HELD_OUT = 20
"""One item in so many is held out."""
_SHOWN = 4


@ENCODERS.register("silent")
class Silent(Network):
    """Latents of zeros: the decoder behind it learns p(x) without codes."""

    def __init__(self, in_channels: int, out_channels: int, downsampling: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.downsampling = in_channels, out_channels, downsampling
        self.zero = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.zero * x.new_zeros(len(x), self.out_channels, x.shape[2] // self.downsampling)


def sampling(quick: bool) -> list[Figure]:
    """Samples a second, in a batch together, with memory and by whole passes."""
    torch.manual_seed(0)
    decoder = WaveNetDecoder(16, 256, 64, hidden_channels=64).eval()
    frames, repeats = (4, 3) if quick else (32, 5)
    found = []
    for batch in _BATCHES[:2] if quick else _BATCHES:
        latents, value = torch.randn(batch, 16, frames), torch.rand(batch, 1) - 0.5
        length, rates, whole = frames * 64, [], []
        for _ in range(repeats):
            start = time.perf_counter()
            decoder.generate(latents, partial(_constant, value))
            rates.append(batch * length / (time.perf_counter() - start))
            signal = torch.zeros(batch, 1, length)
            start = time.perf_counter()
            with torch.no_grad():
                for part in (1, frames // 2, frames):  # a pass over what there is so far
                    AutoregressiveNetwork.__call__(decoder, latents[:, :, :part], signal[:, :, : part * 64])
            whole.append(batch * 3 / (time.perf_counter() - start))
        peer = {"whole passes": sorted(whole)[repeats // 2]}
        found.append(figure(f"samples a second, batch {batch}, {length} samples", rates, "1/s", peer))
    return found


def _constant(value: torch.Tensor, emitted: torch.Tensor, position: int) -> torch.Tensor:
    del emitted, position
    return value


def trainings(arguments: Any, folder: Path) -> tuple[list[Figure], dict[str, Any]]:
    """Bits per sample of held-out segments."""
    kind = f"sound@{arguments.rate}"
    source = vqkit.load_source(str(arguments.data), kind=kind, labels=arguments.labels)
    held = [number for number in range(len(source)) if number % _HELD_OUT == 0]
    training = source.subset([number for number in range(len(source)) if number % _HELD_OUT])
    middles = np.stack([_middle(source.read(number), arguments.length) for number in held])
    labels = None if source.labels is None else np.asarray(source.labels)[held]
    batch = torch.from_numpy(middles)
    decoder = {"type": "wavenet", "config": {"layers": arguments.layers}}
    shared = {"decoder": decoder, "downsampling": arguments.downsampling, "residual_channels": arguments.channels}
    shared |= {"hidden_channels": 2 * arguments.channels, "seed": 0}
    settings: dict[str, Any] = {"batch_size": 8, "crop": arguments.length, "learning_rate": 2e-3, "warmup_steps": 20}
    settings |= {"evaluations": 0, "validation": "last:1", "average_decay": 0.99, "quiet": True, "tensorboard": False}
    time_of: dict[str, Any] = {"steps": 3 if arguments.quick else arguments.steps}
    levels = np.concatenate([compressed(torch.from_numpy(_plain(training.read(n)))).numpy() for n in _some(training)])
    counts = np.bincount(levels.astype(int), minlength=MU_LEVELS) + 1.0
    own = compressed(batch).long().flatten().numpy()
    found = [
        figure("bits per sample, histogram of levels", [float(-np.log2(counts / counts.sum())[own].mean())], "bits")
    ]
    about: dict[str, Any] = {"held_out": len(held), "samples": int(batch.numel()), **vars(arguments)}
    runs = {"with codes": ("seanet", arguments.labels is not None), "without codes": ("silent", False)}
    for name, (encoder, conditional) in runs.items():
        model = vqkit.VQVAE.for_source(
            training, arguments.codes, code_dim=16, encoder=encoder, conditional=conditional, **shared
        )
        path = folder / name.replace(" ", "-")
        run = vqkit.train(model, training, out=path, **settings, **time_of)
        model = run.model().eval()
        codes = model.encode(batch)
        with model.conditioned_on(labels if conditional else None):
            bits = -model.log_likelihood(batch, codes) / math.log(2) / batch[0].numel()
        cost = model.latent_cost(batch).rate_nats / math.log(2) / batch[0].numel() if encoder != "silent" else 0 * bits
        found.append(figure(f"bits per sample, {name}: of samples", [float(bits.mean())], "bits"))
        found.append(figure(f"bits per sample, {name}: codes too", [float((bits + cost).mean())], "bits"))
        if conditional:
            assert labels is not None
            with model.conditioned_on((labels + 1) % (int(labels.max()) + 1)):
                bits = -model.log_likelihood(batch, codes) / math.log(2) / batch[0].numel()
            found.append(figure(f"bits per sample, {name}: of samples, another class", [float(bits.mean())], "bits"))
        if encoder != "silent":
            found.append(figure("codes in use", [float(len(codes.unique()))], "codes"))
        show(model, source, held, labels if conditional else None, path)
    return found, about


def show(model: Any, source: Any, held: list[int], labels: Any, path: Path) -> None:
    """Write whole held-out items, as they are, decoded, and under another class, as WAV files and spectrograms."""
    from vqkit.pictures import before_after_sheet

    rows: dict[str, list[Any]] = {"original": [], "decoded": []}
    if labels is not None:
        rows["another class"] = []
    for place in range(0, len(held), max(1, len(held) // _SHOWN)):
        item = torch.from_numpy(source.read(held[place]))[None]
        codes = model.encode(item)
        own = None if labels is None else int(labels[place])
        made = {"original": item, "decoded": model.decode(codes, item.shape[2:], condition=own)}
        if labels is not None:
            other = (int(labels[place]) + 1) % (int(np.max(labels)) + 1)
            made["another class"] = model.decode(codes, item.shape[2:], condition=other)
        for name, sound in made.items():
            rows[name].append(model.kind.show(sound[0].numpy()))
            file = path / "sounds" / f"{held[place]:05d}-{name.replace(' ', '-')}.wav"
            file.parent.mkdir(exist_ok=True)
            model.kind.write(sound[0].numpy(), file)
    before_after_sheet(list(rows.items())).save(path / "sounds" / "sheet.png")


def _some(source: Any) -> range:
    return range(0, len(source), max(1, len(source) // 500))


def _plain(item: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(item, dtype=np.float32).ravel()


def _middle(item: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
    """So many samples of the middle; silence around what is shorter."""
    missing = max(0, length - item.shape[1])
    item = np.pad(item, ((0, 0), (missing // 2, missing - missing // 2)))
    start = (item.shape[1] - length) // 2
    return np.ascontiguousarray(item[:, start : start + length], dtype=np.float32)


def main() -> None:
    built = parser(__doc__)
    built.add_argument("--data", type=Path, help="a folder of recordings to train on")
    built.add_argument("--labels", help="column (or file) of the classes that the decoder is told")
    built.add_argument("--rate", type=int, default=8000)
    built.add_argument("--steps", type=int, default=2000, help="of each training, 8 segments each")
    built.add_argument("--no-sampling", action="store_true", help="leave out the speed of sampling")
    built.add_argument("--length", type=int, default=2048, help="samples of a training segment")
    built.add_argument("--downsampling", type=int, default=64)
    built.add_argument("--codes", type=int, default=256)
    built.add_argument("--channels", type=int, default=24, help="of the dilated layers")
    built.add_argument("--layers", type=int, default=7, help="in each of two cycles")
    built.add_argument("--out", type=Path, help="keep runs, sounds and pictures here")
    arguments = built.parse_args()
    figures: list[Figure] = [] if arguments.no_sampling else sampling(arguments.quick)
    about: dict[str, Any] = {}
    if arguments.data is not None:
        with tempfile.TemporaryDirectory() as folder:
            out = arguments.out or Path(folder)
            out.mkdir(parents=True, exist_ok=True)
            more, about = trainings(arguments, out)
        figures += more
    report(
        figures, arguments, **{name: str(value) if isinstance(value, Path) else value for name, value in about.items()}
    )


if __name__ == "__main__":
    main()
