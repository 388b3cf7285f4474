"""Fields within a bound: bits a value beside SZ3 (pysz) and zfp (zfpy), of a NetCDF file's variables.

    python benchmarks/bounded.py era_interim_january.nc --json results.json

Needs h5py; SZ3 and zfp where they are installed. Each variable ``[1, levels, latitude, longitude]`` is one field of as
many channels as it has levels, the bound a part of the variable's whole range, the same for all coders. Nothing is
trained: filters are fitted to each field and stand in the bytes that are counted (no tokens, no file header).
``--quick``: one bound, one part.
"""

from __future__ import annotations

import argparse
import json
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


def main() -> None:
    """Measure them all."""
    import h5py

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--variables", default="z,u,v")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
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
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
