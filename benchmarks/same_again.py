"""One seed, many runs: the command line and Python train the same model again and again; are all weights the same?

``python benchmarks/same_again.py`` prints a digest a run, and ends with 1 where there is more than one.
"""

from __future__ import annotations

import argparse
import collections
import subprocess
import sys
import tempfile
from pathlib import Path

_SCRIPT = """
import sys, vqkit
out, data, seed, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
model = vqkit.VQVAE.for_source(data, 64, hidden_channels=16, seed=seed)
vqkit.train(model, data, out=out, seed=seed, steps=steps, quiet=True, tensorboard=False)
"""


def main() -> int:
    """Train, print the digests, and return 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--runs", type=int, default=10, help="half of them from Python")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    from vqkit import load_model
    from vqkit.pretrained.folder import content_hash

    found: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.runs):
            out, by = str(Path(folder) / str(number)), ("command", "python")[number % 2]
            words = [given.data, "-k", "64", "--hidden-channels", "16", "--steps", str(given.steps)]
            words += ["--seed", str(given.seed), "--no-tensorboard", "--out", out]
            script = [_SCRIPT, out, given.data, str(given.seed), str(given.steps)]
            command = ["-m", "vqkit", "train", *words] if by == "command" else ["-c", *script]
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            digest = content_hash(load_model(out))
            found[digest] += 1
            print(f"run {number + 1:>3}, {by}: {digest}", flush=True)
    print(f"{given.runs} runs of seed {given.seed}: {len(found)} digest{'s' * (len(found) != 1)}")
    return int(len(found) != 1)


if __name__ == "__main__":
    raise SystemExit(main())
