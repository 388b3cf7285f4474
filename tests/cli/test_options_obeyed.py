"""Every option of every command is obeyed or refused: two lines that differ in it alone do not come to the same."""

from __future__ import annotations

import re

import pytest

from tests.cli.options_cases import CASES, EXEMPT, EXEMPT_HERE, Case
from tests.cli.options_walk import Walk, all_options, make_things


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    things = tmp_path_factory.mktemp("things")
    make_things(things)
    return Walk(things, tmp_path_factory.mktemp("outs"))


def test_every_option_has_a_case() -> None:
    """A new option needs a row in ``options_cases`` (or a reason not to have one)."""
    there = {(case.command, case.option) for case in CASES}
    wanted = {(command, option) for command, options in all_options().items() for option in options}
    missing = {each for each in wanted - there if each[1] not in EXEMPT and each not in EXEMPT_HERE}
    assert not missing
    assert there <= wanted


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_obeyed_or_refused(walk: Walk, case: Case) -> None:
    first, second = walk.run(case.first), walk.run(case.second)
    if case.by == "allowed":
        assert first.refused is not None
        assert second.refused is None
        return
    assert first.refused is None
    if case.by == "location":
        assert first.files or first.settings
    elif second.refused is not None:
        assert named(case, second.refused), second.refused
    else:
        assert first.shown(case.by) != second.shown(case.by)


def named(case: Case, refused: str) -> bool:
    """Whether a refusal speaks of the option."""
    words = re.split(r"[-=_ ]+", f"{case.option.strip('-')} {case.second[-1].partition('=')[0]}")
    if case.option == "--model":
        words += ["setting", "tokenizer"]
    return any(word.rstrip("s") in refused.replace("_", "-") for word in words if word)
