"""Optional dependencies: packages that only some inputs need, and the extra that installs each.

``pip install vqkit`` brings what models, training, compression and the command line need. Code that reads tables, or
talks to the Hugging Face hub, asks for its package here when it first needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vqkit.errors import MissingExtraError

EXTRAS = {
    "av": "containers",
    "datasets": "hub",
    "fsspec": "remote",
    "gradio": "lab",
    "h5netcdf": "science",
    "huggingface_hub": "hub",
    "matplotlib": "plot",
    "nibabel": "science",
    "onnx": "onnx",
    "onnx_ir": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "pyarrow": "tables",
    "pydicom": "science",
    "pystoi": "sound-measures",
    "ray": "ray",
    "scipy": "science",
    "sklearn": "sklearn",
    "soundfile": "sound",
    "soxr": "sound",
    "tifffile": "science",
    "xarray": "science",
    "zarr": "science",
}
"""The extra of each optional package, by the name it is imported by."""
PACKAGES = {"pesq": "pesq", "visqol": "visqol-python"}
"""What installs the optional packages that no extra brings, since they or theirs have to be compiled."""


def require(module: str, purpose: str) -> Any:
    """Import an optional package, or a module of it.

    Args:
        module: a package of ``EXTRAS`` or ``PACKAGES``, or a module in one (``"pyarrow.parquet"``).
        purpose: what needs it, in the plural, to begin the message with: ``"Parquet files"``.

    Raises:
        MissingExtraError: it is not installed, or its own import fails; the message holds the command that installs it.

    Example:
        >>> require("pyarrow", "Parquet files").__name__  # doctest: +SKIP
        'pyarrow'
    """
    package = module.split(".")[0]
    try:
        import_module(package)
        return import_module(module)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == package
        reason = "is not installed" if absent else f"cannot be imported ({str(error).splitlines()[0]})"
        install = f'"vqkit[{EXTRAS[package]}]"' if package in EXTRAS else PACKAGES[package]
        raise MissingExtraError(
            f"{purpose} need the package {package}, which {reason}: pip install {install}"
        ) from error
