"""What people hand over to models, priors and codecs: one meaning of the same numbers, or a refusal with the repair."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.data import ArraySource
from vqkit.errors import DataError
from vqkit.evaluation import evaluate
from vqkit.generation import inpaint, interpolate
from vqkit.models import PCA, VAE, VQVAE, Autoencoder, Model
from vqkit.priors import HistogramPrior

TINY: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4}


def tokenizer(channels: int = 3, axes: int = 2, **options: Any) -> VQVAE:
    torch.manual_seed(0)
    options = {"code_dim": 4, "downsampling": 1 if axes == 0 else 4, **TINY, **options}
    model = VQVAE(16, channels=channels, axes=axes, **options)
    size = {0: (), 1: (16,), 2: (8, 8), 3: (4, 4, 4)}[axes]
    model.prepare([torch.rand(32, channels, *size)])
    return model.eval()


@pytest.fixture(scope="module")
def model() -> VQVAE:
    return tokenizer()


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def as_picture(image: Tensor) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image.movedim(0, -1).numpy()))


SAME: dict[str, Callable[[Tensor], Any]] = {
    "int64": lambda x: x.long(),
    "int16": lambda x: x.short(),
    "int32 numpy": lambda x: x.numpy().astype(np.int32),
    "big-endian numpy": lambda x: x.numpy().astype(">i4"),
    "uint8 numpy": lambda x: x.numpy(),
    "uint16 of 16 bits": lambda x: x.numpy().astype(np.uint16) * np.uint16(257),
    "uint16 tensor": lambda x: torch.from_numpy(x.numpy().astype(np.uint16) * np.uint16(257)),
    "floats": lambda x: x.float() / 255,
    "float64 numpy": lambda x: x.double().numpy() / 255,
    "a hair beyond": lambda x: (x.float() / 255).where(x < 255, torch.tensor(1.0000002)),
    "strided numpy": lambda x: np.ascontiguousarray(x.numpy()[::-1])[::-1],
    "read-only numpy": lambda x: np.frombuffer(x.numpy().tobytes(), np.uint8).reshape(x.shape),
    "list of tensors": lambda x: list(x),
    "list of arrays": lambda x: [each.numpy() for each in x],
    "list of pictures": lambda x: [as_picture(each) for each in x],
    "numpy, channels last": lambda x: x.movedim(1, -1).numpy(),
    "list of arrays, channels last": lambda x: [each.movedim(0, -1).numpy() for each in x],
}


@pytest.mark.parametrize("form", SAME)
def test_the_same_pixels_are_the_same_indices(form: str, model: VQVAE, pixels: Tensor) -> None:
    assert torch.equal(model.encode(SAME[form](pixels)), model.encode(pixels))


@pytest.mark.parametrize("kind", [VQVAE, vqkit.VAE, vqkit.Autoencoder, vqkit.PCA])
def test_data_sets_are_read_batch_by_batch(kind: Any) -> None:
    from torch.utils.data import DataLoader, TensorDataset

    many = torch.randint(0, 256, (70, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    source = vqkit.load_source(many)
    model = kind.for_source(source, 4).eval()
    model.prepare([many])
    loader: Any = DataLoader(TensorDataset(many), batch_size=16)
    for method in (model.encode, model.reconstruct):
        wanted = method(many)
        for given in (source, loader, loader.dataset, vqkit.load_source(many.expand(-1, 3, -1, -1))):
            torch.testing.assert_close(method(given), wanted, rtol=1e-5, atol=1e-5)
        assert len(method(source.subset([3]))) == 1


def test_data_sets_that_make_no_batch_are_told_so(model: VQVAE, tmp_path: Path) -> None:
    several = vqkit.load_source([np.zeros((8, 8, 3), np.uint8), np.zeros((12, 8, 3), np.uint8)])
    with pytest.raises(DataError, match=r"several sizes.*one by one"):
        model.encode(several)
    with pytest.raises(DataError, match="a mask belongs to a batch"):
        model.encode(several.subset([0]), torch.ones(1, 8, 8, dtype=torch.bool))
    with pytest.raises(DataError, match=r"whole source.*source\[:16\]"):
        model(several)


def test_tokens_are_decoded_and_are_no_signals(model: VQVAE, pixels: Tensor, tmp_path: Path) -> None:
    tokens = vqkit.tokenize(model, pixels, out=tmp_path / "t")
    assert torch.equal(model.decode(tokens), model.decode(model.encode(pixels)))
    for take in (vqkit.load_source, model.encode, VQVAE.for_source):
        with pytest.raises(DataError, match="are indices, which are no signals"):
            take(tokens)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_signal_that_is_no_tensor_is_a_batch_of_one(channels: int, pixels: Tensor, tmp_path: Path) -> None:
    model = tokenizer(channels)
    pixels = pixels[:, :channels]
    image = pixels[1].movedim(0, -1).numpy()
    picture = Image.fromarray(image if channels == 3 else image[..., 0])
    picture.save(tmp_path / "one.png")
    forms: list[Any] = [image, pixels[1].numpy(), picture, tmp_path / "one.png", str(tmp_path / "one.png")]
    forms += [[each] for each in forms] + ([image[..., 0], [image[..., 0]]] if channels == 1 else [])
    for given in forms:
        assert torch.equal(model.encode(given), model.encode(pixels[1:2]))
        assert vqkit.Codec(model).compress(given) == vqkit.Codec(model).compress(pixels[1])
    assert (
        evaluate(model, picture).mse == evaluate(model, [tmp_path / "one.png"]).mse == evaluate(model, pixels[1:2]).mse
    )


def test_where_both_axes_can_be_the_channels_they_come_first(pixels: Tensor) -> None:
    model, both = tokenizer(8, downsampling=2), pixels[0].float().div(255).repeat(8, 3, 1, 1)[:, :8]
    assert torch.equal(model.encode(both.numpy()), model.encode(both))


def test_a_list_of_several_sizes_is_compressed_one_by_one(model: VQVAE, pixels: Tensor) -> None:
    parts = [pixels[0], pixels[1, :, :4]]
    given = [parts[0].movedim(0, -1).numpy(), as_picture(parts[1])]
    assert vqkit.Codec(model).compress(given) == vqkit.Codec(model).compress(parts)


def test_vectors_and_sounds_of_numpy() -> None:
    vectors, sounds = tokenizer(5, axes=0), tokenizer(1, axes=1)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    assert torch.equal(vectors.encode(x[0]), vectors.encode(torch.from_numpy(x[:1])))
    assert torch.equal(vectors.encode(x), vectors.encode(torch.from_numpy(x)))
    wave = np.sin(np.arange(64, dtype=np.float32))
    for given in (wave, wave[None], wave[:, None], wave[None, None]):
        assert torch.equal(sounds.encode(given), sounds.encode(torch.from_numpy(wave[None, None])))
    with pytest.raises(DataError, match=r"sounds are read by vqkit.load_source\('a.wav'\)"):
        sounds.encode("a.wav")


def test_a_picture_is_a_batch_of_one_in_the_models_channels(model: VQVAE, pixels: Tensor) -> None:
    assert torch.equal(model.encode(as_picture(pixels[0])), model.encode(pixels[:1]))
    grey = pixels[:1, :1].expand(-1, 3, -1, -1)
    assert torch.equal(model.encode(Image.fromarray(grey[0, 0].numpy())), model.encode(grey))
    assert torch.equal(tokenizer(1).encode(Image.fromarray(grey[0, 0].numpy())), tokenizer(1).encode(grey[:, :1]))


def test_bool_is_black_and_white(model: VQVAE, pixels: Tensor) -> None:
    assert torch.equal(model.encode(pixels > 99), model.encode((pixels > 99).float()))


WRONG: list[tuple[str, Callable[[Tensor], Any], str]] = [
    ("floats of 255", lambda x: x.float(), r"0\.\.255.*divide by 255"),
    ("int64 of 4095", lambda x: x.long() * 16, r"int64 of 0\.\.4080.*0\.\.255"),
    ("negative integers", lambda x: x.long() - 9999, r"-9999\.\..*fill values \(numbers such as -9999"),
    (
        "fill values",
        lambda x: (x.float() / 255).where(x > 0, torch.tensor(-9999.0)),
        r"-9999.*first remove or mask fill",
    ),
    ("NaN", lambda x: torch.full(x.shape, float("nan")), "NaN or Inf in 768 of 768"),
    ("one Inf", lambda x: (x.float() / 255).where(x != x[0, 0, 0, 0], torch.tensor(float("inf"))), "NaN or Inf in"),
    ("complex", lambda x: x.to(torch.complex64), "complex64"),
    ("sparse", lambda x: x.to_sparse(), "to_dense"),
    ("objects", lambda x: np.array([None, "x"]), "dtype object"),
    ("words", lambda x: "no/such/photos/", "no/such/photos': .*load_source"),
    ("words without end", lambda x: "a" * 100_000, r"^signals: .{0,1300}load_source\)$"),
    ("a list of words", lambda x: ["no.png", "such.png"], "no.png': .*load_source"),
    ("bytes", lambda x: b"photo", "type bytes.*load_source"),
    ("an empty list", lambda x: [], "empty list"),
    ("two sizes", lambda x: [x[0], x[0, :, :4]], "2 shapes"),
    ("no batch", lambda x: x[0], r"\(3, 8, 8\).*x\[None\]"),
    ("channels last", lambda x: x.movedim(1, -1), r"movedim\(-1, 1\)"),
    ("grey", lambda x: x[:, :1], r"expand\(-1, 3, -1, -1\)"),
]


@pytest.mark.parametrize(("give", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_no_picture_is_refused_by_every_entry(
    give: Callable[[Tensor], Any], message: str, model: VQVAE, pixels: Tensor
) -> None:
    given = give(pixels)
    shop: Any = vqkit.Codec(model)
    calls: list[Callable[[Any], Any]] = [model.encode, model, model.reconstruct, model.latents, model.latent_cost]
    if isinstance(given, Tensor) and given.ndim == 4:
        calls += [lambda x: shop.compress(x), lambda x: evaluate(model, [(None, x)])]
    for call in calls:
        with pytest.raises(DataError, match=message):
            call(given)
    with pytest.raises(DataError, match=message):
        model.train()(given)
    model.eval()


@pytest.mark.parametrize("kind", ["pca", "autoencoder", "vae"])
def test_continuous_models_read_alike(kind: str, pixels: Tensor) -> None:
    torch.manual_seed(0)
    found: Model
    if kind == "pca":
        found = PCA(4, channels=3, size=[8, 8])
        found.fit(lambda: iter([torch.rand(16, 3, 8, 8)]))
    else:
        found = {"autoencoder": Autoencoder, "vae": VAE}[kind](4, channels=3, size=[8, 8], **TINY)
        found.prepare([pixels])
    found.eval()
    codes = found.encode(pixels)
    assert torch.equal(found.encode(pixels.numpy().astype(np.int64)), codes)
    assert torch.equal(found.decode(codes.numpy()), found.decode(codes))
    for wrong in (pixels.float(), torch.full((1, 3, 8, 8), float("nan"))):
        for call in (found.encode, found, lambda x: found.log_likelihood(x, codes)):
            with pytest.raises(DataError, match=r"NaN|0\.\.255"):
                call(wrong)
    with pytest.raises(DataError, match="NaN or Inf"):
        found.decode(codes.clone().fill_(float("nan")))


def test_sound_and_vectors_have_their_own_ranges() -> None:
    sound, vectors = tokenizer(1, 1), tokenizer(5, 0)
    wave = torch.randn(2, 1, 16, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    assert sound.encode(wave.numpy()).shape == (2, 4)
    with pytest.raises(DataError, match=r"int16.*x / 32768"):
        sound.encode((wave * 32767).short())
    with pytest.raises(DataError, match=r"sounds lie in \[-1, 1\].*x / 32768"):
        sound.encode(wave * 32767)
    rows = torch.randint(0, 200, (6, 5), generator=torch.Generator().manual_seed(0))
    read = torch.from_numpy(vqkit.load_source(rows.numpy().astype(np.uint8)).gather(range(6)))
    for given in (rows.byte(), rows, rows.double().numpy()):  # vectors are numbers, whatever their dtype
        assert torch.equal(vectors.encode(given), vectors.encode(read))
    with pytest.raises(DataError, match="more than float32 can hold"):
        vectors.encode(rows.double() * 1e300)


def test_indices_of_every_integer_dtype_decode_and_others_are_refused(model: VQVAE, pixels: Tensor) -> None:
    indices = model.encode(pixels)
    want = model.decode(indices)
    for given in (indices.int(), indices.byte(), indices.numpy().astype(np.uint16), indices.tolist()):
        assert torch.equal(model.decode(given), want)
    for wrong, message in (
        (indices.float(), "float32; give integers"),
        (torch.full((1, 2, 2), float("nan")), "float32; give integers"),
        (indices - 1, "-1"),
        (indices + 16, r"reach from .* \[0, 15\]"),
        (indices > 1, "bool"),
    ):
        with pytest.raises(DataError, match=message):
            model.decode(wrong)


def test_priors_read_what_token_sets_hold(model: VQVAE, pixels: Tensor) -> None:
    prior = HistogramPrior(16, [2, 2])
    indices = model.encode(pixels)
    want = prior.log_prob(indices)
    assert torch.equal(prior.log_prob(indices.numpy().astype(np.uint16)), want)
    known, keep = indices[:2].numpy().astype(np.uint8), np.ones((2, 2, 2), bool)
    assert torch.equal(prior.sample(2, known=known, keep=keep), indices[:2])
    for wrong in (indices.float(), indices.numpy() - 100, indices > 1):
        with pytest.raises(DataError, match="indices"):
            prior.log_prob(wrong)


def test_a_codec_and_edits_take_pictures_and_arrays(model: VQVAE, pixels: Tensor) -> None:
    shop = vqkit.Codec(model)
    want = shop.compress(pixels[:1])
    for given in (pixels[0], pixels[0].numpy(), as_picture(pixels[0]), [as_picture(pixels[0])], pixels[0].long()):
        assert shop.compress(given) == want
    prior = HistogramPrior(16, [2, 2])
    mask = np.zeros((8, 8), bool)
    mask[:4] = True
    made = [
        inpaint(model, prior, image, mask, 2, generator=torch.Generator().manual_seed(0))
        for image in (pixels[0], pixels[0].numpy(), as_picture(pixels[0]))
    ]
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])
    between = interpolate(model, as_picture(pixels[0]), pixels[1].numpy(), 3)
    assert torch.equal(between, interpolate(model, pixels[0], pixels[1], 3))


def field(channels: int = 1) -> ArraySource:
    values = np.random.default_rng(0).normal(280, 20, (12, channels, 8, 8)).astype(np.float32)
    return ArraySource(values, name="field")


def test_a_source_beyond_the_range_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = field()
    model = tokenizer(1)
    for call in (
        lambda: vqkit.train(model, source, steps=1, out=tmp_path / "run", quiet=True),
        lambda: vqkit.tokenize(model, source, out=tmp_path / "tokens"),
        lambda: vqkit.train(
            PCA(2, channels=1, size=[8, 8]), source, out=tmp_path / "pca", quiet=True, tensorboard=False
        ),
    ):
        with pytest.raises(DataError, match=r"field hold float values .*images lie in \[0, 1\].*fill values.*rescale"):
            call()
    assert not list(tmp_path.iterdir())
    bad = ArraySource(np.full((3, 4), np.nan, np.float32), name="vectors")
    with pytest.raises(DataError, match="item 0 holds NaN"):
        tokenizer(4, 0).check_source(bad)


def test_a_subset_within_the_range_is_taken() -> None:
    values = np.random.default_rng(0).random((6, 1, 8, 8)).astype(np.float32)
    values[5] = 7
    source = ArraySource(values, name="field")
    with pytest.raises(DataError, match=r"\.\.7;"):
        tokenizer(1).check_source(source)
    tokenizer(1).check_source(source.subset([0, 1, 2]))


@pytest.mark.parametrize("channels", [2, 13])
def test_other_numbers_of_bands_train_and_come_back_as_arrays(channels: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((12, channels, 8, 8)).astype(np.float32)
    source = ArraySource(values, name="bands")
    model = VQVAE.for_source(source, codebook_size=16, code_dim=8, **TINY)
    run = vqkit.train(model, source, steps=2, batch_size=4, out=tmp_path / "run", quiet=True, tensorboard=False)
    assert run.finished
    assert not list((tmp_path / "run" / "pictures").glob("*.png"))
    vqkit.tokenize(model, source, out=tmp_path / "tokens")
    place = str(tmp_path / "run")
    done = CliRunner().invoke(app, ["decode", place, str(tmp_path / "tokens"), "--out", str(tmp_path / "back")])
    assert done.exit_code == 0, done.output
    (file,) = (tmp_path / "back").glob("[!.]*")
    back = np.load(file)
    assert back.shape == values.shape
    assert np.allclose(back, model.reconstruct(values).numpy(), atol=1e-5)
    blob = tmp_path / "x.vqk"
    blob.write_bytes(vqkit.Codec(model).compress(values[:2]))
    done = CliRunner().invoke(app, ["decompress", str(blob), "-m", place, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert {each.suffix for each in (tmp_path / "out").iterdir()} == {".npy"}
    done = CliRunner().invoke(app, ["reconstruct", place, "--out", str(blob) + ".png"])
    assert isinstance(done.exception, DataError)
    assert f"{channels}-channel images" in str(done.exception)


def test_advice_does_not_rescale_over_fill_values() -> None:
    values = np.random.default_rng(0).random((3, 8, 8))
    values[0, 0, 0] = -9999
    with pytest.raises(DataError, match=r"-9999.*first remove or mask fill values") as caught:
        vqkit.load_source(values)
    assert "min()" not in str(caught.value)
    with pytest.raises(DataError, match=r"-9999.*first remove or mask fill values"):
        vqkit.load_source(values.astype(np.int32))


def test_pictures_in_memory_are_read_as_their_files() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    for picture in (Image.fromarray(colour), Image.fromarray(colour[..., 0]), Image.fromarray(colour[..., :2])):
        file = io.BytesIO()
        picture.save(file, format="PNG")
        read, _ = vqkit.data.decode_image(file.getvalue())
        model = tokenizer(read.shape[0])
        assert torch.equal(model.encode(picture), model.encode(read[None]))
