"""Kill the real ``vqkit add`` with SIGKILL at random moments: the archive is as before or has all that came.

Half of the moments are any while the command adds, half lie where the file has begun to grow, which is where a commit
could be cut in two. The processes are forked from one that has imported everything; ``--fresh`` starts Python anew. An
addition that was killed is started again and goes on; in the end the archive has the bytes of one that nobody killed.
Then two processes add to one archive at once, a disk of too little room is made of a limit on the length of files, and
Ctrl-C (SIGINT) is pressed at random moments.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import vqkit
from figures import Figure, parser, report
from vqkit.codec.archive.verifying import verify_file
from vqkit.codec.inspect import Item, inspect_file

BATCH = 40


class Command:
    """A ``vqkit ...`` that runs in a process of its own; what it says goes to a file.

    Args:
        words: after ``vqkit``.
        folder: for that file.
        fresh: start Python anew, instead of forking this process, which has imported everything.
        room: longest file that it may write, in bytes.
    """

    def __init__(self, words: list[str], folder: Path, *, fresh: bool = False, room: int | None = None) -> None:
        self._file = folder / f"said{time.monotonic_ns()}"
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(self._file, os.O_WRONLY | os.O_CREAT), 2)
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        if fresh:
            os.execv(sys.executable, [sys.executable, "-m", "vqkit", *words])
        sys.argv, code = ["vqkit", *words], 1
        try:
            from vqkit.cli.main import main

            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(code)

    def poll(self) -> int | None:
        """The exit status; None: it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def send(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def end(self) -> tuple[int, str]:
        """Wait; the exit status, and what it said."""
        while self.poll() is None:
            time.sleep(0.001)
        said = self._file.read_text() if self._file.exists() else ""
        self._file.unlink(missing_ok=True)
        return int(self._status or 0), said


def errors(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("vqkit:")]


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


class Trial:
    """An archive, batches of images to add to it, and what went wrong.

    Args:
        folder: for everything.
        batches: how many.
        seed: of the moments.
        fresh: see ``Command``.
    """

    def __init__(self, folder: Path, batches: int, seed: int, *, fresh: bool) -> None:
        self.folder, self.fresh, self.chance = folder, fresh, random.Random(seed)
        self.archive, self.alone = folder / "all.vqk", folder / "alone.vqk"
        torch.manual_seed(0)
        model = vqkit.VQVAE(64, hidden_channels=32, code_dim=8, residual_channels=16)
        self.pixels = np.random.default_rng(0).integers(0, 256, (batches * BATCH, 64, 64, 3), dtype=np.uint8)
        model.prepare([torch.from_numpy(self.pixels[:64]).permute(0, 3, 1, 2).float() / 255])
        model.save_pretrained(folder / "model")
        for number, image in enumerate(self.pixels):
            batch, own = divmod(number, BATCH)
            (folder / f"batch{batch}").mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / f"batch{batch}" / f"batch{batch}-{own:03d}.png")
        self.adding(folder / "warm.vqk", 0).end()
        process, start = self.begun(self.alone, 0), time.monotonic()
        process.end()
        self.seconds, self.length = time.monotonic() - start, self.alone.stat().st_size
        self.figures: list[Figure] = []
        self.wrong = 0

    def told(self, name: str, value: int, unit: str, *, wrong: bool = False) -> None:
        """Keep a figure; one of what may not be counts as wrong."""
        self.figures.append(Figure(f"kill_add/{name}", value, unit, value, value))
        self.wrong += value if wrong else 0

    def adding(self, to: Path, batch: int, room: int | None = None) -> Command:
        """Begin to add a batch."""
        words = ["add", str(to), str(self.folder / f"batch{batch}"), "--model", str(self.folder / "model")]
        return Command([*words, "--threads", "1"], self.folder, fresh=self.fresh, room=room)

    def begun(self, to: Path, batch: int) -> Command:
        """The same, of a command that has come as far as its work."""
        work = to.parent / f".{to.name}.work"
        before = work.stat().st_mtime_ns if work.exists() else 0
        process = self.adding(to, batch)
        while process.poll() is None and (work.stat().st_mtime_ns if work.exists() else 0) == before:
            time.sleep(0.001)
        return process

    def size(self) -> int:
        """Bytes of the archive."""
        return self.archive.stat().st_size if self.archive.exists() else 0

    def state(self, before: list[str], batch: int) -> str:
        """``before``, ``after`` or ``else``."""
        own = [f"batch{batch}-{number:03d}.png" for number in range(BATCH)]
        now = names(self.archive)
        return "before" if now == before else "after" if now == before + own else "else"

    def kill(self, kills: int) -> None:
        """Kill it so often, and compare the end."""
        batch, ended, counts = 0, 0, {"before": 0, "after": 0, "else": 0}
        for number in range(kills):
            before, size = names(self.archive), self.size()
            process = self.begun(self.archive, batch)
            if number % 2:  # where it grows
                while process.poll() is None and self.size() == size:
                    time.sleep(0.0005)
                time.sleep(self.chance.uniform(0, 0.03))
            else:
                time.sleep(self.chance.uniform(0, self.seconds))
            ended += process.poll() is not None
            process.send(signal.SIGKILL)
            process.end()
            found = self.state(before, batch)
            counts[found] += 1
            print(f"kill {number + 1}: {found}, {len(names(self.archive))} items", flush=True)
            batch += found == "after"
        self.adding(self.archive, batch).end()
        for number in range(1, batch + 1):
            own = range(number * BATCH, (number + 1) * BATCH)
            given = [f"batch{number}-{each - own[0]:03d}.png" for each in own]
            vqkit.open_archive(self.alone, self.folder / "model").add([self.pixels[each] for each in own], given)
        self.told("kills", kills, "kills")
        self.told("as_before", counts["before"], "kills")
        self.told("all_in", counts["after"], "kills")
        self.told("else", counts["else"], "kills", wrong=True)
        self.told("ended_before_the_kill", ended, "kills")
        different = int(self.archive.read_bytes() != self.alone.read_bytes())
        self.told("archives_that_differ_in_the_end", different, "archives", wrong=True)

    def add_two(self, first: int, pairs: int) -> None:
        """Two commands at once: both are in, or one says that the other is at it."""
        both = lost = lines = 0
        for batch in range(first, first + 2 * pairs, 2):
            there = set(names(self.archive))
            two = [self.adding(self.archive, batch + own) for own in (0, 1)]
            ends = [each.end() for each in two]
            now = set(names(self.archive))
            both += all(status == 0 for status, _ in ends)
            for own, (status, said) in enumerate(ends):
                mine = {f"batch{batch + own}-{number:03d}.png" for number in range(BATCH)}
                clear = status == 2 and len(errors(said)) == 1 and not mine & now
                lines += clear
                lost += not (mine <= now if status == 0 else clear) or not there <= now
                print(f"two at once: status {status} {errors(said)}", flush=True)
            for own in (0, 1):
                self.adding(self.archive, batch + own).end()
        self.told("two_at_once/both_in", both, "pairs")
        self.told("two_at_once/one_line_of_error", lines, "commands")
        self.told("two_at_once/lost_or_unclear", lost, "commands", wrong=True)

    def fill_disk(self, batch: int) -> None:
        """Files may not be longer: one line, and the archive as it was."""
        full = 0
        for room in (0, self.length // 2):
            kept = self.archive.read_bytes()
            status, said = self.adding(self.archive, batch, room=self.size() + room).end()
            print(f"no room: status {status} {errors(said)}", flush=True)
            full += status != 2 or len(errors(said)) != 1 or self.archive.read_bytes() != kept
        self.told("no_room/changed_or_unclear", full, "commands", wrong=True)

    def interrupt(self, first: int, stops: int) -> None:
        """Ctrl-C: before or after, and no traceback."""
        pressed, loud = {"before": 0, "after": 0, "else": 0}, 0
        for batch in range(first, first + stops):
            before = names(self.archive)
            process = self.begun(self.archive, batch)
            time.sleep(self.chance.uniform(0, self.seconds))
            process.send(signal.SIGINT)
            status, said = process.end()
            pressed[self.state(before, batch)] += 1
            loud += "Traceback" in said or status not in (0, 130)
            print(f"Ctrl-C: status {status} {said.splitlines()[-1:]}", flush=True)
            self.adding(self.archive, batch).end()
        self.told("ctrl_c/as_before", pressed["before"], "commands")
        self.told("ctrl_c/all_in", pressed["after"], "commands")
        self.told("ctrl_c/else_or_unclear", pressed["else"] + loud, "commands", wrong=True)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=20, help="how often it is killed (default 20)")
    options.add_argument("--fresh", action="store_true", help="start Python anew for each command: slow")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = options.parse_args()
    kills, pairs, stops = (2, 1, 1) if arguments.quick else (arguments.kills, 4, 4)
    folder = Path(tempfile.mkdtemp(prefix="kill_add_", dir=Path.cwd()))
    trial = Trial(folder, kills + 1 + 2 * pairs + stops, arguments.seed, fresh=arguments.fresh)
    trial.kill(kills)
    trial.add_two(kills + 1, pairs)
    trial.fill_disk(kills + 1 + 2 * pairs)
    trial.interrupt(kills + 1 + 2 * pairs, stops)
    shutil.rmtree(folder)
    report(trial.figures, arguments, benchmark="kill_add")
    if trial.wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
