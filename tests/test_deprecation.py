"""Names of earlier versions: what could be imported then can be imported now, with a warning of the new place."""

import json
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

from vqkit._former import MODULES
from vqkit.tokens import load_tokens

NAMES = json.loads((Path(__file__).parent / "golden" / "names-2026-11-24.json").read_text())
"""What each module outside the command line defined, or exported, on 2026-11-24, less 26 small helpers."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", sorted(NAMES))
def test_names_of_earlier_versions_can_be_imported(name):
    module = import_module(f"vqkit.{name}" if name else "vqkit")
    assert [each for each in NAMES[name] if not hasattr(module, each)] == []


def test_every_former_module_was_one():
    assert set(MODULES) <= set(NAMES) | {"data.centred", "data.joined", "codec.targeting", "codec.tiling"}


def test_a_former_path_warns_of_the_new_one_and_gives_the_same_object():
    sys.modules.pop("vqkit.codec.tokens", None)
    with pytest.warns(DeprecationWarning, match=r"vqkit\.codec\.tokens is now vqkit\.tokens\.tokens") as caught:
        former = import_module("vqkit.codec.tokens")
    assert caught[0].filename != "<frozen importlib._bootstrap>"
    assert former.load_tokens is load_tokens
    with pytest.warns(DeprecationWarning, match=r"vqkit\.data\.images\.reading\.decode_image"):
        from vqkit.data.images import decode_image
    assert callable(decode_image)


def test_names_that_never_were_are_still_errors():
    with pytest.raises(ModuleNotFoundError):
        import_module("vqkit.codec.never")
    with pytest.raises(ModuleNotFoundError):
        import_module("atomic")
    with warnings.catch_warnings(action="ignore"), pytest.raises(ImportError, match="never"):
        exec("from vqkit.codec.tokens import never")
    with pytest.raises(ImportError, match="never"):
        exec("from vqkit.data.images import never")


def test_nothing_of_vqkit_itself_takes_a_former_path():
    program = (
        "import vqkit, vqkit.cli.commands.train\n"
        "for name in vqkit.__all__: getattr(vqkit, name)\n"
        "import sys, vqkit._former as former\n"
        "taken = [name for name in former.MODULES if f'vqkit.{name}' in sys.modules]\n"
        "sys.exit(str(taken) if taken else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
