"""What works without any extra, and what says in one line which extra it needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.cli.cases import refused
from vqkit import VQVAE, export_model, load_model, load_source, tokenize
from vqkit.data import ArraySource
from vqkit.errors import MissingExtraError, VqkitError
from vqkit.optional import EXTRAS, require
from vqkit.signals import Sound
from vqkit.tokens import load_tokens

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

WITHOUT = """
import sys
from importlib.machinery import PathFinder
from pathlib import Path

class Installed(PathFinder):
    absent = set(sys.argv[1].split(","))

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in cls.absent else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Installed
"""

LAYERS = """
import torch
import vqkit
from vqkit.networks import Decoder, Encoder

layer = vqkit.VectorQuantizer(16, 4)
latents = torch.randn(2, 4, 5, 5, requires_grad=True)
output = layer(latents)
sum(output.losses.values()).backward()
assert latents.grad is not None and output.indices.shape == (2, 5, 5)
assert torch.equal(vqkit.nearest_code(torch.eye(4), torch.eye(4)), torch.arange(4))
"""

WORK = """
import numpy as np
import torch
from PIL import Image
import vqkit

for name in vqkit.__all__:
    getattr(vqkit, name)
signals = np.random.default_rng(0).random((12, 1, 8, 8), dtype=np.float32)
options = {"hidden_channels": 8, "residual_channels": 4, "residual_blocks": 1, "code_dim": 4, "downsampling": 4}
model = vqkit.VQVAE(16, channels=1, **options)
run = vqkit.train(model, signals, out="run", steps=2, batch_size=4, quiet=True)
indices = model.eval().encode(torch.from_numpy(signals))
model.save_pretrained("saved")
assert torch.equal(vqkit.load_model("saved").encode(torch.from_numpy(signals)), indices)
tokens = vqkit.tokenize(model, vqkit.load_source(signals), "tokens")
assert len(tokens) == 12
prior = vqkit.HistogramPrior.for_tokens(tokens)
image = (signals[0, 0] * 255).astype(np.uint8)
Path("folder").mkdir()
for number in range(3):
    Image.fromarray(image).save(f"folder/{number}.png")
labels = np.array(["cat", "dog"] * 6)
np.savez("labelled.npz", x=signals, y=labels)
assert vqkit.load_source("labelled.npz").class_names == ["cat", "dog"]
builtin = {"digits": 1797, "fashion": 3000, "photos": 959, "speech": 5}
for name, count in {"folder": 3, **{f"builtin:{name}": count for name, count in builtin.items()}}.items():
    assert len(vqkit.load_source(name)) == count
mixed = vqkit.Autoencoder(2, size=[8, 8], channels=1, density_components=3, hidden_channels=8, residual_channels=4)
vqkit.train(mixed, signals, out="mixed", steps=2, batch_size=4, quiet=True)
assert mixed.eval().sample(2).shape == (2, 1, 8, 8)
"""


def distributions(extra: str) -> set[str]:
    """The names of what an extra installs, with those of the extras of vqkit in it."""
    found: set[str] = set()
    for line in PROJECT["optional-dependencies"][extra]:
        own = re.match(r"vqkit\[(.*)\]", line)
        names = own[1].split(",") if own else []
        found |= set().union(*map(distributions, names)) if own else {re.split(r"[\s<>=!;\[]", line)[0]}
    return found


def absent(code: str, names: set[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + code, ",".join(sorted(names))],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_layers_need_torch_and_numpy_only(tmp_path: Path) -> None:
    named = {re.split(r"[\s<>=!;\[]", line)[0] for line in PROJECT["dependencies"]} - {"torch", "numpy"}
    modules = {"pillow": "PIL"}
    absent(LAYERS, {modules.get(name, name) for name in named} | {"scipy", "sklearn", "skimage", *EXTRAS}, tmp_path)


def test_no_extra_is_needed_to_train_on_arrays_and_images(tmp_path: Path) -> None:
    absent(WORK, {"scipy", "sklearn", "skimage", "tensorboard", "pandas", *EXTRAS}, tmp_path)


def test_extras_are_those_of_the_project() -> None:
    for module, extra in EXTRAS.items():
        name = {"sklearn": "scikit-learn"}.get(module, module.replace("_", "-"))
        assert name in distributions(extra), module
        if extra not in BY_NAME:
            assert name in distributions("all"), module
        if extra != "ray":  # its tests are run where it is installed
            assert name in distributions("dev"), module
            assert find_spec(module) is not None
    every = set(PROJECT["optional-dependencies"]) - {"all", "dev", "bench", "docs", *BY_NAME}
    assert set().union(*map(distributions, every)) == distributions("all")


BY_NAME = ("lab", "onnx", "ray")
"""Extras that are no part of ``all``: a server, another runtime, a cluster; large, or narrow in what they go with."""


# --- what needs an extra says which


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table, a saved data set and a token set in Parquet; the packages of extras are gone."""
    model = VQVAE(16, channels=1, hidden_channels=8, residual_channels=4, code_dim=4)
    model.save_pretrained(tmp_path / "model")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    tokenize(model, ArraySource(pixels), tmp_path / "tokens", kind="parquet")
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "t.parquet")
    (tmp_path / "many").mkdir()
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "many" / "t.parquet")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "dataset_dict.json").write_text("{}")
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "a.csv").write_text("x\n1\n")
    Image.fromarray(pixels[0, 0]).save(tmp_path / "a.png")
    for sound in (tmp_path / "a.wav", tmp_path / "sounds" / "a.wav"):
        Sound(8000).write(np.zeros((1, 80), np.float32), sound)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(VQVAE, "encode", None)  # what is missing is said before anything is encoded
    for name in [
        name
        for name in sys.modules
        if name.split(".")[0] in EXTRAS or name.startswith(("vqkit.data.tables", "vqkit.sklearn", "vqkit.lab"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    for name in EXTRAS:
        monkeypatch.setitem(sys.modules, name, None)
    return tmp_path


def loaded() -> Any:
    return load_model("model")


DOORS: dict[str, tuple[str, Callable[[], Any]]] = {
    "a table": ("tables", lambda: load_source("t.parquet")),
    "a column of a table": ("tables", lambda: load_source("t.parquet:image")),
    "a folder of tables": ("tables", lambda: load_source("many")),
    "a pattern": ("tables", lambda: load_source("many/*.parquet")),
    "tokens to Parquet": ("tables", lambda: tokenize(loaded(), load_source("a.png"), "out", kind="parquet")),
    "tokens from Parquet": ("tables", lambda: load_tokens("tokens")[0]),
    "a saved data set": ("hub", lambda: load_source("saved")),
    "a sound file": ("sound", lambda: load_source("a.wav")),
    "a folder of sounds": ("sound", lambda: load_source("sounds")),
    "a split of a saved data set": ("hub", lambda: load_source("saved@train")),
    "a folder that datasets reads": ("hub", lambda: load_source("csv")),
    "a data set of the hub": ("hub", lambda: load_source("hub:owner/birds")),
    "a graph of ONNX": ("onnx", lambda: export_model(loaded().eval(), "graphs")),
    "an estimator": ("sklearn", lambda: import_module("vqkit.sklearn")),
    "the lab": ("lab", lambda: import_module("vqkit.lab").build_lab({"mine": loaded()})),
    "a model of the hub": ("hub", lambda: load_model("owner/model")),
    "a model to the hub": ("hub", lambda: loaded().push_to_hub("owner/model")),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_needs_an_extra_says_which_in_one_line(place: Path, door: str) -> None:
    extra, call = DOORS[door]
    with pytest.raises(MissingExtraError) as caught:
        call()
    message = str(caught.value)
    assert "which is not installed" in message
    assert message.endswith(f'pip install "vqkit[{extra}]"')
    assert "\n" not in message
    assert isinstance(caught.value, VqkitError)
    assert isinstance(caught.value, ImportError)
    assert not (place / "out").exists()


def test_the_command_line_says_it_too(place: Path, vq: Any) -> None:
    parquet = ["encode", place / "model", place / "a.png", "--format", "parquet", "--out", "t"]
    for words in (["train", place / "t.parquet"], parquet):
        refused(vq(*words), "pyarrow", 'pip install "vqkit[tables]"')
    refused(vq("compress", place / "t.parquet", "-m", place / "model", "-o", "f.vqk"), 'pip install "vqkit[tables]"')
    refused(vq("info", "owner/name"), 'pip install "vqkit[hub]"')


def test_a_package_that_is_there_and_broken_is_not_called_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "datasets.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "datasets", raising=False)
    with pytest.raises(MissingExtraError, match=r"cannot be imported \(No module named 'a_module_that_is_not_there'\)"):
        require("datasets", "data sets")
