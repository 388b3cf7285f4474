"""Kill a training run at random moments with SIGKILL, resume it each time, compare the weights bit for bit.

Checkpoints are written as often as possible, so that many kills hit the middle of a write. ``--kills`` runs of one
model; each is killed once or more and then resumed to its end. On the same machine with the same thread count every
final model must equal the undisturbed one.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, parser, report

OPTIONS = "--codebook-size 64 --downsampling 2 --hidden-channels 32 --residual-channels 16 --code-dim 8 --threads 1"


def command(*arguments: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "vqkit.cli.main",
        "train",
        *arguments,
        "--checkpoint-seconds",
        "0",
        "--no-tensorboard",
    ]


def model_bytes(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=20, help="runs to kill (default 20)")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = options.parse_args()
    count, steps = (3, 60) if arguments.quick else (arguments.kills, 200)
    folder = Path(tempfile.mkdtemp(prefix="kill_resume_"))
    start = ["digits", "--steps", str(steps), *OPTIONS.split()]
    began = time.monotonic()
    subprocess.run(command(*start, "--out", str(folder / "whole")), check=True, capture_output=True)
    whole_seconds = time.monotonic() - began
    expected = model_bytes(folder / "whole")
    chance = random.Random(arguments.seed)
    kills, different, half_written = 0, 0, 0
    for number in range(count):
        run = folder / f"run-{number:03d}"
        attempt = command(*start, "--out", str(run))
        while True:
            process = subprocess.Popen(attempt, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                process.wait(timeout=chance.uniform(0.2, 1.0) * whole_seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            _, errors = process.communicate()
            half_written += b"damaged" in errors
            if process.returncode == 0:
                break
            if process.returncode != -signal.SIGKILL:
                raise SystemExit(f"a resumed run failed: {errors.decode()}")
            if (run / "run.json").exists():  # else it was killed before it began: start it again
                attempt = command("--resume", str(run), "--threads", "1")
        different += model_bytes(run) != expected
    shutil.rmtree(folder)
    figures = [
        Figure("kill_resume/kills", kills, "kills", kills, kills),
        Figure("kill_resume/runs", count, "runs", count, count),
        Figure("kill_resume/runs_that_differ", different, "runs", different, different),
        Figure("kill_resume/half_written_checkpoints_met", half_written, "checkpoints", half_written, half_written),
    ]
    report(figures, arguments, benchmark="kill_resume")
    if different or half_written:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
