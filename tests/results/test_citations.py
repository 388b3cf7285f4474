"""What to cite: every part says it, every key has its entry, every entry its part."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import vqkit
from tests.results.cases import write_run
from vqkit.errors import ConfigError
from vqkit.evaluation import MEASURES
from vqkit.objectives import OBJECTIVES
from vqkit.quantizers import QUANTIZERS, Quantizer
from vqkit.registry import Registry, origin_of
from vqkit.results.citations.parts import CITED, OPTIONS
from vqkit.results.citations.references import TOOLKIT, entries_of, known_entries

ROOT = Path(__file__).parents[2]
OBJECTIVES.available()  # those of higher floors are found when all are listed
OWN = [
    pytest.param(registry, name, id=f"{registry.kind} {name}")
    for registry in CITED
    for name, part in registry._parts.items()
    if origin_of(part) == "vqkit" and not (registry.kind == "trainable" and name != "pixels")
]


@pytest.mark.parametrize(("registry", "name"), OWN)
def test_every_part_says_what_to_cite_for_it(registry: Registry[Any], name: str) -> None:
    citations = registry.citations_of(name)
    assert citations is not None, f"register({name!r}, citations=(...)), () where no paper describes it"
    assert set(citations) <= set(known_entries())


def test_an_arxiv_number_in_a_docstring_is_that_of_a_citation() -> None:
    """What a part's first line says it is after, is what it says to cite."""
    for registry, name in (case.values for case in OWN):
        line = (registry._parts[name].__doc__ or "").splitlines()[0]
        entries = "".join(entries_of(registry.citations_of(name) or ()).values())
        for number in re.findall(r"arXiv (\d{4}\.\d{5})", line):
            assert number in entries, f"{registry.kind} {name}"


def test_every_entry_is_cited_and_every_key_known() -> None:
    cited = {key for registry, name in (case.values for case in OWN) for key in registry.citations_of(name) or ()}
    cited |= {key for measure in MEASURES.values() for key in measure.citations}
    cited |= {key for option in OPTIONS.values() for key in option.citations}
    assert cited == set(known_entries())


@pytest.mark.parametrize("key", known_entries())
def test_an_entry_is_whole(key: str) -> None:
    entry = known_entries()[key]
    kind, fields = re.match(r"@(\w+)\{", entry), dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE))
    assert kind is not None
    places = {"inproceedings": "booktitle", "article": "journal", "techreport": "institution", "misc": "title"}
    assert {"title", "author", "year", places[kind[1]]} <= set(fields)
    assert entry.count("{") == entry.count("}")
    assert len(entry.splitlines()) == len(fields) + 2
    assert entry.isascii(), "old BibTeX reads ASCII: write accents as commands"
    first = re.sub(r"[^a-z]", "", fields["author"].split(",")[0].lower())  # \'e and {\o} end in their letter
    assert key.startswith(first), "a key begins with the first author's family name"
    assert fields["year"] in key
    if "eprint" in fields:
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields["eprint"])
        assert fields["archiveprefix"] == "arXiv"
        assert 0 <= int(fields["year"]) - 2000 - int(fields["eprint"][:2]) <= 2, "published in the two years after"


def test_vqkit_is_cited_as_its_citation_file_says() -> None:
    told = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    title = re.search(r'^title: "(.*)"', told, re.MULTILINE)
    author = re.search(r"^authors:\n  - name: (.*)$", told, re.MULTILINE)
    version = re.search(r"^version: (.*)$", told, re.MULTILINE)
    assert title is not None
    assert author is not None
    assert version is not None
    plain = TOOLKIT.replace("{", "").replace("}", "")
    assert title[1].lower() in plain.lower()
    assert author[1] in plain
    assert f"Version {version[1]}" in plain
    assert vqkit.cite() == f"% vqkit\n\n{TOOLKIT}\n"


def test_a_name_of_two_kinds_gives_both_and_one_of_them_when_asked() -> None:
    both = vqkit.cite("gradient")
    assert "% quantizer gradient: vandenoord2017neural" in both
    assert "% objective gradient: li2018megadepth" in both
    one = vqkit.cite("objective:gradient")
    assert "@inproceedings{li2018megadepth," in one
    assert "quantizer" not in one


def test_each_entry_comes_once_and_what_has_no_paper_says_so() -> None:
    found = vqkit.cite("vqvae", "ema", "histogram", "psnr_db")
    assert found.count("@inproceedings{vandenoord2017neural,") == 1
    assert "% prior histogram: no paper" in found
    assert "% measure psnr_db: no paper" in found


def test_a_run_cites_what_it_is_made_of(tmp_path: Path) -> None:
    options = {"cosine": True, "gradient": "rotation"}
    model = {"num_codebooks": 4, "stacking": "residual", "quantizer_options": options}
    run = write_run(tmp_path / "run", model=model, objective="likelihood + 0.5*gradient(scales=4)", optimizer="muon")
    lines = vqkit.cite(run).partition("@")[0].splitlines()
    assert [line[2:].partition(":")[0] for line in lines if line] == [
        *("model vqvae", "quantizer ema", "encoder conv", "decoder conv", "quantizer residual"),
        *("option rotation", "option cosine", "objective likelihood", "objective gradient"),
        *("optimizer muon", "schedule cosine"),
    ]


def test_a_saved_model_cites_its_class_alone(tmp_path: Path) -> None:
    vqkit.PCA(2, channels=1, size=(4, 4)).save_pretrained(tmp_path / "model")
    assert vqkit.cite(tmp_path / "model").startswith("% model pca: pearson1901lines, tipping1999probabilistic\n\n@")


def test_parts_of_others_bring_entries_of_their_own(own_registries: None) -> None:
    entry = "@misc{coin2026, title = {Coins}, author = {A. Coiner}, year = {2026}}"

    class Coin(Quantizer):
        """Heads or tails."""

        citations = (entry, "vandenoord2017neural")

    class Die(Quantizer):
        """One of six."""

    QUANTIZERS.register("coin")(Coin)
    QUANTIZERS.register("die")(Die)
    assert vqkit.cite("coin").startswith("% quantizer coin: coin2026, vandenoord2017neural\n\n" + entry)
    assert vqkit.cite("die") == "% quantizer die: not said\n"
    QUANTIZERS.register("worse", citations=["van den Oord 2017"])(type("Worse", (Quantizer,), {}))
    with pytest.raises(ConfigError, match="'van den Oord 2017' is no BibTeX entry"):
        vqkit.cite("worse")


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'simvp'.*did you mean 'simvq'.*quantizers ema"):
        vqkit.cite("simvp")
    with pytest.raises(ConfigError, match="quantizer:psnr_db"):
        vqkit.cite("quantizer:psnr_db")
