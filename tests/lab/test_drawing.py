"""Drawing by a prior, watched: what is held stays, the end is that of ``sample``, priors are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from tests.lab.cases import image_model, sound_model
from vqkit.errors import ConfigError, DataError
from vqkit.generation import inpaint
from vqkit.lab import OpenModel, Workshop
from vqkit.lab.acts.drawing import Canvas, Drawing, canvas_of, draw, placeholders, priors_of, takes_steps, veiled
from vqkit.lab.acts.uploads import Upload
from vqkit.priors import HistogramPrior, MaskedPrior, TransformerPrior

SMALL: dict[str, Any] = {"hidden_channels": 16, "layers": 1, "heads": 2}


def opened() -> OpenModel:
    return OpenModel("mine", None, image_model())


def masked(grid: tuple[int, ...] = (4, 4), **options: Any) -> MaskedPrior:
    torch.manual_seed(0)
    return MaskedPrior(64, grid, **SMALL, **options).eval()


def photo(side: int = 64) -> Upload:
    pixels = vqkit.load_source("builtin:photos").gather([5])[:, :, :side, :side]
    return Upload("photo", np.ascontiguousarray(pixels), 0)


def test_a_picture_becomes_the_size_that_the_prior_draws() -> None:
    canvas = canvas_of(opened(), masked(), photo())
    assert canvas.signal is not None
    assert canvas.indices is not None
    assert (canvas.size, tuple(canvas.signal.shape), tuple(canvas.indices.shape)) == ((16, 16), (3, 16, 16), (4, 4))


def test_the_last_frame_is_the_inpainting_of_the_same_seed() -> None:
    mine, prior = opened(), masked()
    canvas = canvas_of(mine, prior, photo())
    redraw = torch.zeros(4, 4, dtype=torch.bool)
    redraw[2:] = True
    pixels = redraw.repeat_interleave(4, 0).repeat_interleave(4, 1)
    *_, last = draw(mine, prior, canvas, redraw, Drawing(versions=2, seed=3, temperature=0.8))
    generator = torch.Generator().manual_seed(3)
    expected = inpaint(mine.model, prior, canvas.signal, pixels, 2, temperature=0.8, generator=generator)  # type: ignore[arg-type]
    assert last.done
    assert torch.equal(last.signals, expected)


@pytest.mark.parametrize("kind", [MaskedPrior, TransformerPrior])
def test_frames_fill_up_and_hold_what_is_held(kind: Any) -> None:
    torch.manual_seed(0)
    mine, prior = opened(), kind(64, (4, 4), **SMALL).eval()
    canvas = canvas_of(mine, prior, photo())
    redraw = torch.zeros(4, 4, dtype=torch.bool)
    redraw[1:3, 1:] = True
    frames = list(draw(mine, prior, canvas, redraw, Drawing(), frames=4))
    assert 2 <= len(frames) <= 4
    fractions = [each.fraction for each in frames]
    assert fractions == sorted(fractions)
    assert fractions[0] == pytest.approx(10 / 16)
    for each in frames:
        assert torch.equal(each.indices[0][~redraw], canvas.indices[~redraw])  # type: ignore[index]
        assert bool((each.filled[0][~redraw] == 1).all())


def test_an_empty_canvas_is_drawn_everywhere_as_by_sample() -> None:
    mine, prior = opened(), masked()
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    *_, last = draw(mine, prior, Canvas((16, 16)), nothing, Drawing(seed=5, top_k=3, steps=2))
    same = prior.sample(1, top_k=3, steps=2, generator=torch.Generator().manual_seed(5))
    assert torch.equal(last.indices, same)


def test_classes_and_guidance_reach_the_prior() -> None:
    mine, prior = opened(), masked(classes=2, condition_dropout=0.1)
    every = torch.ones(4, 4, dtype=torch.bool)
    how = Drawing(class_id=1, guidance=3.0, seed=1)
    *_, last = draw(mine, prior, Canvas((16, 16)), every, how)
    told = torch.tensor([1])
    assert torch.equal(last.indices, prior.sample(1, told, guidance=3.0, generator=torch.Generator().manual_seed(1)))


def test_a_prior_without_steps_is_shown_at_once() -> None:
    mine = opened()
    prior = HistogramPrior(64, (4, 4))
    frames = list(draw(mine, prior, Canvas((16, 16)), torch.ones(4, 4, dtype=torch.bool), Drawing()))
    assert [each.done for each in frames] == [True]
    assert not takes_steps(prior)
    assert takes_steps(masked())


def test_a_drawing_that_is_closed_computes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, prior = opened(), masked()
    calls = []
    real = prior._features

    def counted(*given: Any) -> Any:
        calls.append(1)
        return real(*given)

    monkeypatch.setattr(prior, "_features", counted)
    frames: Any = draw(mine, prior, Canvas((16, 16)), torch.ones(4, 4, dtype=torch.bool), Drawing())
    next(frames)
    next(frames)
    frames.close()
    assert 1 <= len(calls) < prior.steps
    assert not mine.lock._is_owned()  # type: ignore[attr-defined]


def test_sounds_are_cut_and_short_ones_refused() -> None:
    mine = OpenModel("voices", None, sound_model())
    prior = MaskedPrior(16, (8,), num_codebooks=3, **SMALL).eval()
    sound = Upload("voice", np.zeros((1, 1, 900), np.float32), 0)
    canvas = canvas_of(mine, prior, sound)
    assert canvas.size == (512,)
    redraw = torch.zeros(8, dtype=torch.bool)
    redraw[4:] = True
    *_, last = draw(mine, prior, canvas, redraw, Drawing())
    assert tuple(last.signals.shape) == (1, 1, 512)
    assert tuple(last.filled.shape) == (1, 8)
    with pytest.raises(DataError, match="give a longer sound"):
        canvas_of(mine, prior, Upload("voice", np.zeros((1, 1, 100), np.float32), 0))


def test_mistakes_are_said() -> None:
    mine, prior = opened(), masked()
    canvas = canvas_of(mine, prior, photo())
    with pytest.raises(DataError, match="nothing to draw: mark some"):
        next(draw(mine, prior, canvas, torch.zeros(4, 4, dtype=torch.bool), Drawing()))
    with pytest.raises(DataError, match=r"\[2, 2\] positions, the prior's grid of \[4, 4\]"):
        next(draw(mine, prior, canvas, torch.ones(2, 2, dtype=torch.bool), Drawing()))
    with pytest.raises(ConfigError, match="versions=9"):
        next(draw(mine, prior, canvas, torch.ones(4, 4, dtype=torch.bool), Drawing(versions=9)))
    with pytest.raises(ConfigError, match="no condition to guide by"):
        next(draw(mine, prior, canvas, torch.ones(4, 4, dtype=torch.bool), Drawing(guidance=2.0)))


def test_where_nothing_is_drawn_yet_stands_the_nearest_code() -> None:
    indices = torch.tensor([[[5, 0, 0], [0, 0, 9]]])
    filled = indices > 0
    assert placeholders(indices, filled, None, 2)[0].tolist() == [[5, 5, 9], [5, 9, 9]]
    known = torch.full((2, 3), 7)
    assert placeholders(indices, filled, known, 2)[0].tolist() == [[5, 7, 7], [7, 7, 9]]


def test_the_veil_lies_where_nothing_is_there() -> None:
    picture = torch.ones(1, 4, 4)
    shown = veiled(picture, torch.tensor([[1.0, 0.0], [1.0, 0.5]]))
    assert torch.equal(shown[0, :, :2], picture[0, :, :2])
    assert shown[0, 0, 2] == pytest.approx(1 - 0.82 * 0.5)
    assert shown[0, 3, 3] == pytest.approx(1 - 0.41 * 0.5)


def test_priors_are_found_in_the_run_and_beside_the_model(tmp_path: Path) -> None:
    model = image_model()
    model.save_pretrained(tmp_path)
    assert priors_of(OpenModel("mine", str(tmp_path), model)) == {}
    masked().save_pretrained(tmp_path / "prior" / "run" / "model")
    MaskedPrior(99, (4, 4), **SMALL).save_pretrained(tmp_path / "other" / "run" / "model")
    TransformerPrior(64, (4, 4), **SMALL).save_pretrained(tmp_path / "more" / "run" / "model")
    assert list(priors_of(OpenModel("mine", str(tmp_path), model))) == ["masked", "transformer"]
    model.use_prior(HistogramPrior(64, (4, 4)))
    assert list(priors_of(OpenModel("mine", None, model))) == ["histogram"]
    assert priors_of(OpenModel("flat", None, vqkit.PCA(2, size=(8, 8)))) == {}


def test_a_canvas_that_was_forgotten_is_not_drawn_over() -> None:
    """The page shows a picture whose session is gone: what it marks as held would be drawn anew too."""
    gradio = pytest.importorskip("gradio", reason="gradio is not installed: pip install 'vqkit[lab]'")
    from vqkit.lab.pages.prior import PriorPage, _Easel, _Sheet

    model = image_model()
    model.use_prior(HistogramPrior(64, (2, 2)))
    with gradio.Blocks():
        easel = _Easel(Workshop.of({"mine": model}), PriorPage())
    mask = {"mask": [1, 0, 0, 0], "picture": "data:image/png;base64,"}
    settings = (None, 1.0, 0, 1.0, 1, 1, 0)
    with pytest.raises(DataError, match="forgotten"):
        next(easel._draw("mine", None, _Sheet(), mask, *settings))
    *_, last = easel._draw("mine", None, _Sheet(), {**mask, "picture": None}, *settings)
    assert "4 of 4 positions drawn" in last[0]
