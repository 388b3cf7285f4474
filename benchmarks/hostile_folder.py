"""Train on a folder of 10,000 good images, 5 truncated ones, text named .png, a 1x1 image and an animated GIF.

Prints what vqkit says that it skipped; fails unless exactly the unusable files were skipped and training finished.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from figures import Figure, parser, report


def fill(folder: Path, good: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(good):
        small = Image.fromarray(rng.integers(0, 256, size=(4, 4, 3), dtype=np.uint8))
        picture = small.resize((32, 32), Image.Resampling.BICUBIC)
        part = folder / f"class-{number % 10}"
        part.mkdir(exist_ok=True)
        picture.save(part / f"{number:05d}.{'jpg' if number % 2 else 'png'}")
    for number in range(5):
        whole = (folder / "class-1" / f"{number * 10 + 1:05d}.jpg").read_bytes()
        (folder / "class-0" / f"truncated-{number}.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "class-0" / "text.png").write_text("this is not an image")
    Image.new("RGB", (1, 1), (200, 10, 10)).save(folder / "class-0" / "tiny.png")
    frames = [Image.new("RGB", (32, 32), (shade, 80, 255 - shade)) for shade in (10, 120, 240)]
    frames[0].save(folder / "class-0" / "animated.gif", save_all=True, append_images=frames[1:], duration=50)


def main() -> None:
    arguments = parser(__doc__).parse_args()
    good, steps = (500, 20) if arguments.quick else (10_000, 200)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        folder.mkdir()
        fill(folder, good)
        command = [sys.executable, "-m", "vqkit.cli.main", "train", str(folder), "--steps", str(steps)]
        command += ["--out", str(Path(temporary) / "run"), "--hidden-channels", "32", "--no-tensorboard"]
        start = time.perf_counter()
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        finished = (Path(temporary) / "run" / "model" / "model.safetensors").is_file()
    said = [line for line in ended.stderr.splitlines() if "skipped" in line or "note:" in line]
    print("\n".join(said))
    skipped = sum(line.startswith("  skipped ") for line in said)
    figures = [
        Figure("hostile_folder/skipped", skipped, "files", skipped, skipped),
        Figure("hostile_folder/load_and_train", seconds, "s", seconds, seconds),
    ]
    report(figures, arguments, benchmark="hostile_folder")
    if ended.returncode or not finished or skipped != 7:
        raise SystemExit(f"expected 7 skipped files and a finished run: {ended.stderr[-500:]}")


if __name__ == "__main__":
    main()
