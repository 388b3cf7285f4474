"""Two processes encode into one folder, again and again with random delays: never a set of half one, half the other.

Each has a model of its own and, in every other try, data of its own. One of them must be refused and told who the other
is, or come after it and find a complete set; what lies in the folder in the end must be the tokens of the model and the
data that it names, item by item.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

import numpy as np
import torch

import vqkit
from figures import Figure, parser, report
from vqkit.pretrained.folder import content_hash
from vqkit.tokens import load_tokens, tokenize

SHARD_ITEMS = 100


def write_parts(folder: Path, items: int) -> None:
    """Two models and two arrays."""
    for number in range(2):
        torch.manual_seed(number)
        model = vqkit.VQVAE(16, channels=1, hidden_channels=8, code_dim=8, residual_channels=4)
        pixels = np.random.default_rng(number).integers(0, 256, (items, 1, 8, 8), dtype=np.uint8)
        model.prepare([torch.from_numpy(pixels[:64]).float() / 255])
        model.save_pretrained(folder / f"model{number}")
        np.save(folder / f"data{number}.npy", pixels)


def work(folder: Path, number: int) -> None:
    """Encode whenever a line says so: the number of the array, the folder, the delay; answer with what came of it."""
    torch.set_num_threads(1)
    model = vqkit.VQVAE.from_pretrained(folder / f"model{number}")
    print("ready", flush=True)
    for line in sys.stdin:
        data, out, delay = json.loads(line)
        time.sleep(delay)
        try:
            tokens = tokenize(
                model, str(folder / f"data{data}.npy"), out, shard_items=SHARD_ITEMS, batch_size=SHARD_ITEMS
            )
            print(json.dumps(["done", len(tokens)]), flush=True)
        except vqkit.VqkitError as error:
            print(json.dumps(["refused", str(error)]), flush=True)


def talk(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tries", type=int, default=50, help="how often (default 50)")
    options.add_argument("--seed", type=int, default=0, help="of the delays")
    options.add_argument("--worker", nargs=2, metavar=("FOLDER", "NUMBER"), help="be one of the two")
    arguments = options.parse_args()
    if arguments.worker:
        work(Path(arguments.worker[0]), int(arguments.worker[1]))
        return
    tries, items = (5, 1000) if arguments.quick else (arguments.tries, 4000)
    folder = Path(tempfile.mkdtemp(prefix="two_writers_"))
    write_parts(folder, items)
    models = [vqkit.VQVAE.from_pretrained(folder / f"model{number}") for number in range(2)]
    began = time.monotonic()
    want = {
        (number, data): np.stack(list(tokenize(model, str(folder / f"data{data}.npy"), folder / f"want{number}{data}")))
        for number, model in enumerate(models)
        for data in range(2)
    }
    seconds = (time.monotonic() - began) / 4
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, "--worker", str(folder), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for worker in workers:
        talk(worker.stdout).readline()
    chance = random.Random(arguments.seed)
    refused, told, mixed, broken = 0, 0, 0, 0
    for number in range(tries):
        out = folder / f"t{number:03d}"
        data = [number % 2 * own for own in range(2)]
        for own, worker in enumerate(workers):
            delay = chance.uniform(0, seconds) if chance.random() < 0.7 else 0.0
            talk(worker.stdin).write(json.dumps([data[own], str(out), delay]) + "\n")
            talk(worker.stdin).flush()
        answers = [json.loads(talk(worker.stdout).readline()) for worker in workers]
        refused += sum(answer[0] == "refused" for answer in answers)
        told += sum(
            answer[0] == "refused" and f"process {workers[1 - own].pid}" in answer[1]
            for own, answer in enumerate(answers)
        )
        broken += sum(answer[0] == "done" for answer in answers) != 1
        tokens = load_tokens(out)
        owner = [content_hash(model) for model in models].index(tokens.manifest["model_sha256"])
        mixed += not np.array_equal(np.stack(list(tokens)), want[owner, data[owner]])
        shutil.rmtree(out)
    for worker in workers:
        talk(worker.stdin).close()
        worker.wait()
    shutil.rmtree(folder)
    figures = [
        Figure("two_writers/tries", tries, "tries", tries, tries),
        Figure("two_writers/refused", refused, "processes", refused, refused),
        Figure("two_writers/refused_while_the_other_wrote", told, "processes", told, told),
        Figure("two_writers/mixed_sets", mixed, "sets", mixed, mixed),
        Figure("two_writers/not_one_winner", broken, "tries", broken, broken),
    ]
    report(figures, arguments, benchmark="two_writers")
    if mixed or broken:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
