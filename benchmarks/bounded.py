"""Fields within a bound: bits a value beside SZ3 (pysz) and zfp (zfpy), of a NetCDF file's variables; integers exactly.

    python benchmarks/bounded.py era_interim_january.nc --json results.json
    python benchmarks/bounded.py --integers sentinel2_13bands.npy CT_small.dcm --json results.json

Needs h5py; SZ3 and zfp where they are installed. Each variable ``[1, levels, latitude, longitude]`` is one field of as
many channels as it has levels, the bound a part of the variable's whole range, the same for all coders. Nothing is
trained: filters are fitted to each field and stand in the bytes that are counted (no tokens, no file header).
``--quick``: one bound, one part.

``--integers``: 16-bit fields with bound 0 beside zlib, JPEG XL, JPEG-LS and JPEG 2000 (imagecodecs; else by Pillow),
each plane a file. Files: .npy ``[C, H, W]`` or ``[N, H, W, C]`` (floats are reflectances, integers over 10,000, and are
taken times that); .dcm (pydicom: also the names of its test files).
"""

from __future__ import annotations

import argparse
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.codec.bounded.blocks import encode_values


def _sz3(field: Any, bound: float) -> int | None:
    try:
        from pysz import sz, szConfig, szErrorBoundMode
    except ImportError:
        return None
    config = szConfig()
    config.errorBoundMode, config.absErrorBound = szErrorBoundMode.ABS, bound
    found = sz.compress(field, config)
    return len(found[0] if isinstance(found, tuple) else found)


def _zfp(field: Any, bound: float) -> int | None:
    try:
        import zfpy
    except ImportError:
        return None
    return min(
        len(zfpy.compress_numpy(field, tolerance=bound)),
        sum(len(zfpy.compress_numpy(np.ascontiguousarray(level), tolerance=bound)) for level in field),
    )


def _jpeg_2000(plane: Any) -> int:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(plane).save(file, "JPEG2000", irreversible=False)
    return len(file.getvalue())


def _planes(field: Any) -> dict[str, int | None]:
    """Bytes of the planes of uint16 ``[C, H, W]`` in the coders that are here."""
    found: dict[str, int | None] = {"zlib": len(zlib.compress(field.tobytes(), 9))}
    try:
        import imagecodecs
    except ImportError:
        return found | {"jpeg_2000": sum(_jpeg_2000(plane) for plane in field)}
    coders: dict[str, Callable[[Any], bytes]] = {
        "jpeg_xl": lambda plane: imagecodecs.jpegxl_encode(plane, lossless=True, effort=9),
        "jpeg_ls": lambda plane: imagecodecs.jpegls_encode(plane),
        "jpeg_2000": lambda plane: imagecodecs.jpeg2k_encode(plane, level=0, reversible=True, codecformat="j2k"),
    }
    for name, encode in coders.items():
        found[name] = sum(len(encode(np.ascontiguousarray(plane))) for plane in field)
    return found


def _integer_fields(name: str) -> list[Any]:
    """Fields int16 or uint16 ``[C, H, W]`` of a file."""
    if name.endswith(".dcm"):
        import pydicom
        from pydicom.data import get_testdata_file

        found = get_testdata_file(name) if not Path(name).exists() else name
        values = np.asarray(pydicom.dcmread(str(found)).pixel_array)
        return [values[None] if values.ndim == 2 else values]
    values = np.load(name)
    if values.dtype.kind == "f":
        values = np.rint(values * 10_000).astype(np.uint16)
    return [np.moveaxis(each, -1, 0) for each in values] if values.ndim == 4 else [values]


def integer_rows(names: list[str]) -> list[dict[str, Any]]:
    """Bits a value of 16-bit fields, exactly."""
    rows = []
    for name in names:
        for number, field in enumerate(_integer_fields(name)):
            kind = field.dtype.newbyteorder("=")
            values = np.ascontiguousarray(field, kind)
            data, decoded = encode_values(values[None].astype(np.float64), [0.0] * len(values), kind)
            if not np.array_equal(decoded[0], values):
                raise SystemExit(f"{name} does not come back")
            apart = np.ascontiguousarray(values.astype(np.int64) - int(values.min())).astype(np.uint16)
            sizes = {"vqkit": len(data), **_planes(apart)}
            bits = {key: None if size is None else 8 * size / values.size for key, size in sizes.items()}
            rows.append({"file": Path(name).name, "field": number, "shape": list(values.shape), "bits": bits})
            told = ", ".join(f"{key} {value:.3f}" for key, value in bits.items() if value is not None)
            print(f"{Path(name).name} {number} {'x'.join(map(str, values.shape))} exactly: {told}", flush=True)
    return rows


def main() -> None:
    """Measure them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--integers", nargs="+", metavar="FILE", help="16-bit fields, exactly")
    parser.add_argument("--variables", default="z,u,v")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = integer_rows(arguments.integers) if arguments.integers else []
    if arguments.file is not None:
        rows += bounded_rows(arguments)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def bounded_rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Bits a value of the variables of a NetCDF file, within bounds."""
    import h5py

    rows = []
    with h5py.File(arguments.file) as opened:
        for name in arguments.variables.split(","):
            whole = np.asarray(opened[name][0], np.float32)
            east = np.ascontiguousarray(whole[:, :, 3 * whole.shape[2] // 4 :])
            for part, field in (("all", whole), ("last quarter of longitudes", east))[arguments.quick :]:
                for share in (1e-3, 1e-2)[arguments.quick :]:
                    bound = share * float(field.max() - field.min())
                    data, decoded = encode_values(field[None].astype(np.float64), [bound] * len(field), field.dtype)
                    worst = float(np.abs(decoded[0] - field.astype(np.float64)).max()) / bound
                    sizes = {"vqkit": len(data), "sz3": _sz3(field, bound), "zfp": _zfp(field, bound)}
                    bits = {key: None if size is None else 8 * size / field.size for key, size in sizes.items()}
                    rows.append({"variable": name, "part": part, "share": share, "bits": bits, "worst": worst})
                    told = ", ".join(f"{key} {value:.3f}" for key, value in bits.items() if value is not None)
                    print(f"{name} ({part}) at {share:g} of the range: {told}; largest error {worst:.6f} of the bound")
    return rows


if __name__ == "__main__":
    main()
