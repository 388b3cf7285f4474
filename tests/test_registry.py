"""Registries: parts by decorator, from installed packages, and refused with the repair."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from vqkit import registry as module
from vqkit.errors import ConfigError
from vqkit.registry import Registry


class Shape:
    """What every shape is."""


def shapes() -> Registry[type[Shape]]:
    found: Registry[type[Shape]] = Registry("shape", "vqkit.shapes", Shape)

    @found.register("square")
    class Square(Shape):
        pass

    return found


def test_a_registry_reads_like_a_dict_in_the_order_of_registration() -> None:
    found = shapes()

    @found.register("circle")
    class Circle(Shape):
        pass

    @found.register("hidden", listed=False)
    class Hidden(Shape):
        pass

    assert list(found) == ["square", "circle"]
    assert len(found) == 2
    assert found["circle"] is Circle
    assert found.get_part("hidden") is Hidden
    assert "hidden" in found
    assert found.name_of(Circle) == "circle"
    assert found.name_of(int) is None
    with pytest.raises(KeyError):
        found["zap"]


def test_unknown_names_list_the_known_and_suggest_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"'sqare' is unknown \(did you mean 'square'\?\); known: square;.*vqkit\.shapes"
    ):
        shapes().get_part("sqare")


def test_names_are_taken_once_and_classes_are_of_the_kind() -> None:
    found = shapes()
    with pytest.raises(ConfigError, match="'square' is taken"):
        found.register("square")(type("Other", (Shape,), {}))
    for bad in (int, 3):
        with pytest.raises(ConfigError, match=r"a subclass of .*Shape"):
            found.register("bad")(bad)  # type: ignore[type-var]
    found.register("square")(found["square"])  # a module that is imported twice


def test_packages_offer_parts_and_are_named_when_they_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = [
        EntryPoint("star", f"{__name__}:Shape", "vqkit.shapes"),
        EntryPoint("moon", "no_such_package.shapes:Moon", "vqkit.shapes"),
        EntryPoint("sun", "builtins:int", "vqkit.shapes"),
    ]
    monkeypatch.setattr(module, "entry_points", lambda group: offered if group == "vqkit.shapes" else [])
    found = shapes()
    assert list(found) == ["square", "star", "moon", "sun"]
    assert found["star"] is Shape
    with pytest.raises(ConfigError, match=r"'moon' .*package no_such_package.*cannot be imported.*uninstall"):
        found.get_part("moon")
    with pytest.raises(ConfigError, match=r"'sun' .*a subclass of"):
        found.get_part("sun")


def test_a_broken_package_stops_nobody_who_does_not_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = [EntryPoint("moon", "no_such_package.shapes:Moon", "vqkit.shapes")]
    monkeypatch.setattr(module, "entry_points", lambda group: offered)
    found = shapes()
    assert list(found) == ["square", "moon"]
    assert list(found.available()) == ["square"]
    assert "@SHAPES.register('zap')" in found.missing("zap", None)


def test_a_name_that_is_taken_leaves_the_class_as_it_was() -> None:
    found: Registry[type[Shape]] = Registry("shape", "vqkit.shapes", Shape, attribute="label")
    found.register("square")(type("Square", (Shape,), {}))
    other = type("Other", (Shape,), {})
    with pytest.raises(ConfigError, match="is taken"):
        found.register("square")(other)
    assert "label" not in other.__dict__
