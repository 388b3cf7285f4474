"""The study of rate and distortion on sound: real files, aligned, their bits counted; and its page."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vqkit
from tests.results.cases import check
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation.sound import si_sdr_db
from vqkit.studies.rate_distortion.sounds.codecs import matched, sound_codecs
from vqkit.studies.rate_distortion.sounds.measures import delay_of
from vqkit.studies.report import page

pytest.importorskip("soundfile")
RATE = 16000
TIME = np.arange(2 * RATE) / RATE
CHIRP = (0.3 * np.sin(2 * np.pi * (200 + 300 * TIME) * TIME) * np.sin(9 * TIME) ** 2).astype(np.float32)[None]


@pytest.mark.parametrize(
    ("name", "value", "kbps"), [("Opus", 32, 32), ("MP3", 32, 32), ("MP3", 8, 8), ("Vorbis", 0.5, 40)]
)
def test_codecs_make_files_of_about_the_wanted_rate_that_come_back_aligned(
    name: str, value: float, kbps: float
) -> None:
    codecs, missing = sound_codecs({name.lower(): [value]}, 1)
    assert not missing
    (codec,) = codecs
    data = codec.encode(CHIRP, RATE, value)
    assert 8 * len(data) / 2000 == pytest.approx(kbps, rel=0.45)
    decoded, own = codec.decode(data)
    back = matched(CHIRP, decoded, RATE, own, lambda samples: delay_of(CHIRP, samples, RATE))
    assert back.shape == CHIRP.shape
    import torch

    x, y = (torch.from_numpy(each)[None] for each in (CHIRP, back))
    assert float(si_sdr_db(x, y)) > (2 if value == 8 else 8)


def test_another_rate_goes_through_the_next_higher_one_and_back() -> None:
    pytest.importorskip("soxr")
    (codec,), _ = sound_codecs({"opus": [32]}, 1)
    decoded, own = codec.decode(codec.encode(CHIRP, 22050, 32))
    assert own == 24000
    back = matched(CHIRP, decoded, 22050, own, lambda samples: delay_of(CHIRP, samples, 22050))
    assert back.shape == CHIRP.shape
    assert np.corrcoef(back[0], CHIRP[0])[0, 1] > 0.9


@pytest.mark.parametrize("late", [-37, 0, 250])
def test_a_delay_is_taken_out(late: int) -> None:
    moved = np.roll(CHIRP, late, axis=1)
    back = matched(CHIRP, moved, RATE, RATE, lambda samples: delay_of(CHIRP, samples, RATE))
    inner = slice(300, -300)
    assert np.array_equal(back[:, inner], CHIRP[:, inner])


@pytest.fixture(scope="module")
def model() -> vqkit.VQVAE:
    import torch

    torch.manual_seed(0)
    data = vqkit.load_source(CHIRP[None], kind=f"sound@{RATE}")
    small = {"hidden_channels": 4, "residual_blocks": 1, "residual_channels": 4, "code_dim": 4}
    made: vqkit.VQVAE = vqkit.VQVAE.for_source(data, kbps=[1.5, 3], seed=0, **small)
    made.prepare([torch.randn(8, 1, 16384) / 5])
    return made.eval()


@pytest.fixture(scope="module")
def study(model: vqkit.VQVAE, tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = vqkit.load_source(np.stack([CHIRP, CHIRP[:, ::-1]]), kind=f"sound@{RATE}")
    out = tmp_path_factory.mktemp("study") / "rates"
    return vqkit.rate_distortion(data, model, out, opus=[6], mp3=[8], vorbis=[], seconds=1, shown=1)


def test_every_rate_is_that_of_whole_files(study: Any, model: vqkit.VQVAE) -> None:
    curves = {curve["name"]: curve for curve in study.document["curves"]}
    assert list(curves) == ["vqkit", "Opus", "MP3"]
    points = curves["vqkit"]["points"]
    assert [each["nominal_kbps"] for each in points] == [1.5, 3.0]
    for each in points:
        size = sum(
            len(vqkit.Codec(model, codebooks=each["codebooks"]).compress(sound[:, :RATE]))
            for sound in (CHIRP, CHIRP[:, ::-1].copy())
        )
        assert each["kbps"] == pytest.approx(8 * size / 2 / 1000)
    assert all(
        0 < each["kbps"] < 20 and "mel_distance" in each for curve in curves.values() for each in curve["points"]
    )


def test_the_page_plays_the_sounds_and_loads_nothing(study: Any) -> None:
    text = study.report.read_text(encoding="utf-8")
    sounds = re.findall(r'<audio [^>]*src="data:audio/wav;base64,([^"]+)"', text)
    assert len(sounds) == 4  # original, model, Opus, MP3
    files = [study.path / "sounds" / name for name in ("0-original.wav", "0-vqkit.wav", "0-opus.wav", "0-mp3.wav")]
    assert [base64.b64decode(each) for each in sounds] == [file.read_bytes() for file in files]
    assert "media-src data:" in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert json.loads((study.path / "rate-distortion.json").read_text())["curves"] == study.document["curves"]
    check("rate-distortion-sounds", study.document)


def test_a_study_goes_on_where_it_stopped(study: Any, model: vqkit.VQVAE) -> None:
    log = study.path / "measures.jsonl"
    before = log.read_text()
    data = vqkit.load_source(np.stack([CHIRP, CHIRP[:, ::-1]]), kind=f"sound@{RATE}")
    again = vqkit.rate_distortion(data, model, study.path, opus=[6], mp3=[8], vorbis=[], seconds=1, shown=0)
    assert log.read_text() == before
    assert again.document["curves"] == study.document["curves"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"opus": [3]}, "opus=3: give 6 to 512"),
        ({"vorbis": [2]}, "vorbis=2: give 0 to 1"),
        ({"kbps": [2.2]}, "in steps of"),
        ({"codebooks": [99]}, "this model has"),
        ({"codebooks": [1], "kbps": [1.5]}, "give one of them"),
        ({"seconds": 0}, "seconds=0"),
        ({"jpeg": [10]}, "jpeg"),
    ],
)
def test_settings_out_of_range_are_refused(
    model: vqkit.VQVAE, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    data = vqkit.load_source(CHIRP[None], kind=f"sound@{RATE}")
    with pytest.raises(ConfigError, match=message):
        vqkit.rate_distortion(data, model, tmp_path / "out", **settings)


def test_a_player_is_of_a_sound() -> None:
    with pytest.raises(DataError, match="neither a WAV nor a FLAC"):
        page.audio(b"GIF89a", label="x")
    assert 'aria-label="a &lt; b"' in page.audio(b"RIFF", label="a < b")
