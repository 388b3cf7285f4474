"""Every example of a part of one's own runs as it stands, by public names only, in at most 80 lines."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vqkit import load_model
from vqkit.errors import ConfigError

PACKAGE = Path(__file__).parents[2] / "examples" / "extend" / "package"
EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "extend").glob("*.py"))
PUBLIC = re.compile(r"^(?:from|import) vqkit(\.\w+)?(?: import .*)?$")


@pytest.mark.usefixtures("own_registries")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(
    example: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example)])
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_and_uses_public_names(example: Path) -> None:
    lines = example.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 80
    for line in lines:
        if line.startswith(("from vqkit", "import vqkit")):
            found = PUBLIC.match(line)
            assert found, line
            assert "_" not in (found[1] or "")[:2], line


USE = """
import sys, torch, vqkit
from vqkit.quantizers import QUANTIZERS
assert "sign" in QUANTIZERS and list(QUANTIZERS)[-1] == "sign"
data = vqkit.load_source("digits")
small = {"hidden_channels": 8, "residual_channels": 4, "downsampling": 2, "code_dim": 8}
model = vqkit.VQVAE.for_source(data, codebook_size=256, quantizer="sign", **small)
run = vqkit.train(model, data, out=sys.argv[1] + "/run", steps=5, quiet=True, tensorboard=False)
assert type(run.model().quantizer).__module__ == "vqkit_sign_quantizer"
alone = vqkit.VQVAE.for_source(data, quantizer=QUANTIZERS["sign"](256, 8), **small)
alone.save_pretrained(sys.argv[1] + "/alone")
assert vqkit.load_model(sys.argv[1] + "/alone").codebook_size == 256
"""


def test_an_installed_package_brings_its_part_and_a_folder_says_which_is_missing(tmp_path: Path) -> None:
    source, site = tmp_path / "package", tmp_path / "site"
    shutil.copytree(PACKAGE, source)
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    done = subprocess.run([sys.executable, "-m", *pip, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    paths = os.pathsep.join([str(site), *sys.path])
    used = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert used.returncode == 0, used.stderr
    with pytest.raises(ConfigError, match="'sign' is not known here: install the package 'vqkit-sign-quantizer'"):
        load_model(tmp_path / "alone")
