"""Seconds from nothing to a good tokenizer: 24.5 dB on held-out CIFAR-10 images at 576 bits, beside other libraries.

    python benchmarks/time_to_quality.py DATA [--set learning_rate=2e-3] [--only vqkit]

DATA is CIFAR-10 as ``vqkit.load_source`` reads it. Sonnet's example: 32x32 RGB, 8x8 positions, 512 codes, hidden 128,
two residual blocks of 32 (vqkit's has a linear path beside, which begins as PCA, unless ``--set linear_path=false``).
Every contender trains in a process of its own, on one thread, on the same images; they take turns of some seconds, so
that a change of the machine's speed meets all alike. The clock of each runs while it makes its model and its first
codebook and while it trains, not while it imports or is judged, and stops when the PSNR (of the mean squared error over
1,000 held-out images, in evaluation mode) has reached the target. Held out is the last tenth of a seeded permutation.

vqkit's loop does all that ``vqkit train`` does in a step; ``--set`` gives it other settings, of the model or of the
training. vector-quantize-pytorch: ``VectorQuantize`` with its defaults, k-means init and the rotation trick, batches of
32, Adam at 3e-4 as in its examples, mean squared error. pythae: its ``VQVAE`` with its defaults, batches of 64 and Adam
at 1e-4 as its trainer has them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import Figure, figure, parser, report
from train_step import CODES, DIM, HIDDEN, NEEDS, RESIDUAL, batches, plain_networks

TARGET = 24.5
JUDGED = 1000
VQKIT: dict[str, Any] = {"steps": 4000, "batch_size": 32, "linear_path": True, "learning_rate": 2e-3}
"""What reaches the target first, of what has been tried: settings of the model and of the training."""
BATCH = {"vector-quantize-pytorch": 32, "pythae": 64}
Contender = tuple[Callable[[], None], Callable[[Any], Any]]
"""A step, and the reconstruction of a batch in evaluation mode."""


def vqkit(images: Any, seed: int, settings: dict[str, Any]) -> Contender:
    """The step of the real loop; what is judged is the average of the weights, as in ``vqkit train``."""
    import copy
    from dataclasses import fields

    import torch

    from vqkit import VQVAE, TrainConfig, host
    from vqkit.data import ArraySource, Batches
    from vqkit.training.distributed import Processes
    from vqkit.training.evaluators.models import ModelEvaluator
    from vqkit.training.loop import Loop
    from vqkit.training.recalibration import prepare
    from vqkit.training.record.run import Run

    host.keep_freed_memory()
    of_training = {each.name for each in fields(TrainConfig)}
    config = TrainConfig(**{name: value for name, value in settings.items() if name in of_training}, seed=seed)
    of_model = {name: value for name, value in settings.items() if name not in of_training}
    source = ArraySource(images, name="images")
    sizes = {"code_dim": DIM, "hidden_channels": HIDDEN, "residual_channels": RESIDUAL, **of_model}
    model = VQVAE.for_source(source, CODES, seed=seed, **sizes)
    feed = Batches(source, config.batch_size, seed=seed)
    prepare(model, source, config)
    shadow = copy.deepcopy(model)
    judge = ModelEvaluator(source, 64, 64, None)
    processes = Processes(0, 1, torch.device("cpu"))
    run = Run(Path(tempfile.mkdtemp()), False, 0)
    loop = Loop(model.train(), shadow, feed, config, processes, judge, run)
    return loop.one_step, lambda x: shadow.eval().reconstruct(x)


def vector_quantize_pytorch(images: Any, seed: int, settings: dict[str, Any]) -> Contender:
    import torch
    from vector_quantize_pytorch import VectorQuantize

    del settings
    torch.manual_seed(seed)
    encoder, decoder = plain_networks()
    quantizer = VectorQuantize(
        dim=DIM, codebook_size=CODES, accept_image_fmap=True, kmeans_init=True, rotation_trick=True
    )
    modules = torch.nn.ModuleList([encoder, quantizer, decoder]).train()
    optimizer = torch.optim.Adam(modules.parameters(), lr=3e-4)
    feed = batches(torch.from_numpy(images), BATCH["vector-quantize-pytorch"])

    def step() -> None:
        modules.train()
        x = next(feed)
        quantized, _, commitment = quantizer(encoder(x))
        loss = torch.nn.functional.mse_loss(decoder(quantized), x) + commitment.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def reconstruct(x: Any) -> Any:
        modules.eval()
        return decoder(quantizer(encoder(x))[0]).clamp(0, 1)

    return step, reconstruct


def pythae(images: Any, seed: int, settings: dict[str, Any]) -> Contender:
    import torch
    from pythae.models import VQVAE, VQVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    del settings
    torch.manual_seed(seed)
    plain_encoder, plain_decoder = plain_networks()

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            self.layers = plain_encoder

        def forward(self, x: Any) -> Any:
            return ModelOutput(embedding=self.layers(x))

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.layers = plain_decoder

        def forward(self, z: Any) -> Any:
            return ModelOutput(reconstruction=self.layers(z))

    config = VQVAEConfig(input_dim=(3, 32, 32), latent_dim=DIM, num_embeddings=CODES)
    model = VQVAE(config, encoder=Encoder(), decoder=Decoder()).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    feed = batches(torch.from_numpy(images), BATCH["pythae"])

    def step() -> None:
        model.train()
        loss = model({"data": next(feed)}).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def reconstruct(x: Any) -> Any:
        return model.eval()({"data": x}).recon_x.clamp(0, 1)

    return step, reconstruct


CONTENDERS: dict[str, Callable[[Any, int, dict[str, Any]], Contender]] = {
    "vqkit": vqkit,
    "vector-quantize-pytorch": vector_quantize_pytorch,
    "pythae": pythae,
}


def serve(name: str, folder: Path, seed: int, settings: str) -> None:
    """A contender's process: for every line on standard input, train for so many seconds and be judged."""
    import numpy as np
    import torch

    from vqkit.evaluation import psnr_db

    torch.set_num_threads(1)
    images = np.load(folder / "train.npy")
    held_out = torch.from_numpy(np.load(folder / "held_out.npy")).float() / 255
    make, told = CONTENDERS[name], json.loads(settings)
    make(images[:256], seed, told)[0]()  # imports, and what is chosen at the first call
    print("ready", flush=True)
    made: Contender | None = None
    spent, steps = 0.0, 0
    for line in sys.stdin:
        start = time.perf_counter()
        step, reconstruct = made = made or make(images, seed, told)
        begun = time.perf_counter()
        while time.perf_counter() - begun < float(line):
            step()
            steps += 1
        spent += time.perf_counter() - start
        with torch.no_grad():
            parts = torch.split(held_out, 100)
            errors = [float((reconstruct(x) - x).square().mean()) * len(x) for x in parts]
        print(json.dumps([spent, steps, psnr_db(sum(errors) / len(held_out))]), flush=True)


class Racer:
    """One contender's process, and how far it has come."""

    def __init__(self, name: str, folder: Path, seed: int, settings: dict[str, Any]) -> None:
        command = [sys.executable, __file__, "--serve", name, str(folder), str(seed), json.dumps(settings)]
        pipe = subprocess.PIPE
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.name = name
        self.spent, self.steps, self.psnr = 0.0, 0, 0.0
        while self._line() != "ready":  # what a library prints while it loads
            pass

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended early")
        return line.strip()

    def turn(self, seconds: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        line = self._line()
        while not line.startswith("["):
            line = self._line()
        self.spent, self.steps, self.psnr = json.loads(line)
        print(f"{self.name}: {self.spent:.0f} s, step {self.steps}, {self.psnr:.2f} dB", file=sys.stderr, flush=True)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def race(names: list[str], folder: Path, seed: int, arguments: Any, settings: dict[str, Any]) -> dict[str, Racer]:
    """Let the contenders take turns until each has reached the target, or its time is up."""
    racers = {name: Racer(name, folder, seed, settings) for name in names}
    running = list(racers.values())
    while running:
        for each in running:
            each.turn(arguments.turn)
        running = [each for each in running if each.psnr < arguments.target and each.spent < arguments.limit]
    for each in racers.values():
        each.close()
    return racers


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
        return
    built = parser(__doc__)
    built.add_argument("data", nargs="?", help="CIFAR-10 (with --quick not needed: small built-in pictures)")
    built.add_argument("--target", type=float, default=TARGET, help=f"dB (default {TARGET})")
    built.add_argument("--turn", type=float, default=5.0, help="seconds between two judgements (default 5)")
    built.add_argument("--limit", type=float, default=3600.0, help="seconds after which one gives up (default 3600)")
    built.add_argument("--seeds", type=int, default=3, help="races (default 3)")
    built.add_argument("--only", action="append", choices=[*CONTENDERS], help="this contender; again for more")
    built.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of vqkit's (JSON)")
    arguments = built.parse_args()
    settings = dict(VQKIT)
    for each in arguments.set:
        name, _, value = each.partition("=")
        settings[name] = json.loads(value)
    if arguments.quick:
        arguments.turn, arguments.limit, arguments.seeds = min(arguments.turn, 2.0), 4.0, 1
    names = [name for name in arguments.only or CONTENDERS if importlib.util.find_spec(NEEDS[name]) is not None]
    for name in [name for name in arguments.only or CONTENDERS if name not in names]:
        print(f"{name} is not installed and is left out (make bench-deps installs it)", file=sys.stderr)
    with tempfile.TemporaryDirectory() as place:
        _save_images(arguments.data, Path(place))
        races = [race(names, Path(place), seed, arguments, settings) for seed in range(arguments.seeds)]
    report(_figures(names, races, arguments.target), arguments, benchmark="time_to_quality", vqkit=settings)


def _save_images(data: str | None, folder: Path) -> None:
    """The images as two arrays ``[items, 3, 32, 32]`` uint8: to train on, and held out."""
    import numpy as np

    if data is None:
        from train_step import pictures

        images = pictures().numpy()
    else:
        from vqkit import load_source

        source = load_source(data)
        images = np.concatenate([source[at : at + 1000] for at in range(0, len(source), 1000)])
    order = np.random.default_rng(0).permutation(len(images))
    kept = len(images) - len(images) // 10
    np.save(folder / "train.npy", images[order[:kept]])
    np.save(folder / "held_out.npy", images[order[kept:][:JUDGED]])


def _figures(names: list[str], races: list[dict[str, Racer]], target: float) -> list[Figure]:
    """Seconds to the target, and the PSNR at the end; a ratio only where both have reached it in every race."""
    reached = {name: [each[name].spent for each in races if each[name].psnr >= target] for name in names}
    whole = {name: statistics.median(times) for name, times in reached.items() if len(times) == len(races)}
    found = []
    for name in names:
        peers = {other: value for other, value in whole.items() if other != name} if name in whole else {}
        if reached[name]:
            found.append(figure(f"time_to_quality/{target:g}_db/{name}", reached[name], "seconds", peers))
        found.append(figure(f"time_to_quality/last/{name}", [each[name].psnr for each in races], "dB"))
        found.append(figure(f"time_to_quality/steps/{name}", [each[name].steps for each in races], "steps"))
    return found


if __name__ == "__main__":
    main()
