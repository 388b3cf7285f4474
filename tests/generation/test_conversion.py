"""Conversion: the same codes under another class, in Python and on the command line, for images and for sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import vqkit
from vqkit.cli.commands import convert as convert_command
from vqkit.cli.main import app
from vqkit.data import ArraySource
from vqkit.errors import ConfigError, DataError
from vqkit.generation import generate
from vqkit.signals.wav import write_wav
from vqkit.tokens import detokenize

NAMES = ["anna", "ben", "carla"]


@pytest.fixture
def images() -> ArraySource:
    """Six images of three classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), dtype=np.uint8)
    return ArraySource(pixels, labels=np.array([0, 1, 2] * 2), class_names=NAMES)


def tiny(source: ArraySource, **options: Any) -> vqkit.VQVAE:
    """A model that has seen no data."""
    return vqkit.VQVAE.for_source(source, 8, hidden_channels=8, conditional=True, seed=0, **options).eval()


def run(*words: object) -> str:
    """What a command that has to work prints."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, (done.exception, done.output)
    return done.output


def refused(*words: object) -> str:
    """The error of a command that has to be refused."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exception is not None
    return str(done.exception) + done.output


def test_converted_signals_are_those_codes_under_the_class(images: ArraySource) -> None:
    model = tiny(images).train()
    x = images[:3]
    found = vqkit.convert(model, x, to="carla")
    assert model.training  # the mode is left
    model.eval()
    assert torch.equal(found, model.decode(model.encode(x), (8, 8), condition=[2, 2, 2]))
    assert torch.equal(vqkit.convert(model, x, to=[2, "ben", 0])[:1], found[:1])
    own = vqkit.convert(model, x, to=images.labels[:3])  # type: ignore[index]
    assert torch.allclose(own, model.reconstruct(images)[:3], atol=1e-6)
    with pytest.raises(DataError, match="'anna', 'ben', 'carla'"):
        vqkit.convert(model, x, to="dora")
    with pytest.raises(DataError, match="no class given"):
        vqkit.convert(model, x, to=None)
    with pytest.raises(DataError, match="this model's decoder has none"):
        vqkit.convert(vqkit.VQVAE.for_source(images, 8, hidden_channels=8), x, to=0)


def test_one_signal_is_encoded_once_for_all_classes(images: ArraySource, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(images).eval()
    wanted = [vqkit.convert(model, images[:1], to=name)[0] for name in ("carla", "ben", "anna")]
    seen: list[int] = []
    monkeypatch.setattr(model.encoder, "forward", counting(model.encoder.forward, seen))
    found = vqkit.convert(model, images[:1], to=["carla", 1, "anna"])
    assert torch.allclose(found, torch.stack(wanted), atol=1e-5)
    assert seen == [1]  # one batch of one signal
    with pytest.raises(DataError, match="condition"):
        vqkit.convert(model, images[:2], to=["carla", "ben", "anna"])


def counting(forward: Any, seen: list[int]) -> Any:
    """A network that also notes how many signals it is given."""

    def noting(x: torch.Tensor) -> Any:
        seen.append(len(x))
        return forward(x)

    return noting


def test_files_of_codes_are_decoded_under_a_class(images: ArraySource) -> None:
    model = tiny(images)
    blob = vqkit.Codec(model, condition="ben").compress(images)
    found = vqkit.Codec(model, condition="ben").decompress(blob)
    wanted = model.reconstruct(images, "ben")
    assert (found.float() / 255 - wanted).abs().max() < 0.51 / 255
    other = vqkit.Codec(model, condition=2).decompress(blob)
    assert not torch.equal(found, other)
    with pytest.raises(DataError, match=r"no class given.*'anna', 'ben', 'carla'"):
        vqkit.Codec(model).decompress(blob)
    with pytest.raises(DataError, match="'dora' is unknown"):
        vqkit.Codec(model, condition="dora")


def test_tokens_are_decoded_under_their_labels_or_a_class(images: ArraySource, tmp_path: Path) -> None:
    model = tiny(images)
    tokens = vqkit.tokenize(model, images, tmp_path / "tokens")
    detokenize(model, tokens, tmp_path / "own")
    own = np.stack([np.asarray(Image.open(tmp_path / "own" / f"{n:06d}.png")) for n in range(6)])
    wanted = (255 * model.reconstruct(images)[:, 0]).round()
    assert np.abs(own - wanted.numpy()).max() <= 1
    detokenize(model, tokens, tmp_path / "ben", to="ben")
    assert (tmp_path / "ben/000000.png").read_bytes() != (tmp_path / "own/000000.png").read_bytes()
    bare = vqkit.tokenize(model, ArraySource(images[:6]), tmp_path / "bare")
    with pytest.raises(DataError, match=r"have no labels to condition on.*or to=\.\.\., a class for all"):
        detokenize(model, bare, tmp_path / "none")


def test_samples_are_decoded_under_the_priors_classes_or_others(images: ArraySource, tmp_path: Path) -> None:
    model = tiny(images)
    tokens = vqkit.tokenize(model, images, tmp_path / "tokens")
    prior = vqkit.HistogramPrior.for_tokens(tokens).eval()
    signals, indices = generate(model, prior, 4, to=[0, 1, 2, 0], generator=torch.Generator().manual_seed(0))
    assert torch.allclose(signals, model.decode(indices, (8, 8), condition=[0, 1, 2, 0]), atol=1e-6)
    with pytest.raises(DataError, match="no class given"):
        generate(model, prior, 4)
    same = vqkit.TransformerPrior.for_tokens(tokens, classes=3, hidden_channels=16, layers=1, heads=2).eval()
    asked = torch.tensor([2, 0])
    signals, indices = generate(model, same, 2, asked)
    assert torch.allclose(signals, model.decode(indices, (8, 8), condition=asked), atol=1e-6)
    plain = vqkit.VQVAE.for_source(images, 8, hidden_channels=8).eval()
    with pytest.raises(DataError, match="this model's decoder has none"):
        generate(plain, prior, 1, to=0)


@pytest.mark.parametrize("name", ["7_theo_1.wav", "a/7_theo_1.wav", "train.parquet row 3 (7_theo_1.wav)"])
def test_a_row_of_a_table_is_known_by_the_name_of_its_recording(name: str) -> None:
    assert convert_command._own(name).stem == "7_theo_1"


def test_the_command_writes_files_and_a_sheet(tmp_path: Path) -> None:
    rng, data = np.random.default_rng(0), tmp_path / "data"
    for number in range(6):
        folder = data / NAMES[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        write_wav(
            folder / f"{number}_word.wav", rng.uniform(-0.5, 0.5, (1, 500 + 40 * number)).astype(np.float32), 8000
        )
    spec = '{"type": "seanet", "config": {"strides": [4, 5], "hidden_channels": 8, "residual_blocks": 1}}'
    nets = ["--set", f"encoder={spec}", "--set", f"decoder={spec}", "--no-tensorboard", "--crop", 400]
    trained = ["train", f"sound@8000:{data}", "--conditional", "--steps", 2, "--batch-size", 2, *nets]
    run(*trained, "-k", 8, "--validation", "last:2", "-o", tmp_path / "run")
    assert "class_names = ['anna', 'ben', 'carla']" in run("info", tmp_path / "run")
    out = tmp_path / "out"
    printed = run("convert", tmp_path / "run", data, "--to", "ben", "--to", 2, "--to", 1, "--only", "[01]_*", "-o", out)
    assert "4 sounds" in printed
    names = sorted(file.name for file in out.iterdir())
    assert names == [
        "000-0-word-ben.wav",
        "000-0-word-carla.wav",
        "001-1-word-ben.wav",
        "001-1-word-carla.wav",
        "sheet.png",
    ]
    model = vqkit.load_model(tmp_path / "run")
    source = vqkit.load_source(f"sound@8000:{data}")
    first = next(n for n in range(6) if "0_word" in str(source.item_name(n)))
    wanted = vqkit.convert(model, source.read(first)[None], to="ben")[0]
    made = vqkit.load_source(f"sound@8000:{out / '000-0-word-ben.wav'}").read(0)
    assert np.abs(made - wanted.numpy()).max() < 1e-4
    one = run("convert", tmp_path / "run", next(data.rglob("*.wav")), "--to", "anna", "-n", 1, "-o", tmp_path / "one")
    assert "1 sound" in one
    assert "give --to, one of the classes 'anna', 'ben', 'carla'" in refused("convert", tmp_path / "run", data)
    assert "'dora' is unknown" in refused("convert", tmp_path / "run", data, "--to", "dora")
    assert "no item has such a name" in refused("convert", tmp_path / "run", data, "--to", 0, "--only", "x*")
    plain = vqkit.VQVAE.for_source("builtin:digits", 8, hidden_channels=8)
    plain.save_pretrained(tmp_path / "plain")
    assert "has no classes to convert to" in refused("convert", tmp_path / "plain", "digits", "--to", 0)
    assert "a PCA has no decoder network" in refused("train", "digits", "--model", "pca", "--conditional")
    with pytest.raises(ConfigError, match="have no labels to condition on"):
        vqkit.VQVAE.for_source(ArraySource(np.zeros((4, 1, 8, 8), np.uint8)), 8, conditional=True)


def test_the_temperature_of_an_autoregressive_decoder_is_said_on_the_command_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source = ArraySource(
        rng.uniform(-0.5, 0.5, (2, 1, 96)).astype(np.float32), kind="sound@8000", labels=np.arange(2),
        class_names=NAMES[:2],
    )  # fmt: skip
    sizes: dict[str, Any] = {"residual_channels": 4, "residual_blocks": 1, "code_dim": 4, "downsampling": 8}
    model = tiny(source, encoder="seanet", decoder={"type": "wavenet", "config": {"layers": 2}}, **sizes)
    model.save_pretrained(tmp_path / "model")
    write_wav(tmp_path / "word.wav", source[0], 8000)
    vqkit.tokenize(model, source, tmp_path / "tokens")
    (tmp_path / "words.vqk").write_bytes(vqkit.Codec(model).compress(source))
    lines: dict[str, list[object]] = {
        "convert": [tmp_path / "model", tmp_path / "word.wav", "--to", "ben"],
        "decode": [tmp_path / "model", tmp_path / "tokens"],
        "decompress": [tmp_path / "words.vqk", "--model", tmp_path / "model", "--to", "ben"],
    }
    for command, words in lines.items():
        heard = []
        for number, more in enumerate(([], ["--temperature", 0], ["--temperature", 1])):
            out = tmp_path / f"{command}{number}"
            run(command, *words, *more, "-o", out)
            heard.append([file.read_bytes() for file in sorted(out.glob("*.wav"))])
        assert heard[0] == heard[2] != heard[1], command
        assert heard[0], command
        assert "give 0 or more" in refused(command, *words, "--temperature", "-1", "-o", tmp_path / "none"), command
