"""Everything of vqkit that a GPU does, on one card in under eight minutes: is it right, and how far from the bound.

    python benchmarks/gpu_check.py --json gpu.json

Right: indices of every quantizer on the card beside the processor's; frequencies of the context prior, which may not
differ in one integer. Fast: training steps of images, sound and an adversary, in float32 and bfloat16, compiled and not
(``vqkit.train``, the last lines of its log), beside the floating-point operations of a step at the rate of a large
product; tokens a second of a transformer prior beside reading its weights once a position; ``nearest_gpu.py``. A part
that fails is told, and the next one runs. ``--device cpu --quick`` shows that the script is sound where there is no
card.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import vqkit
from exactness import made
from figures import Figure, figure, parser, report
from vqkit.priors import TransformerPrior
from vqkit.quantizers import QUANTIZERS, build_quantizer

WARM, DIM = 20, 16


def seconds(call: Callable[[], object], device: torch.device, rounds: int) -> list[float]:
    """Of each of some calls, after one that warms up."""

    def once() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    return [once() for _ in range(rounds)]


def bounds(device: torch.device, quick: bool) -> dict[str, float]:
    """FLOP/s of a large product in each precision, bytes a second of a copy."""
    side = 512 if quick else 8192
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        found[name] = 2 * side**3 / min(seconds(lambda: a @ b, device, 5))  # noqa: B023
    block = torch.empty(2**22 if quick else 2**30, dtype=torch.uint8, device=device)
    found["bytes"] = 2 * len(block) / min(seconds(block.clone, device, 5))
    return found


def quantizers(device: torch.device) -> list[Figure]:
    """Indices that differ between the card and the processor, in all kinds: near ties may."""
    differ = total = 0
    for kind in QUANTIZERS:
        torch.manual_seed(0)
        here = build_quantizer(kind, 256, DIM).train()
        latents = torch.randn(256, DIM, 20)
        here(latents)
        there = build_quantizer(kind, 256, DIM)
        there.load_state_dict(here.state_dict())
        expected, found = here.eval().encode(latents), there.to(device).eval().encode(latents.to(device)).cpu()
        differ, total = differ + int((expected != found).sum()), total + expected.numel()
    return [figure(f"indices of {len(QUANTIZERS)} quantizers that differ, of {total:,}", [differ], "")]


def exact(device: torch.device, quick: bool) -> list[Figure]:
    """Frequencies of the context prior that differ (none may), and how fast they are."""
    here, there = made(None, 512, 8), made(None, 512, 8).to(device)
    grids = torch.randint(512, (4 if quick else 256, 8, 8, 1), generator=torch.Generator().manual_seed(0))
    moved, differ, count = grids.to(device), 0, 0
    for step in here.steps((8, 8)):
        expected, found = here.frequencies(grids, step), there.frequencies(moved, step).cpu()
        differ, count = differ + int((expected != found).sum()), count + expected.numel()
    every = there.steps((8, 8))
    times = seconds(lambda: [there.frequencies(moved, step) for step in every], device, 3)
    return [
        figure(f"frequencies that differ, of {count:,}", [differ], ""),
        figure("context prior, grids of 8x8", [len(grids) / each for each in times], "grids/s"),
    ]


def cases(quick: bool) -> dict[str, tuple[Any, dict[str, Any], dict[str, Any]]]:
    """Data, options of the model, settings of the training."""
    draw = np.random.default_rng(0)
    width = 16 if quick else 128
    images = vqkit.load_source(draw.integers(0, 256, (64 if quick else 4096, 32, 32, 3), np.uint8))
    waves = draw.normal(0, 0.1, (16 if quick else 256, 1, 16_000)).astype(np.float32)
    sound = vqkit.load_source(waves, kind="sound@16000")
    plain: dict[str, Any] = {"hidden_channels": width, "codebook_size": 64 if quick else 512}
    deep = {**plain, "downsampling": 64, "num_codebooks": 4, "stacking": "residual"}
    batch = 8 if quick else 256
    return {
        "images": (images, plain, {"batch_size": batch}),
        "sound": (sound, deep, {"batch_size": max(4, batch // 8)}),
        "adversary": (images, plain, {"batch_size": batch, "objective": "likelihood + 0.05*adversarial"}),
    }


def operations(source: Any, options: dict[str, Any], batch: int, objective: str) -> float:
    """Floating-point operations of a training step of the model, forward and backward."""
    model = vqkit.VQVAE.for_source(source, seed=0, **options).train()
    model.use_objective(objective)
    x = model.read_signals(source.gather(range(min(batch, len(source)))))
    model.prepare([x])
    with FlopCounterMode(display=False) as counted:
        output: Any = model(x)
        output.loss.backward()
    return float(counted.get_total_flops()) * batch / len(x)


def steps(device: torch.device, quick: bool, limit: dict[str, float], left: Callable[[], float]) -> list[Figure]:
    """Signals a second of the training step, beside its operations at the rate of a large product."""
    found = []
    for name, (source, options, settings) in cases(quick).items():
        objective = settings.get("objective", "likelihood")
        work = operations(source, options, settings["batch_size"], objective)
        for precision in ("float32", "bfloat16"):
            for compiled in (False, True):
                if left() < 40 or (compiled and quick):
                    continue
                model = vqkit.VQVAE.for_source(source, seed=0, **options)
                count = 6 if quick else 120
                with tempfile.TemporaryDirectory() as folder:
                    run = vqkit.train(
                        model, source, out=f"{folder}/run", device=str(device), precision=precision, compile=compiled,
                        steps=count, log_every=2 if quick else WARM, evaluations=0, evaluation_items=8,
                        tensorboard=False, quiet=True, **settings,
                    )  # fmt: skip
                    rates = [line["signals_per_second"] for line in run.log() if line["kind"] == "train"][1:]
                bound = settings["batch_size"] / (work / limit[precision])
                title = f"{name} {precision}{' compiled' if compiled else ''}"
                found.append(figure(title, rates, "signals/s", {"the bound of products": bound}))
    return found


def sampling(device: torch.device, quick: bool, limit: dict[str, float]) -> list[Figure]:
    """Tokens a second of a transformer, beside reading its weights once a position."""
    width, side = (32, 4) if quick else (512, 16)
    prior = TransformerPrior(512, [side, side], hidden_channels=width, layers=2 if quick else 8).to(device).eval()
    weights = sum(each.numel() * each.element_size() for each in prior.parameters())
    found = []
    for count in (1, 4 if quick else 64):
        times = seconds(lambda: prior.sample(count), device, 1 if quick else 3)  # noqa: B023
        bound = count * limit["bytes"] / weights
        rates = [count * side**2 / each for each in times]
        found.append(figure(f"transformer, {count} at once", rates, "tokens/s", {"the bound of memory": bound}))
    return found


def search(quick: bool) -> list[Figure]:
    """Run ``nearest_gpu.py``, which prints its own figures."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("nearest_gpu.py")), *(["--quick"] if quick else [])],
        check=False, timeout=150,
    )  # fmt: skip
    return [figure("nearest_gpu.py, status", [done.returncode], "")]


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--device", default="cuda")
    options.add_argument("--seconds", type=float, default=460.0, help="no part begins after them (default: 460)")
    given = options.parse_args()
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(
            "this check needs an NVIDIA GPU, and there is none (--device cpu --quick tries the script)", file=sys.stderr
        )
        return 2
    began = time.perf_counter()

    def left() -> float:
        return float(given.seconds) - (time.perf_counter() - began)

    limit = bounds(device, given.quick)
    figures = [
        figure("product float32", [limit["float32"] / 1e12], "TFLOP/s"),
        figure("product bfloat16", [limit["bfloat16"] / 1e12], "TFLOP/s"),
        figure("copy", [limit["bytes"] / 1e9], "GB/s"),
    ]
    parts: dict[str, Callable[[], list[Figure]]] = {
        "exact": lambda: exact(device, given.quick),
        "quantizers": lambda: quantizers(device),
        "sampling": lambda: sampling(device, given.quick, limit),
        "search": lambda: search(given.quick) if device.type == "cuda" else [],
        "steps": lambda: steps(device, given.quick, limit, left),
    }
    failed = []
    for name, part in parts.items():
        if left() <= 0:
            print(f"{name}: no time left", file=sys.stderr)
            continue
        try:
            found = part()
        except Exception:  # noqa: BLE001  (whatever it is: the other parts are to run)
            traceback.print_exc()
            failed.append(name)
            continue
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        figures += found
    report(figures, given, device=str(device), failed=failed, seconds=time.perf_counter() - began)
    wrong = any("differ" in each.name and "frequencies" in each.name and each.value for each in figures)
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
