"""A bound on what a constructor may make: asked for before each allocation, so that nothing is built that is too large.

A model's settings come from folders of strangers and from command lines; a size in them costs nothing to write. Inside
``bounded`` every tensor that a constructor makes, and every parameter and buffer that it registers, is counted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn.modules import module
from torch.utils._python_dispatch import TorchDispatchMode

_NAMES = ("size", "n", "m", "end", "start", "step", "steps")


class TooLargeError(Exception):
    """More bytes, or more tensors, than the bound; ``bound`` is the block that said so."""

    bound: object = None


@contextmanager
def bounded(most_bytes: int, most_tensors: int | None = None) -> Iterator[object]:
    """Raise ``TooLargeError`` (its ``bound`` is what this gives) before more than is allowed is built inside.

    Args:
        most_bytes: of all tensors that are made of nothing or by broadcasting, those that are dropped again included.
        most_tensors: parameters and buffers that are registered; None for any number.
    """
    count = 0

    def register(_module: Any, _name: str, value: Any) -> None:
        nonlocal count
        count += value is not None
        if most_tensors is not None and count > most_tensors:
            _raise(f"more than {most_tensors:,} tensors", budget)

    budget = _Budget(most_bytes)
    with budget:
        hooks = [module.register_module_parameter_registration_hook(register)]
        hooks.append(module.register_module_buffer_registration_hook(register))
        try:
            yield budget
        finally:
            for hook in hooks:
                hook.remove()


def _raise(what: str, bound: object) -> NoReturn:
    error = TooLargeError(what)
    error.bound = bound
    raise error


class _Budget(TorchDispatchMode):
    """Counts the bytes that operations are about to allocate."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = self._left = most

    def count(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation of torch's, if there is room for what it makes."""
        names, gives_view = _signature(func)
        given = dict(zip(names, args, strict=False)) | (kwargs or {})
        self._left -= 0 if gives_view else _new_bytes(given)
        if self._left < 0:
            _raise(f"more than {self._most:,} bytes", self)
        return func(*args, **(kwargs or {}))


# Not in the class: torch would wrap it, and the wrapping imports its compiler (and Triton) at the first model.
_Budget.__torch_dispatch__ = _Budget.count  # type: ignore[assignment, method-assign]


@functools.cache
def _signature(func: Any) -> tuple[tuple[str, ...], bool]:
    """The names of an operation's arguments, and whether it gives a view or works in place."""
    returns = func._schema.returns
    names = tuple(argument.name for argument in func._schema.arguments)
    return names, bool(returns) and returns[0].alias_info is not None


def _new_bytes(given: dict[str, Any]) -> int:
    """Bytes of what a factory makes, of what an operation broadcasts its operands to, joins or copies; else 0."""
    if getattr(given.get("device"), "type", None) == "meta":
        return 0  # no memory at all
    tensors = [each for each in given.values() if isinstance(each, Tensor)]
    joined = [each for value in given.values() if isinstance(value, list | tuple) for each in value]
    if joined and all(isinstance(each, Tensor) for each in joined):
        return sum(each.numel() * each.itemsize for each in joined)
    width = (given.get("dtype") or (tensors[0].dtype if tensors else torch.get_default_dtype())).itemsize
    if isinstance(given.get("size"), list | tuple):
        return _product(given["size"]) * width
    if not tensors:
        numbers = [abs(each) for name in _NAMES if isinstance(each := given.get(name), int | float)]
        return math.ceil(math.prod(max(each, 1) for each in numbers)) * 8 if numbers else 0
    try:
        shapes = {tuple(each.shape) for each in tensors}  # of one shape nothing is asked: torch's answer imports sympy
        elements = _product(next(iter(shapes)) if len(shapes) == 1 else torch.broadcast_shapes(*shapes))
    except RuntimeError:  # a matrix product, an index
        return 0
    held = max(min(each.numel(), each.untyped_storage().nbytes() // each.itemsize) for each in tensors)
    return elements * width if elements > held else 0


def _product(size: Any) -> int:
    return math.prod(max(int(each), 0) for each in size)
