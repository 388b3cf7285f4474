"""Images per second of the whole training step, beside vector-quantize-pytorch and pythae in the same widths.

Sonnet's CIFAR-10 example: 32x32 RGB, 8x8 grid, K = 512, D = 64, hidden 128, two residual blocks of 32, EMA. Every
contender runs in a process of its own, as its users would run it, and they take turns, so that a change of the
machine's speed meets all alike. A step is: take a batch of uint8 images, forward, backward, optimiser; vqkit's also
clips gradients, averages the weights, watches the codebook and restarts dead codes.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from figures import Figure, figure, parser, report

HIDDEN, RESIDUAL, CODES, DIM = 128, 32, 512, 64
IMAGES = 4096
NEEDS = {"vqkit": "vqkit", "vector-quantize-pytorch": "vector_quantize_pytorch", "pythae": "pythae"}


def plain_networks() -> tuple[Any, Any]:
    """The example's encoder and decoder in plain torch, as a user of a layers-only library writes them."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.three = nn.Conv2d(HIDDEN, RESIDUAL, 3, padding=1)
            self.one = nn.Conv2d(RESIDUAL, HIDDEN, 1)

        def forward(self, x: Any) -> Any:
            return x + self.one(self.three(x.relu()).relu())

    encoder = nn.Sequential(
        nn.Conv2d(3, HIDDEN // 2, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(HIDDEN // 2, HIDDEN, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1),
        Residual(),
        Residual(),
        nn.ReLU(),
        nn.Conv2d(HIDDEN, DIM, 1),
    )
    decoder = nn.Sequential(
        nn.Conv2d(DIM, HIDDEN, 3, padding=1),
        Residual(),
        Residual(),
        nn.ReLU(),
        nn.ConvTranspose2d(HIDDEN, HIDDEN // 2, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(HIDDEN // 2, 3, 4, 2, 1),
    )
    return encoder, decoder


def pictures() -> Any:
    """Smooth random images, uint8 ``[IMAGES, 3, 32, 32]``: what they show does not matter for the time."""
    import torch

    generator = torch.Generator().manual_seed(0)
    small = torch.rand(IMAGES, 3, 8, 8, generator=generator)
    return (torch.nn.functional.interpolate(small, size=32, mode="bilinear") * 255).to(torch.uint8)


def batches(images: Any, batch: int) -> Iterator[Any]:
    """Float batches in random order, for the peers."""
    import torch

    while True:
        for rows in torch.randperm(len(images))[: len(images) // batch * batch].split(batch):  # type: ignore[no-untyped-call]
            yield images[rows].float() / 255


def step_of_vqkit(batch: int) -> Callable[[], None]:
    """The step of the real loop, with everything it does."""
    import copy
    import tempfile

    import torch

    from vqkit import VQVAE, TrainConfig, host
    from vqkit.data import ArraySource, Batches
    from vqkit.training.distributed import Processes
    from vqkit.training.evaluators.models import ModelEvaluator
    from vqkit.training.loop import Loop
    from vqkit.training.record.run import Run

    host.keep_freed_memory()
    source = ArraySource(pictures().numpy(), name="benchmark")
    model = VQVAE.for_source(source, CODES, code_dim=DIM, hidden_channels=HIDDEN, residual_channels=RESIDUAL)
    config = TrainConfig(steps=10**6, batch_size=batch)
    feed = Batches(source, batch)
    model.prepare([feed.batch(0)])
    folder = Path(tempfile.mkdtemp())
    judge = ModelEvaluator(source, 64, 64, None)
    processes = Processes(0, 1, torch.device("cpu"))
    loop = Loop(model, copy.deepcopy(model), feed, config, processes, judge, Run(folder, False, 0))
    return loop.one_step


def step_of_vector_quantize_pytorch(batch: int) -> Callable[[], None]:
    import torch
    from vector_quantize_pytorch import VectorQuantize

    encoder, decoder = plain_networks()
    quantizer = VectorQuantize(
        dim=DIM, codebook_size=CODES, decay=0.99, commitment_weight=0.25, accept_image_fmap=True, kmeans_init=True
    )
    modules = torch.nn.ModuleList([encoder, quantizer, decoder]).train()
    optimizer = torch.optim.Adam(modules.parameters(), lr=3e-4)
    feed = batches(pictures(), batch)

    def step() -> None:
        x = next(feed)
        quantized, _, commitment = quantizer(encoder(x))
        loss = torch.nn.functional.mse_loss(decoder(quantized), x) / 0.06 + commitment.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def step_of_pythae(batch: int) -> Callable[[], None]:
    import torch
    from pythae.models import VQVAE, VQVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

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

    config = VQVAEConfig(input_dim=(3, 32, 32), latent_dim=DIM, num_embeddings=CODES, use_ema=True, decay=0.99)
    model = VQVAE(config, encoder=Encoder(), decoder=Decoder()).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    feed = batches(pictures(), batch)

    def step() -> None:
        loss = model({"data": next(feed)}).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


STEPS = {"vqkit": step_of_vqkit, "vector-quantize-pytorch": step_of_vector_quantize_pytorch, "pythae": step_of_pythae}


def serve(contender: str, batch: int, steps: int) -> None:
    """A contender's process: warm up, then time ``steps`` steps for every line on standard input."""
    step = STEPS[contender](batch)
    for _ in range(3):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        print(time.perf_counter() - start, flush=True)


def measure(batch: int, steps: int, rounds: int) -> list[Figure]:
    """Images per second of each contender, in turns; vqkit first."""
    present = [name for name in STEPS if importlib.util.find_spec(NEEDS[name]) is not None]
    for name in STEPS.keys() - set(present):
        print(f"{name} is not installed and is left out (make bench-deps installs it)", file=sys.stderr)
    processes = {}
    for name in present:
        command = [sys.executable, __file__, "--serve", name, str(batch), str(steps)]
        processes[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = _answer(processes[name])
        while ready != "ready":  # what a library prints while it loads
            ready = _answer(processes[name])
    samples: dict[str, list[float]] = {name: [] for name in present}
    for _ in range(rounds):
        for name, process in processes.items():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            samples[name].append(batch * steps / float(_answer(process)))
    for process in processes.values():
        process.communicate()
    medians = {name: figure(name, values, "").value for name, values in samples.items()}
    peers = {name: value for name, value in medians.items() if name != "vqkit"}
    return [
        figure(f"train_step/batch={batch}/{name}", values, "images/s", peers if name == "vqkit" else None)
        for name, values in samples.items()
    ]


def measure_pipeline(batch: int, rounds: int, images_per_second: float) -> Figure:
    """What taking a batch costs, as a part of the whole step."""
    from vqkit.data import ArraySource, Batches

    feed = Batches(ArraySource(pictures().numpy(), name="benchmark"), batch, flip=True)
    shares = []
    for step in range(rounds * 10):
        start = time.perf_counter()
        feed.batch(step)
        shares.append(100 * (time.perf_counter() - start) * images_per_second / batch)
    return figure(f"input_pipeline/batch={batch}/share_of_step", shares, "%")


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"a contender ended early: {process.args!r}")
    return line.strip()


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    arguments = parser(__doc__).parse_args()
    figures: list[Figure] = []
    for batch in (32,) if arguments.quick else (32, 128):
        steps, rounds = (5, 3) if arguments.quick else (20 if batch == 32 else 6, 9)
        found = measure(batch, steps, rounds)
        figures += [*found, measure_pipeline(batch, rounds, found[0].value)]
    report(figures, arguments, benchmark="train_step")


if __name__ == "__main__":
    main()
