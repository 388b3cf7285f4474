"""New images and redrawn ones: what is kept stays, what is new comes from the prior, and every command line of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.cli.cases import refused
from vqkit.data import load_source
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation import nearest_items, repeated_share
from vqkit.generation import Canvas, blend, cells, extend, generate, inpaint, interpolate
from vqkit.models import VQVAE
from vqkit.priors import HistogramPrior, MaskedPrior


@pytest.fixture(scope="module")
def model() -> VQVAE:
    torch.manual_seed(0)
    found = VQVAE.for_source(
        load_source("digits"), 16, code_dim=4, hidden_channels=8, residual_channels=4, downsampling=2
    )
    batch = torch.from_numpy(load_source("digits").gather(range(200)))
    found.prepare([batch])
    return found.eval()


@pytest.fixture(scope="module")
def prior(model: VQVAE) -> MaskedPrior:
    torch.manual_seed(0)
    return MaskedPrior(16, (4, 4), hidden_channels=16, layers=1).eval()


def image(number: int = 3) -> Tensor:
    return torch.from_numpy(load_source("digits").gather([number])[0])


def test_cells_are_those_with_any_marked_pixel() -> None:
    redraw = torch.zeros(5, 8, dtype=torch.bool)
    redraw[4, 7] = redraw[0, 2] = True
    found = cells(redraw, 2)
    assert found.shape == (3, 4)
    assert torch.nonzero(found).tolist() == [[0, 1], [2, 3]]


def test_generated_signals_are_their_indices_decoded(model: VQVAE, prior: MaskedPrior) -> None:
    images, indices = generate(model, prior, 5, generator=torch.Generator().manual_seed(1))
    assert images.shape == (5, 1, 8, 8)
    assert torch.equal(images, model.decode(indices, (8, 8)))
    again, _ = generate(model, prior, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(images, again)


def test_inpainting_keeps_what_is_kept(model: VQVAE, prior: MaskedPrior) -> None:
    redraw = torch.zeros(8, 8, dtype=torch.bool)
    redraw[2:4, 2:6] = True
    calls = []
    real = prior.sample

    def sample(*arguments: Any, **named: Any) -> Tensor:
        calls.append(real(*arguments, **named))
        return calls[-1]

    prior.sample = sample  # type: ignore[method-assign]
    try:
        made = inpaint(model, prior, image(), redraw, 6, generator=torch.Generator().manual_seed(0))
    finally:
        del prior.sample
    indices = model.encode(image().unsqueeze(0))
    new = cells(redraw, 2)
    assert (calls[0][:, ~new] == indices[:, ~new]).all()
    assert len(torch.unique(calls[0][:, new], dim=0)) > 1
    assert torch.equal(made, model.decode(calls[0], (8, 8)))
    blended = blend(image(), made, redraw)
    assert torch.equal(blended[:, :, ~redraw], (image().float() / 255)[:, ~redraw].expand(6, -1, -1))
    assert torch.equal(blended[:, :, redraw], made[:, :, redraw])


@pytest.mark.parametrize(
    "sides", [{"right": 3}, {"left": 8}, {"top": 2, "bottom": 9}, {"left": 1, "right": 1, "top": 1, "bottom": 1}]
)
def test_extending_keeps_the_image_and_fills_the_rest(model: VQVAE, sides: dict[str, int]) -> None:
    counts = torch.zeros(16, dtype=torch.int64)
    counts[5] = 10**9
    five = HistogramPrior.from_histogram(counts, (4, 4))
    made = extend(model, five, image(), Canvas(**sides), 2)
    canvas = {side: -(-sides.get(side, 0) // 2) for side in ("left", "top", "right", "bottom")}
    height, width = 4 + canvas["top"] + canvas["bottom"], 4 + canvas["left"] + canvas["right"]
    wanted = torch.full((2, height, width), 5)
    own = (slice(canvas["top"], canvas["top"] + 4), slice(canvas["left"], canvas["left"] + 4))
    wanted[:, own[0], own[1]] = model.encode(image().unsqueeze(0))
    assert torch.equal(made, model.decode(wanted))


def test_interpolation_begins_and_ends_at_the_images(model: VQVAE) -> None:
    made = interpolate(model, image(1), image(2), 5)
    ends = model.reconstruct(torch.stack([image(1), image(2)]))
    assert torch.equal(made[[0, -1]], ends)
    assert made.shape == (5, 1, 8, 8)


def test_what_cannot_be_drawn(model: VQVAE, prior: MaskedPrior) -> None:
    none, small = torch.zeros(8, 8, dtype=torch.bool), torch.zeros(1, 6, 6)
    with pytest.raises(DataError, match="keeps every pixel"):
        inpaint(model, prior, image(), none, 1)
    with pytest.raises(DataError, match="the mask is 3x5, the image 8x8"):  # width x height
        inpaint(model, prior, image(), none[:5, :3], 1)
    with pytest.raises(DataError, match="the image is 6x6, and the prior draws images of 8x8"):
        inpaint(model, prior, small, none[:6, :6], 1)
    with pytest.raises(ConfigError, match="1 of 8 codes at each position, the model decodes 2 axes, 1 of 16"):
        generate(model, MaskedPrior(8, (4, 4), hidden_channels=8, layers=1), 1)
    with pytest.raises(ConfigError, match="some for one"):
        extend(model, prior, image(), Canvas(), 1)
    with pytest.raises(DataError, match="smaller than the prior's 4x4"):
        extend(model, prior, small, Canvas(right=2), 1)
    with pytest.raises(ConfigError, match="2 or more"):
        interpolate(model, image(), image(), 1)
    with pytest.raises(DataError, match="8x8 and 6x8: give equal sizes"):
        interpolate(model, image(), image()[..., :6], 3)


def test_nearest_items_are_those_of_brute_force() -> None:
    generator = np.random.default_rng(0)
    items = generator.integers(0, 256, (50, 3, 4, 4), dtype=np.uint8)
    samples = torch.rand(20, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    samples[4] = torch.from_numpy(items[17]).float() / 255
    batches = [
        (np.arange(start, start + 10), torch.from_numpy(items[start : start + 10])) for start in range(0, 50, 10)
    ]
    found = nearest_items(samples, batches)
    apart = (
        (samples.double()[:, None] - torch.from_numpy(items).double()[None] / 255).square().flatten(2).mean(2).sqrt()
    )
    assert torch.equal(found.items, apart.argmin(1))
    torch.testing.assert_close(found.rms.double(), apart.amin(1), atol=1e-3, rtol=1e-3)
    assert found.items[4] == 17
    assert found.rms[4] < 1e-3
    with pytest.raises(DataError, match="no training items"):
        nearest_items(samples, [])
    with pytest.raises(DataError, match="training items are"):
        nearest_items(samples[:, :1], batches)


def test_repeated_grids_are_counted() -> None:
    samples = torch.tensor([[[1, 2], [3, 4]], [[1, 2], [3, 4]], [[0, 0], [0, 0]], [[9, 9], [9, 9]]])
    training = [np.array([[1, 2], [3, 4]], dtype=np.uint8), np.array([[0, 0], [0, 1]], dtype=np.uint16)]
    assert repeated_share(samples, training) == 0.5
    assert repeated_share(samples, []) == 0.0


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import vqkit
    from vqkit.training import TrainConfig
    from vqkit.training.recipes.prior import rates, train_prior

    folder = tmp_path_factory.mktemp("generating") / "r"
    data = load_source("digits")
    torch.manual_seed(0)
    model = VQVAE.for_source(data, 16, code_dim=4, hidden_channels=8, residual_channels=4, downsampling=2)
    vqkit.train(model, "digits", out=folder, steps=3, quiet=True, tensorboard=False)
    options = {"hidden_channels": 8, "layers": 1, "classes": 10, "condition_dropout": 0.2}
    run = train_prior(
        model, data, folder / "prior", config=TrainConfig(steps=3), prior_type="masked", options=options, quiet=True
    )
    found = rates(run)
    assert found["uniform"] == 64
    assert found["histogram"] < 64
    assert json.loads((folder / "prior" / "rates.json").read_text())["learned_bits"] == found["learned"]
    return folder


def test_sample_writes_images_and_a_sheet(vq: Any, digits_run: Path, tmp_path: Path) -> None:
    found = vq("sample", digits_run, "--n", 4, "-c", 7, "-c", 1, "--steps", 3, "--check", "--out", "s", "--guidance", 2)
    assert found.status == 0, found
    assert sorted(path.name for path in Path("s").glob("[!.]*")) == [
        "000-7.png", "001-1.png", "002-7.png", "003-1.png", "nearest.png", "sheet.png",
    ]  # fmt: skip
    assert "nearest training images" in found.out
    assert "of 4" in found.out
    told = vq(
        "sample", digits_run, "--n", 2, "--prior", digits_run / "prior" / "run" / "model", "--check", "--out", "m"
    )
    assert told.status == 0, told
    assert "of 2" in told.out
    refused(
        vq("sample", digits_run / "model", "--prior", digits_run / "prior", "--check", "--out", "n"), "without a run"
    )
    assert not Path("n").exists()
    refused(vq("sample", digits_run, "--out", "s"), "not empty")
    refused(vq("sample", digits_run, "--class", "nine"), "the classes are: 0, 1, 2")
    refused(vq("sample", digits_run, "--top-k", 99), "--top-k 99", "1 to 16")
    refused(vq("sample", "nowhere"), "nowhere")
    first = vq("sample", digits_run, "--n", 2, "--out", "a")
    second = vq("sample", digits_run, "--n", 2, "--out", "b")
    assert first.status == second.status == 0
    for name in ("000-0.png", "001-1.png"):
        assert (Path("a") / name).read_bytes() == (Path("b") / name).read_bytes()


def test_edit_redraws_extends_and_interpolates(vq: Any, digits_run: Path) -> None:
    for number, way in enumerate((["--box", "0,0,4,4"], ["--extend", "right=4"], ["--to", "digits:8"])):
        found = vq("edit", digits_run, "digits:3", *way, "--n", 3, "--out", f"e{number}")
        assert found.status == 0, found
        assert len(list(Path(f"e{number}").glob("0*.png"))) == 3
    from PIL import Image

    picture = Image.new("L", (8, 8))
    picture.putpixel((3, 3), 255)
    picture.save("mask.png")
    assert vq("edit", digits_run, "digits:3", "--mask", "mask.png", "--class", 3, "--out", "m").status == 0
    refused(vq("edit", digits_run, "digits:3"), "one of --box, --mask, --extend, --to")
    refused(vq("edit", digits_run, "digits", "--box", "0,0,4,4"), "digits:0")
    refused(vq("edit", digits_run, "digits:9999", "--box", "0,0,4,4"), "1,797 items")
    refused(vq("edit", digits_run, "digits:3", "--box", "0,0,40,4"), "within the image of 8x8")
    refused(vq("edit", digits_run, "digits:3", "--box", "zap"), "LEFT,TOP,WIDTH,HEIGHT")
    refused(vq("edit", digits_run, "digits:3", "--extend", "up=3"), "left, top, right or bottom")
    refused(vq("edit", digits_run, "gone.png", "--box", "0,0,4,4"), "gone.png")


def test_without_a_prior_there_is_nothing_to_draw_from(vq: Any, tmp_path: Path, model: VQVAE) -> None:
    model.save_pretrained("m")
    refused(vq("sample", "m"), "vqkit prior m")


def test_other_rungs_sample_from_their_own_prior(vq: Any, tmp_path: Path) -> None:
    assert vq("train", "digits", "--model", "pca", "--latent-dim", 4, "--out", "p").status == 0
    assert vq("sample", "p", "--n", 3, "--out", "s").status == 0
    assert len(list(Path("s").glob("0*.png"))) == 3
    refused(vq("sample", "p", "--class", 1), "--class", "with a codebook only")
