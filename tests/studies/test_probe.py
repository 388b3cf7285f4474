"""The probe study: known cases, determinism, what it writes, and what it says of labels that will not do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vqkit
from tests.results.cases import check
from tests.studies.test_report import HOSTILE, Reader, runs_its_own_scripts_alone
from vqkit.data import ArraySource, Source, load_source
from vqkit.errors import ConfigError, DataError
from vqkit.evaluation import CodeLabels
from vqkit.models import PCA, VAE, VQVAE, Autoencoder
from vqkit.studies.probe.picture import code_label_picture
from vqkit.studies.probe.report import write_report
from vqkit.studies.probe.study import ProbeStudy, probe

NET: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "downsampling": 8}
"""One position an image: its code is a function of its gray."""
FAST: dict[str, Any] = {"permutations": 2, "resamples": 100, "validation": 0.25, "parts": 2}
LEVELS = np.repeat(np.arange(4), 30)
"""The class of each flat image."""


def flat_images(noise: int = 0) -> Source:
    """Images of one gray each, the class's: a code is the class."""
    rng = np.random.default_rng(0)
    pixels = (40 + 50 * LEVELS)[:, None, None] + rng.integers(-noise, noise + 1, (120, 8, 8))
    names = ["a", "b", "c", "d"]
    return ArraySource(pixels[:, None].astype(np.uint8), name="flat", labels=LEVELS, class_names=names)


def of_flat(**options: Any) -> VQVAE:
    """A model whose codebook is the k-means of the flat images' latents: one code for each class."""
    source = flat_images()
    model = VQVAE.for_source(source, 12, code_dim=4, seed=0, **{**NET, **options})
    model.prepare([torch.from_numpy(source.gather(range(120)))])
    return model.eval()


def rows_of(study: ProbeStudy, name: str) -> list[dict[str, Any]]:
    (entry,) = [each for each in study.document["label_sets"] if each["name"] == name]
    return list(entry["probes"])


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> ProbeStudy:
    """Labels that the codes are, and labels that nothing knows; three models; written."""
    source, out = flat_images(), tmp_path_factory.mktemp("probe") / "out"
    torch.manual_seed(0)
    models: dict[str, Any] = {
        "vq": of_flat(),
        "ae": Autoencoder.for_source(source, 4, latent="grid", seed=0, **NET).eval(),
        "pca": PCA.for_source(source, 3),
    }
    models["pca"].fit(lambda: [torch.from_numpy(source.gather(range(120))).float() / 255])
    labels = {"gray": LEVELS, "coin": np.random.default_rng(1).integers(0, 2, 120)}
    return probe(models, source, out, labels=labels, **FAST)


def test_codes_that_are_the_label_tell_all_of_it_and_nothing_of_a_coin(known: ProbeStudy) -> None:
    gray, coin = rows_of(known, "gray"), rows_of(known, "coin")
    assert len(gray) == len(coin) == 11
    for row in gray:
        assert row["accuracy"] == 1
        assert row["interval"][1] == 1
        assert 0.85 < row["interval"][0] < 0.9  # Wilson of 30 of 30: 0.886
    for row in coin:
        assert row["interval"][0] < 0.55
    assert known.accuracy("gray", "indices") == known.accuracy("gray", "indices", probe="mapping") == 1
    permuted = [row["permuted_accuracy"] for row in gray if "permuted_accuracy" in row]
    assert len(permuted) == 5  # of indices and of the autoencoder's latents at two numbers of parts, of PCA
    assert max(permuted) < 0.7


def test_information_of_known_cases(known: ProbeStudy) -> None:
    gray, coin = (each["code_tables"][0] for each in known.document["label_sets"])
    assert gray["mutual_information_bits"] == pytest.approx(gray["label_entropy_bits"], abs=0.1)
    assert gray["counted_information_bits"] == pytest.approx(gray["label_entropy_bits"])
    assert gray["position_accuracy"] == 1
    assert coin["mutual_information_bits"] < 0.1
    assert coin["position_accuracy"] < 0.7
    assert gray["training_positions"] == 90
    assert sum(each["positions"] for each in gray["table"]) == gray["training_positions"]
    assert [each["label"] for each in gray["table"]] == sorted(each["label"] for each in gray["table"])
    for each in gray["table"]:
        assert sum(each["probabilities"]) == pytest.approx(1)
        assert each["probability"] == max(each["probabilities"]) == 1


def test_the_story_of_known_cases(known: ProbeStudy) -> None:
    said = {each["claim"]: each["holds"] for each in known.document["claims"]}
    assert said["The indices of vq tell the gray better than chance."] is True
    assert said["The indices of vq tell the coin better than chance."] is not True
    (own,) = [each for each in known.document["kept"] if each["latents_of"] == "vq"]
    assert own["shares"]["gray"] == pytest.approx(1)
    assert {each["latents_of"] for each in known.document["kept"]} == {"vq", "ae", "pca"}


def test_what_is_written(known: ProbeStudy) -> None:
    assert known.path is not None
    assert known.report is not None
    assert json.loads((known.path / "probe.json").read_text()) == known.document
    check("probe", known.document)
    page = Reader(known.report.read_text())
    for word in ("gray", "coin", "indices of vq, mapping", "latents of ae", "Mutual information", "seed 0", "always"):
        assert word in page.text, word
    pictures = sorted(file.name for file in (known.path / "pictures").iterdir())
    assert pictures == ["codes-0-0-0.png", "codes-0-1-0.png"]
    assert sum(tag == "img" for tag, _ in page.tags) == 2 * 2  # for light and for dark screens
    majority = known.document["label_sets"][0]["majority"]
    assert majority["accuracy"] == np.mean(split_labels() == int(majority["label"]))


def split_labels() -> Any:
    return vqkit.split(flat_images(), 0.25, seed=0)[1].labels


def test_the_held_out_items_are_those_of_a_training(known: ProbeStudy) -> None:
    test = split_labels()
    assert known.document["label_sets"][0]["test_items"] == len(test) == 30


def test_the_same_call_gives_the_same_numbers_and_another_seed_another_split(tmp_path: Path) -> None:
    source, model = flat_images(noise=40), of_flat()
    first, again, other = (probe(model, source, seed=seed, **FAST) for seed in (0, 0, 1))
    assert first.path is None
    for each in (first, again, other):
        del each.document["made_by"]
    assert first.document == again.document
    assert first.document["label_sets"] != other.document["label_sets"]
    assert [row["model"] for row in rows_of(first, "label")][1:] == ["vqvae"] * 7
    again = probe(model, source, tmp_path / "o", seed=0, **FAST)
    del again.document["made_by"]
    for each in (first.document, again.document):
        for entry in each["label_sets"]:
            for table in entry["code_tables"]:
                table.pop("picture")
        each.pop("command")
    assert first.document == again.document


def test_several_codebooks_and_parts_and_a_vector_of_latents() -> None:
    source = flat_images()
    stack = of_flat(num_codebooks=2)
    vector = VAE.for_source(source, 3, seed=0, **NET).eval()
    found = probe({"two": stack, "one vector": vector}, source, **FAST)
    tables = found.document["label_sets"][0]["code_tables"]
    assert [each["codebook"] for each in tables] == [0, 1]
    rows = rows_of(found, "label")
    assert {row["parts"] for row in rows if row["model"] == "two"} == {1, 2}
    assert [row["parts"] for row in rows if row["model"] == "one vector"] == [0]
    assert all(row["fitted_items"] == 90 for row in rows if row["probe"] == "linear")
    assert found.accuracy("label", "indices", model="two") == 1
    with pytest.raises(ConfigError, match="no linear probe of 'indices'"):
        found.accuracy("label", "indices", model="one vector")


def test_vectors_and_sounds_of_several_lengths() -> None:
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(3, 5)) * 6
    labels = np.arange(90) % 3
    vectors = load_source((centers[labels] + rng.normal(size=(90, 5))).astype(np.float32), kind="vector")
    model = VQVAE.for_source(vectors, 8, code_dim=4, downsampling=1, hidden_channels=8, seed=0)
    model.prepare([torch.from_numpy(vectors.gather(range(90)))])
    found = probe(model, vectors, labels={"center": labels}, **FAST)
    assert found.accuracy("center", "signal") > 0.9
    assert {row["parts"] for row in rows_of(found, "center")} <= {0, 1}

    sounds = [np.sin(np.arange(400 + 16 * number) * (0.1, 0.5, 1.5)[number % 3])[None] for number in range(60)]
    source = load_source([each.astype(np.float32) * 0.5 for each in sounds], kind="sound@8000")
    net = {"type": "seanet", "config": {"hidden_channels": 4, "residual_blocks": 0}}
    model = VQVAE.for_source(source, 8, code_dim=4, downsampling=16, encoder=net, decoder=net, seed=0)
    found = probe(model, source, labels={"tone": np.arange(60) % 3}, **{**FAST, "parts": None})
    assert found.accuracy("tone", "signal") == 1
    assert {row["parts"] for row in rows_of(found, "tone")} == {1, 8}


def test_class_folders_and_label_files(tmp_path: Path) -> None:
    for number, level in enumerate(LEVELS):
        file = tmp_path / "images" / "ab"[number % 2] / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), int(40 + 50 * level)).save(file)
    about = {f"{number:03d}": {"gray": int(level), "odd": "no"} for number, level in enumerate(LEVELS) if number % 3}
    (tmp_path / "images" / "about.json").write_text(json.dumps(about))
    data = str(tmp_path / "images")
    found = probe(of_flat(), data, **FAST)
    assert [each["name"] for each in found.document["label_sets"]] == ["label"]
    assert found.document["label_sets"][0]["class_names"] == ["a", "b"]
    found = probe(of_flat(), data, labels="about.json:gray", **FAST)
    (entry,) = found.document["label_sets"]
    assert entry["name"] == "gray"
    assert entry["training_items"] + entry["test_items"] == 80  # those without a label are left out
    assert found.accuracy("gray", "indices") == 1
    with pytest.raises(DataError, match=r"odd: all \d+ training items .* of the class 'no'"):
        probe(of_flat(), data, labels=["about.json:gray", "about.json:odd"], **FAST)
    both = probe(of_flat(), data, labels={"half": [each if each % 2 else -1 for each in LEVELS], "all": LEVELS}, **FAST)
    half, whole = both.document["label_sets"]
    assert half["items_without_label"] == 60
    assert whole["items_without_label"] == 0
    assert both.document["data"]["training_items"] == 90


def test_other_data_to_judge_on(tmp_path: Path) -> None:
    def write(name: str, count: int) -> str:
        for number in range(count):
            file = tmp_path / name / "abcd"[number % 4] / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 40 + 50 * (number % 4)).save(file)
        return str(tmp_path / name)

    found = probe(of_flat(), write("one", 60), validation=write("two", 20), permutations=0, resamples=50)
    assert found.document["data"]["test_items"] == 20
    assert found.accuracy("label", "indices") == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "has no labels"),
        ({"x": np.zeros(120, int)}, "x: all 90 training items with a label are of the class '0'"),
        ({"x": np.arange(120)}, "none of the 30 classes of the held-out items"),
        ({"x": np.arange(119) % 2}, "have shape \\[119\\] for 120 items"),
        ({"x": np.where(np.arange(120) < 8, np.arange(120) % 2, -1)}, "at least: give more items"),
        ({"x": np.full(120, -1)}, "0 training and 0 held-out items"),
        ({"x": np.linspace(0, 1, 120)}, "no classes"),
        ("digit", "are of named data"),
    ],
)  # fmt: skip
def test_labels_that_no_probe_can_learn(labels: Any, message: str) -> None:
    source = load_source(flat_images().gather(range(120))[:, 0])
    with pytest.raises((DataError, ConfigError), match=message):
        probe(of_flat(), source, labels=labels, **FAST)


def test_settings_models_and_folders_that_will_not_do(tmp_path: Path) -> None:
    source, model = flat_images(), of_flat()
    for settings in (
        {"parts": 0},
        {"parts": 65},
        {"training_items": 0},
        {"permutations": -1},
        {"zap": 1},
        {"seed": -1},
    ):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            probe(model, source, **{**FAST, **settings})
    with pytest.raises(ConfigError, match="no model to probe"):
        probe([], source, **FAST)
    with pytest.raises(ConfigError, match="is no model"):
        probe([3], source, **FAST)  # type: ignore[list-item]
    with pytest.raises(DataError, match="axes"):
        probe(model, load_source(np.zeros((40, 5), np.float32), kind="vector"), **FAST)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="a probe of labels"):
        probe(model, source, tmp_path / "mine", **FAST)
    with torch.no_grad():
        next(model.encoder.parameters()).fill_(torch.nan)
    with pytest.raises(DataError, match="NaN or infinite"):
        probe(model, source, **FAST)


def test_two_models_of_one_name_are_two() -> None:
    found = probe([of_flat(), of_flat()], flat_images(), **FAST)
    assert [each["name"] for each in found.document["models"]] == ["vqvae", "vqvae (2)"]
    assert len({row["model"] for row in rows_of(found, "label")}) == 3


# ---- the picture and the page


def test_the_picture_shows_each_code_under_its_label() -> None:
    counts = np.zeros((6, 3), dtype=np.int64)
    counts[4, 0], counts[1, 1], counts[0, 2] = 10, 20, 5
    sheet = np.asarray(code_label_picture(CodeLabels(counts), ["x", "y", "z"]))
    dark = (sheet == (0, 70, 130)).all(axis=2)
    columns = [np.flatnonzero(dark[row]) for row in (34 + 60 + 13, 34 + 60 + 26 + 13, 34 + 60 + 52 + 13)]
    firsts = [int(each[0]) for each in columns]
    assert firsts == sorted(firsts)
    assert all(len(each) == 36 for each in columns)
    assert firsts[1] - firsts[0] == firsts[2] - firsts[1] == 36


def test_a_picture_of_many_codes_and_labels_stays_small() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (4096, 100))
    sheet = code_label_picture(CodeLabels(counts), [f"a long name of class {number}" for number in range(100)])
    assert sheet.width < 1300
    assert sheet.height < 1300


def test_hostile_names_stay_text(known: ProbeStudy, tmp_path: Path) -> None:
    text = json.dumps(known.document).replace("gray", "GRAY!").replace("vq", "MODEL!")
    document = json.loads(text)
    for entry in document["label_sets"]:
        entry["name"] = entry["name"].replace("GRAY!", HOSTILE)
    document["claims"] = document["kept"] = []
    document["data"]["name"] = HOSTILE
    write_report(document, tmp_path, tmp_path / "r.html")
    Reader((tmp_path / "r.html").read_text())
    runs_its_own_scripts_alone((tmp_path / "r.html").read_text())
    assert not re.search(r"<img", (tmp_path / "r.html").read_text())  # its pictures are not there
    with pytest.raises(DataError, match="'label_sets' is missing"):
        write_report({"data": {}}, tmp_path, tmp_path / "r.html")
