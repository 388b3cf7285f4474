"""How long the lab's ladder takes to decode a dragged point: each rung, one point at a time, one thread.

    python benchmarks/lab_ladder.py [FOLDER]

FOLDER is one that ``vqkit demo`` or ``vqkit compare`` made; without it the lab's own ladder is taken, which is trained
first where it is not in the cache folder.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import torch

from vqkit.lab.acts.comparison import picture
from vqkit.lab.acts.ladder.ladders import Training, is_trained, open_ladder, own_place
from vqkit.lab.widgets.token_grid import data_uri

_POINTS = 200


def main() -> None:
    """Print a line for each rung."""
    torch.set_num_threads(1)
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else own_place()
    if place == own_place() and not is_trained(place):
        start = time.perf_counter()
        training = Training(place)
        training.start()
        while training.running:
            time.sleep(0.1)
        print(f"trained in {time.perf_counter() - start:.1f} s: {place}")
    ladder = open_ladder(place)
    print(f"{'rung':<12} {'median ms':>10} {'95 % ms':>9}   of {_POINTS} points, decoded and encoded as PNG")
    for rung in ladder.rungs.values():
        left, bottom, right, top = rung.plane.box((0, 1))
        taken = []
        for number in range(_POINTS):
            part = number / _POINTS
            start = time.perf_counter()
            point = rung.plane.decode(left + part * (right - left), bottom + part * (top - bottom), (0, 1), item=0)
            data_uri(picture(point.signal.numpy()))
            taken.append(1000 * (time.perf_counter() - start))
        print(f"{rung.title:<12} {statistics.median(taken):>10.2f} {sorted(taken)[int(0.95 * _POINTS)]:>9.2f}")


if __name__ == "__main__":
    main()
