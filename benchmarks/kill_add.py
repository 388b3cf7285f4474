"""Kill the real ``vqkit add`` with SIGKILL at random moments: the archive is as before or has all that came.

Half of the moments are any while the command adds, half lie where the file has begun to grow, which is where a commit
could be cut in two. An addition that was killed is started again and goes on; in the end the archive has the bytes of
one that nobody killed. Then two processes add to one archive at once, a disk of too little room is made of a limit on
the length of files, and Ctrl-C (SIGINT) is pressed at random moments.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import vqkit
from figures import Figure, parser, report
from vqkit.codec.archive.verifying import verify_file
from vqkit.codec.inspect import Item, inspect_file

BATCH = 40


def command(folder: Path, archive: Path, batch: int) -> list[str]:
    words = ["add", str(archive), str(folder / f"batch{batch}"), "--model", str(folder / "model"), "--threads", "1"]
    return [sys.executable, "-m", "vqkit", *words]


def begun(folder: Path, archive: Path, batch: int) -> subprocess.Popen[str]:
    """A command that has come as far as its work."""
    work = archive.parent / f".{archive.name}.work"
    before = work.stat().st_mtime_ns if work.exists() else 0
    process = subprocess.Popen(
        command(folder, archive, batch), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and (work.stat().st_mtime_ns if work.exists() else 0) == before:
        time.sleep(0.001)
    return process


def names(archive: Path) -> list[str]:
    """The names in an archive whose every checksum holds."""
    if not archive.exists():
        return []
    with archive.open("rb") as file:
        found = verify_file(file)
    if not found.whole:
        raise SystemExit(f"{archive} is damaged: {found.notes} {found.damaged}")
    items: list[Item] = []
    with archive.open("rb") as file:
        inspect_file(file, items=items)
    return [str(item.name) for item in items]


def state(archive: Path, before: list[str], batch: int) -> str:
    """``before``, ``after`` or ``else``."""
    own = [f"batch{batch}-{number:03d}.png" for number in range(BATCH)]
    now = names(archive)
    return "before" if now == before else "after" if now == before + own else "else"


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=20, help="how often it is killed (default 20)")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = options.parse_args()
    kills, pairs, stops = (2, 1, 1) if arguments.quick else (arguments.kills, 4, 4)
    folder = Path(tempfile.mkdtemp(prefix="kill_add_", dir=Path.cwd()))
    torch.manual_seed(0)
    model = vqkit.VQVAE(64, hidden_channels=32, code_dim=8, residual_channels=16)
    pixels = np.random.default_rng(0).integers(
        0, 256, ((kills + 1 + 2 * pairs + stops) * BATCH, 64, 64, 3), dtype=np.uint8
    )
    model.prepare([torch.from_numpy(pixels[:64]).permute(0, 3, 1, 2).float() / 255])
    model.save_pretrained(folder / "model")
    for number, image in enumerate(pixels):
        batch, own = divmod(number, BATCH)
        (folder / f"batch{batch}").mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"batch{batch}" / f"batch{batch}-{own:03d}.png")
    archive, alone = folder / "all.vqk", folder / "alone.vqk"
    process = begun(folder, alone, 0)
    start = time.monotonic()
    process.communicate()
    seconds, length = time.monotonic() - start, alone.stat().st_size
    chance, batch, counts = random.Random(arguments.seed), 0, {"before": 0, "after": 0, "else": 0}
    done, ended = 0, 0
    while done < kills:
        before = names(archive)
        size = archive.stat().st_size if archive.exists() else 0
        process = begun(folder, archive, batch)
        if done % 2:  # where it grows
            while process.poll() is None and (archive.stat().st_size if archive.exists() else 0) == size:
                time.sleep(0.0005)
            time.sleep(chance.uniform(0, 0.03))
        else:
            time.sleep(chance.uniform(0, seconds))
        ended += process.poll() is not None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = state(archive, before, batch)
        counts[found] += 1
        done += 1
        print(f"kill {done}: {found}, {len(names(archive))} items", flush=True)
        batch += found == "after"
    subprocess.run(command(folder, archive, batch), check=True, capture_output=True)
    batch += 1
    for number in range(1, batch):
        own = range(number * BATCH, (number + 1) * BATCH)
        given = [f"batch{number}-{each - own[0]:03d}.png" for each in own]
        vqkit.open_archive(alone, folder / "model").add([pixels[each] for each in own], given)
    different = int(archive.read_bytes() != alone.read_bytes())
    both = lost = lines = 0
    for batch in range(kills + 1, kills + 1 + 2 * pairs, 2):
        before = set(names(archive))
        two = [
            subprocess.Popen(command(folder, archive, batch + own), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             text=True) for own in (0, 1)
        ]  # fmt: skip
        said = [each.communicate()[1] for each in two]
        now = set(names(archive))
        both += all(each.returncode == 0 for each in two)
        for own, (each, words) in enumerate(zip(two, said, strict=True)):
            mine = {f"batch{batch + own}-{number:03d}.png" for number in range(BATCH)}
            errors = [line for line in words.splitlines() if line.startswith("vqkit:")]
            lines += each.returncode == 2 and len(errors) == 1
            fine = mine <= now if each.returncode == 0 else each.returncode == 2 and len(errors) == 1
            lost += not fine or not before <= now
            print(f"two at once: status {each.returncode} {errors}", flush=True)
        for own in (0, 1):
            subprocess.run(command(folder, archive, batch + own), check=True, capture_output=True)
    full, last = 0, kills + 1 + 2 * pairs
    for room in (0, length // 2):
        kept = archive.read_bytes()
        limit = archive.stat().st_size + room
        short = subprocess.run(
            command(folder, archive, last), capture_output=True, text=True, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),  # noqa: B023
        )  # fmt: skip
        print(f"no room: status {short.returncode} {short.stderr.splitlines()[-1:]}", flush=True)
        one = [line for line in short.stderr.splitlines() if line.startswith("vqkit:")]
        full += short.returncode != 2 or len(one) != 1 or archive.read_bytes() != kept
    pressed = {"before": 0, "after": 0, "else": 0}
    loud = 0
    for number in range(stops):
        before = names(archive)
        process = begun(folder, archive, last + number)
        time.sleep(chance.uniform(0, seconds))
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
        pressed[state(archive, before, last + number)] += 1
        loud += "Traceback" in said or process.returncode not in (0, 130)
        print(f"Ctrl-C: status {process.returncode} {said.splitlines()[-1:]}", flush=True)
    shutil.rmtree(folder)
    wrong = counts["else"] + different + lost + full + pressed["else"] + loud
    figures = [
        Figure(f"kill_add/{name}", value, unit, value, value)
        for name, value, unit in (
            ("kills", done, "kills"),
            ("as_before", counts["before"], "kills"),
            ("all_in", counts["after"], "kills"),
            ("else", counts["else"], "kills"),
            ("ended_before_the_kill", ended, "kills"),
            ("archives_that_differ_in_the_end", different, "archives"),
            ("two_at_once/both_in", both, "pairs"),
            ("two_at_once/one_line_of_error", lines, "commands"),
            ("two_at_once/lost_or_unclear", lost, "commands"),
            ("no_room/changed_or_unclear", full, "commands"),
            ("ctrl_c/as_before", pressed["before"], "commands"),
            ("ctrl_c/all_in", pressed["after"], "commands"),
            ("ctrl_c/else_or_unclear", pressed["else"] + loud, "commands"),
        )
    ]
    report(figures, arguments, benchmark="kill_add", cpus=os.cpu_count())
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
