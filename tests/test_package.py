"""``import vqkit``: its packages are attributes, its listing has public names, and torch is not waited for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import vqkit

CODE = """
import sys
import vqkit
listed = dir(vqkit)
assert "torch" not in sys.modules
assert vqkit.quantizers.EMAVectorQuantizer.__name__ == "EMAVectorQuantizer"
for name in ("data", "models", "training", "networks", "objectives", "signals", "priors"):
    module = getattr(vqkit, name)
    assert module.__name__ == f"vqkit.{name}" and module.__all__, name
    assert name in listed, name
assert dir(vqkit) == listed, set(dir(vqkit)) ^ set(listed)
"""


def test_packages_are_attributes_right_after_the_import() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_listing_has_public_names_only() -> None:
    listed = [name for name in dir(vqkit) if not (name.startswith("__") and name.endswith("__"))]
    assert set(vqkit.__all__) <= set(listed)
    for name in listed:
        part = getattr(vqkit, name)
        assert not name.startswith("_")
        if name not in vqkit.__all__:
            assert part is importlib.import_module(f"vqkit.{name}")
