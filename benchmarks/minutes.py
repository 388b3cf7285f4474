"""Whether minutes are minutes: the recipe of docs/compressing.md with a budget, on a machine that has other work too.

DATA is a folder of photographs, or one with train/ and val/ in it. One core is kept busy all the time. A tokenizer is
trained for ``--minutes``, then a context prior with six rate weights. For each: the share of the time from the first
step to the end of the command that was spent in training steps, and by how much the end missed what was announced.
Then both commands are started again and again and sent SIGINT or SIGTERM at random moments, from the start of the
process on: how long they take to end, and whether what they leave can be gone on with.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Figure, figure, parser, report

TOKENIZER = (
    "--crop 96 --batch-size 8 --lr 8e-4 --codebook-size 512 --hidden-channels 192 --threads 1 --set downsampling=8 "
    "--set num_codebooks=8 --set stacking=residual --set quantizer_dropout=0.5 --set linear_path=true "
    "--set rate_weight=0.4 --set restart_below=0.02 --set flip=true --set residual_blocks=3 --set residual_channels=96 "
    "--set widths=[48,96,192]"
)
PRIOR = "--kind context --crop 192 --batch-size 16 --lr 5e-3 --threads 1 --rate-weights 0.1,0.2,0.4,0.8,1.6,3.2"
ANNOUNCED = "from now to the end"


@dataclass
class Ended:
    """A command that ran to its end: the seconds before its first step, and from there."""

    before: float
    after: float
    shares: dict[str, float]


def vqkit(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vqkit.cli.main", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # a shell's background jobs ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def to_the_end(run: Path, *words: str) -> Ended:
    start = time.monotonic()
    process = vqkit(*words)
    assert process.stderr is not None
    announced = None
    said = []
    for line in process.stderr:
        said.append(line)
        if ANNOUNCED in line and announced is None:
            announced = time.monotonic()
    if process.wait() or announced is None:
        raise SystemExit(f"{' '.join(words)} failed: {''.join(said)}")
    print("".join(said[-3:]), end="", flush=True)
    (shares,) = (line for line in lines_of(run) if line["kind"] == "time")
    return Ended(announced - start, time.monotonic() - announced, shares)


def stopped(number: signal.Signals, moment: float, *words: str) -> float | None:
    """Seconds that a command takes to end after a signal; None when it was done before."""
    process = vqkit(*words)
    try:
        process.communicate(timeout=moment)
        return None
    except subprocess.TimeoutExpired:
        sent = time.monotonic()
        process.send_signal(number)
    try:
        process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return time.monotonic() - sent


def goes_on(run: Path) -> bool:
    """Whether a run is not begun, finished, or has a checkpoint to go on from."""
    from vqkit.training.checkpoints import checkpoint

    if not (run / "run.json").is_file() or (run / "model" / "config.json").is_file():
        return True
    return checkpoint.latest(run / "checkpoints")[0] is not None


def main() -> None:
    options = parser(__doc__)
    options.add_argument("data", type=Path, help="a folder of photographs")
    options.add_argument("--minutes", type=float, default=5.0, help="of each of the two (default 5)")
    options.add_argument("--crops", type=int, default=6000, help="that the prior learns from (default 6000)")
    options.add_argument("--signals", type=int, default=20, help="random moments (default 20)")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = options.parse_args()
    minutes, crops, count = arguments.minutes, arguments.crops, arguments.signals
    if arguments.quick:
        minutes, crops, count = min(minutes, 0.5), 60, 6
    data: Path = arguments.data
    source = [str(data)]
    if (data / "train").is_dir() and (data / "val").is_dir():
        source = [str(data / "train"), "--validation", str(data / "val")]
    folder = Path(tempfile.mkdtemp(prefix="minutes_"))
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    figures: list[Figure] = []
    try:
        model = folder / "model"
        train = ["train", *source, "--no-tensorboard", *TOKENIZER.split()]
        prior = ["prior", str(model), *PRIOR.split()]
        ended = {
            "train": to_the_end(model, *train, "--minutes", str(minutes), "--out", str(model)),
            "prior": to_the_end(
                folder / "prior" / "run",
                *[*prior, "--crops", str(crops), "--minutes", str(minutes), "--out", str(folder / "prior")],
            ),
        }
        for name, each in ended.items():
            share, missed = each.shares["step_seconds"] / each.after, each.after - 60 * minutes
            watched = each.shares["watching_seconds"] / each.after
            figures += [
                figure(f"minutes/{name}/share_in_steps", [share], "of the time"),
                figure(f"minutes/{name}/share_watching", [watched], "of the time"),
                figure(f"minutes/{name}/end_missed_by", [missed], "seconds"),
                figure(f"minutes/{name}/seconds_before_the_first_step", [each.before], "seconds"),
            ]
        chance = random.Random(arguments.seed)
        took: dict[str, list[float]] = {"SIGINT": [], "SIGTERM": []}
        lost = done = 0
        few = min(minutes, 0.3)
        for number in range(count):
            out = folder / f"stopped-{number}"
            words = train if number % 2 == 0 else [*prior, "--crops", str(min(crops, 60))]
            whole = 60 * few + min(ended["train" if number % 2 == 0 else "prior"].before, 40.0)
            kind = signal.SIGINT if number // 2 % 2 == 0 else signal.SIGTERM
            moment = chance.uniform(0.3, whole)
            seconds = stopped(kind, moment, *words, "--minutes", str(few), "--out", str(out))
            print(f"{words[0]}, {kind.name} after {moment:.1f} s: ", end="")
            print("done before" if seconds is None else f"{seconds:.2f} s", flush=True)
            done += seconds is None
            if seconds is not None:
                took[kind.name].append(seconds)
            lost += not goes_on(out if words is train else out / "run")
            shutil.rmtree(out, ignore_errors=True)
        figures += [figure(f"minutes/obeyed/{name}", each, "seconds") for name, each in took.items() if each]
        figures += [
            figure("minutes/obeyed/slowest", [max(each for every in took.values() for each in every)], "seconds"),
            Figure("minutes/obeyed/done_before", done, "of the signals", done, done),
            Figure("minutes/obeyed/runs_that_do_not_go_on", lost, "runs", lost, lost),
        ]
    finally:
        busy.kill()
        shutil.rmtree(folder, ignore_errors=True)
    report(figures, arguments, benchmark="minutes", minutes=minutes)


if __name__ == "__main__":
    main()
