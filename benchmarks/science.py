"""Signals of science through the whole chain, with errors in units, beside PCA and files of equal size.

    python benchmarks/science.py --data FOLDER

Sets (``FOLDER``: era_interim_january.nc, sentinel2_13bands.npy, mri_t1.nii.gz, ct_pitch.nii.gz, ecg_360hz.npy; what is
not there is left out). Nothing is learned from the held-out part:

- **weather**: z, u, v on three levels as nine channels; the eastern quarter of the globe is held out.
- **scenes**: Sentinel-2, 13 bands; the right quarter of each of four scenes is held out.
- **mri**, **ct**: slices; the upper quarter of the volume is held out, every fourth slice of it judged.
- **ecg**: windows of 256 samples in millivolts; the last minute is held out.

Each goes through the commands train, eval, encode, decode, prior, sample, compress, decompress and score. Beside the
RMSE of each channel (over the held-out part, in its units):

- **PCA** of the model's patches, as many bits as the ``.vqk`` file (headers included) has: coefficients in steps of one
  size, each counted by the histogram of its training values. It is a transform coder without headers.
- **JPEG 2000** (Pillow; 8 and 16 bits: a codestream a slice or band), the best that is no larger than the file.
- **SZ3** (pysz, where it is installed; scaled channels as one array, an absolute bound), likewise.

And ``compress --max-error 1%``: bits a value, and the largest error over the bound. ``--steps``, ``--minutes``: of
each training.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import vqkit
from figures import Figure, figure, parser, report

_BOUND = 0.01


@dataclass
class Case:
    """A set: names of data, the bits that a position costs, and what integers it holds for JPEG 2000."""

    name: str
    training: str
    held_out: str
    downsampling: int
    options: list[str] = field(default_factory=list)
    prior: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    counts: float | None = None


def weather(data: Path, folder: Path) -> Case:
    """Levels become channels, the east is held out."""
    import xarray

    with xarray.open_dataset(data / "era_interim_january.nc") as month:
        levels = {
            f"{name}{int(at)}": month[name].sel(level=at, drop=True) for name in "zuv" for at in month.level.values
        }
        columns, split = xarray.Dataset(levels), 3 * month.sizes["longitude"] // 4
        columns.isel(longitude=slice(0, split)).to_netcdf(folder / "west.nc", engine="h5netcdf")
        columns.isel(longitude=slice(split, None)).to_netcdf(folder / "east.nc", engine="h5netcdf")
    units = [f"{name}, {'m2 s-2' if name[0] == 'z' else 'm/s'}" for name in levels]
    names = [str(folder / f"{side}.nc:{','.join(levels)}") for side in ("west", "east")]
    crops = ["--crop", "32", "--crops", "256"]
    return Case("weather", names[0], names[1], 4, ["--crop", "64"], crops, units)


def scenes(data: Path, folder: Path) -> Case:
    """The right quarter of each scene is held out."""
    values = np.load(data / "sentinel2_13bands.npy", allow_pickle=False)
    for name, part in (("left", values[:, :, :75]), ("right", values[:, :, 75:])):
        np.save(folder / f"{name}.npy", part)
    units = [
        f"{band}, reflectance"
        for band in ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
    ]
    names = [f"field@NHWC:{folder / name}.npy" for name in ("left", "right")]
    return Case(
        "scenes", names[0], names[1], 4, ["--crop", "32"], ["--crop", "24", "--crops", "256"], units, counts=10_000
    )


def scan(name: str, file: str) -> Callable[[Path, Path], Case]:
    """The upper quarter of the volume is held out, and every fourth slice of it judged."""

    def made(data: Path, folder: Path) -> Case:
        import nibabel

        volume = nibabel.load(data / file)
        split = 3 * volume.shape[2] // 4
        nibabel.save(volume.slicer[:, :, :split], folder / f"{name}-lower.nii.gz")
        nibabel.save(volume.slicer[:, :, split::4], folder / f"{name}-upper.nii.gz")
        names = [str(folder / f"{name}-{part}.nii.gz@slices") for part in ("lower", "upper")]
        return Case(
            name, names[0], names[1], 4, ["--crop", "64"], ["--crop", "64", "--crops", "256"], ["levels"], counts=1
        )

    return made


def ecg(data: Path, folder: Path) -> Case:
    """The last minute is held out."""
    signal = ((np.load(data / "ecg_360hz.npy", allow_pickle=False).astype(np.float32) - 1024) / 200)[:, None]
    for name, part, hop in (("first", signal[: -60 * 360], 64), ("last", signal[-60 * 360 :], 256)):
        rows = np.lib.stride_tricks.sliding_window_view(part[:, 0], 256)[::hop, None]
        np.save(folder / f"ecg-{name}.npy", np.ascontiguousarray(rows))
    names = [f"field@NCT:{folder / f'ecg-{name}.npy'}" for name in ("first", "last")]
    return Case("ecg", names[0], names[1], 8, [], [], ["mV"])


CASES: dict[str, tuple[str, Callable[[Path, Path], Case]]] = {
    "weather": ("era_interim_january.nc", weather),
    "scenes": ("sentinel2_13bands.npy", scenes),
    "mri": ("mri_t1.nii.gz", scan("mri", "mri_t1.nii.gz")),
    "ct": ("ct_pitch.nii.gz", scan("ct", "ct_pitch.nii.gz")),
    "ecg": ("ecg_360hz.npy", ecg),
}


def command(*words: object) -> tuple[str, float]:
    """Run a command of vqkit in this process: what it printed, and its processor seconds."""
    from vqkit.cli.main import app

    said, began = io.StringIO(), time.process_time()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            app([str(word) for word in words])
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"vqkit {' '.join(map(str, words))}: {said.getvalue()[-2000:]}") from end
    return said.getvalue(), time.process_time() - began


def measure(case: Case, folder: Path, length: Sequence[object], prior_length: Sequence[object]) -> Iterator[Figure]:
    """The whole chain of one set."""
    run, held = folder / f"run-{case.name}", case.held_out
    model = ["-k", 512, "-f", case.downsampling, "--hidden-channels", 48, "--threads", 1, "--no-tensorboard"]
    seconds = command("train", case.training, "--validation", held, *case.options, *model, *length, "--out", run)[1]
    yield figure(f"{case.name}: processor time of training", [seconds], "s")
    command("eval", run, held, "--json", folder / "eval.json")
    command("encode", run, held, "--out", folder / "tokens")
    command("decode", run, folder / "tokens", "--out", folder / "decoded")
    few = ["--hidden-channels", 32, "--layers", 2, "--threads", 1]
    command("prior", run, "--kind", "context", *case.prior, *few, *prior_length)
    command("sample", run, "--prior", run / "context" / "run", "--count", 2, "--out", folder / "drawn")
    command("compress", held, "--model", run, "--out", folder / "a.vqk")
    command("compress", held, "--model", run, "--max-error", f"{_BOUND:%}", "--out", folder / "b.vqk")
    command("decompress", folder / "b.vqk", "--model", run, "--out", folder / "restored")
    command("score", run, held, "--out", folder / "scores.json")
    size = (folder / "a.vqk").stat().st_size
    before, after = _values(case.training), _values(held)
    yield figure(f"{case.name}: the file", [size], "bytes")
    yield figure(f"{case.name}: the file, bits a value", [8 * size / after.size], "bits")
    own = [each["rmse"] for each in json.loads((folder / "eval.json").read_text())["channels"]]
    decoded = _arrays(folder / "decoded", after, held)
    rounds = 0.5 if case.counts == 1 else 1e-3 * after.std()  # integers are rounded
    assert np.allclose(_rmse(after, decoded), own, atol=rounds), "decode and eval differ"
    peers = {"PCA": pca(before, after, case.downsampling, 8 * size)}
    peers["JPEG 2000"] = None if case.counts is None else jpeg_2000(after, case.counts, size)
    peers["SZ3"] = sz3(after, size)
    known = {name: values for name, values in peers.items() if values is not None}
    for channel, unit in enumerate(case.units):
        beside = {name: max(float(values[channel]), 1e-12) for name, values in known.items()}
        yield figure(f"{case.name}: RMSE of {unit}", [own[channel]], "", beside)
        for name, value in beside.items():
            yield figure(f"{case.name}: RMSE of {unit}: {name}", [value], "")
    yield from bounded(case, folder, after)


def bounded(case: Case, folder: Path, after: Any) -> Iterator[Figure]:
    """The file whose error is promised: bits a value, and the largest error over the bound."""
    restored = _arrays(folder / "restored", after, case.held_out)
    axes = (0, *range(2, after.ndim))
    bounds = _BOUND * (after.max(axes, keepdims=True) - after.min(axes, keepdims=True))
    worst = float((np.abs(restored.astype(np.float64) - after) / bounds).max())
    size = (folder / "b.vqk").stat().st_size
    yield figure(f"{case.name}: within {_BOUND:.0%} of the range, bits a value", [8 * size / after.size], "bits")
    yield figure(f"{case.name}: within {_BOUND:.0%}, largest error over the bound", [worst], "")
    found = _sz3_within(after / bounds)
    if found is not None:
        yield figure(
            f"{case.name}: within {_BOUND:.0%} of the range, bits a value: SZ3", [8 * found / after.size], "bits"
        )


def _values(name: str) -> Any:
    source = vqkit.load_source(name)
    return source.gather(range(len(source))).astype(np.float64)


def _arrays(folder: Path, after: Any, name: str) -> Any:
    """The values of a folder of .npy, an item or several each, as ``after`` has them."""
    last = "NHWC" in name
    shape = (-1, *after.shape[2:], after.shape[1]) if last else (-1, *after.shape[1:])
    files = sorted(folder.glob("*.npy"))
    whole = np.concatenate([np.load(file, allow_pickle=False).reshape(shape) for file in files])
    return np.moveaxis(whole, -1, 1) if last else whole


def _rmse(before: Any, after: Any) -> Any:
    axes = (0, *range(2, before.ndim))
    return np.sqrt(((before - after.astype(np.float64)) ** 2).mean(axis=axes))


def pca(before: Any, after: Any, side: int, bits: float) -> Any:
    """RMSE of each channel by PCA of patches, whose coefficients take so many bits."""
    axes = (0, *range(2, before.ndim))
    mean, scale = before.mean(axes, keepdims=True), before.std(axes, keepdims=True) + 1e-12
    known, _ = _patches((before - mean) / scale, side)
    asked, grid = _patches((after - mean) / scale, side)
    center = known.mean(axis=0)
    variances, basis = np.linalg.eigh(np.cov(known - center, rowvar=False))
    basis = basis[:, np.argsort(-variances)]
    learned, coefficients = (known - center) @ basis, (asked - center) @ basis

    def cost(step: float) -> tuple[float, Any]:
        total, rounded = 0.0, np.zeros_like(coefficients)
        for column in range(basis.shape[1]):
            values, own = np.rint(learned[:, column] / step), np.rint(coefficients[:, column] / step)
            low, high = int(values.min()), int(values.max())
            if low == high == 0:
                break  # the components that follow vary less
            own = np.clip(own, low, high)
            counts = np.bincount((values - low).astype(np.int64), minlength=high - low + 1) + 0.5
            total -= float(np.log2(counts / counts.sum())[(own - low).astype(np.int64)].sum())
            rounded[:, column] = own * step
        return total, rounded

    low, high = 1e-3, 1e3
    for _ in range(22):
        step = (low * high) ** 0.5
        low, high = (step, high) if cost(step)[0] > bits else (low, step)
    back = _image(cost(high)[1] @ basis.T + center, grid, side, after.shape) * scale + mean
    return _rmse(after, back)


def _patches(values: Any, side: int) -> tuple[Any, tuple[int, ...]]:
    """Patches ``[positions, C * side ** axes]`` of items whose edges are repeated to a multiple of ``side``."""
    sizes = values.shape[2:]
    values = np.pad(values, [(0, 0), (0, 0), *((0, -size % side) for size in sizes)], mode="edge")
    grid = tuple(size // side for size in values.shape[2:])
    split = values.reshape(*values.shape[:2], *(part for size in grid for part in (size, side)))
    axes = len(grid)
    order = (0, *(2 + 2 * axis for axis in range(axes)), 1, *(3 + 2 * axis for axis in range(axes)))
    return split.transpose(order).reshape(len(values) * int(np.prod(grid)), -1), grid


def _image(rows: Any, grid: tuple[int, ...], side: int, shape: tuple[int, ...]) -> Any:
    axes = len(grid)
    split = rows.reshape(shape[0], *grid, shape[1], *(side,) * axes)
    order = (0, axes + 1, *(each for axis in range(axes) for each in (1 + axis, axes + 2 + axis)))
    whole = split.transpose(order).reshape(*shape[:2], *(size * side for size in grid))
    return whole[(..., *(slice(size) for size in shape[2:]))]


def jpeg_2000(values: Any, counts: float, size: int) -> Any:
    """RMSE of each channel by JPEG 2000, a codestream an item and channel, of at most so many bytes in all."""
    from PIL import Image

    planes = np.rint(values * counts)
    kind, mode = (np.uint8, "L") if counts == 1 else (np.uint16, "I;16")
    planes = planes.clip(0, np.iinfo(kind).max).astype(kind)
    raw = planes.nbytes

    def coded(rate: float) -> tuple[int, Any]:
        total, back = 0, np.zeros_like(planes)
        for place in np.ndindex(planes.shape[:2]):
            file = io.BytesIO()
            picture = Image.frombytes(mode, planes.shape[:1:-1], planes[place].tobytes())
            picture.save(file, "JPEG2000", no_jp2=True, quality_mode="rates", quality_layers=[rate], irreversible=True)
            total += file.tell()
            file.seek(0)
            back[place] = np.asarray(Image.open(file))
        return total, back

    low, high = 1.0, 8.0 * raw / size
    for _ in range(7):
        rate = (low * high) ** 0.5
        low, high = (rate, high) if coded(rate)[0] > size else (low, rate)
    total, back = coded(high)
    return None if total > size * 1.02 else _rmse(values, back / counts)


def sz3(values: Any, size: int) -> Any:
    """RMSE of each channel by SZ3 of scaled channels, in at most so many bytes; None: pysz is not there."""
    axes = (0, *range(2, values.ndim))
    scale = values.std(axes, keepdims=True) + 1e-12
    scaled = np.ascontiguousarray(values / scale, np.float32)
    low, high = 1e-4, 100.0
    for _ in range(16):
        bound = (low * high) ** 0.5
        found = _sz3(scaled, bound)
        if found is None:
            return None
        low, high = (bound, high) if found[0] > size else (low, bound)
    found = _sz3(scaled, high)
    return None if found is None or found[0] > size else _rmse(values, found[1] * scale)


def _sz3(values: Any, bound: float) -> tuple[int, Any] | None:
    try:
        from pysz import sz, szConfig, szErrorBoundMode
    except ImportError:
        return None
    config = szConfig()
    config.errorBoundMode, config.absErrorBound = szErrorBoundMode.ABS, bound
    flat = np.ascontiguousarray(values.reshape(-1, *values.shape[2:]) if values.ndim > 3 else values.reshape(-1))
    data = sz.compress(flat, config)
    data = data[0] if isinstance(data, tuple) else data
    back = sz.decompress(data, np.float32, flat.shape)
    back = back[0] if isinstance(back, tuple) else back
    return len(data), np.asarray(back).reshape(values.shape)


def _sz3_within(values: Any) -> int | None:
    found = _sz3(np.ascontiguousarray(values, np.float32), 1.0)
    return None if found is None else found[0]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, metavar="FOLDER", help="with the files; left out: nothing is measured")
    options.add_argument("--only", metavar="NAMES", help=f"of {','.join(CASES)}")
    options.add_argument("--steps", type=int, help="of each training (default: 600; quick: 4)")
    options.add_argument("--minutes", type=float, help="... or minutes of each training")
    arguments = options.parse_args()
    steps = arguments.steps or (4 if arguments.quick else 600)
    length = ["--steps", steps] if arguments.minutes is None else ["--minutes", arguments.minutes]
    found: list[Figure] = []
    for name in arguments.only.split(",") if arguments.only else CASES:
        file, make = CASES[name]
        if arguments.data is None or not (arguments.data / file).is_file():
            print(f"no {name}: {arguments.data or '--data FOLDER'} has no {file}; it is left out", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            for each in measure(
                make(arguments.data, folder), folder, length, ["--steps", 4 if arguments.quick else 150]
            ):
                print(each.line(), file=sys.stderr, flush=True)
                found.append(each)
    report(found, arguments, steps=None if arguments.minutes else steps, minutes=arguments.minutes)


if __name__ == "__main__":
    main()
