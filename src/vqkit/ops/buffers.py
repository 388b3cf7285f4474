"""Buffers that keep their meaning: statistics that no cast narrows, constants that are made anew.

Running averages in bfloat16 stop moving (an addition below 1/256 of them is lost), and constants in it are others, so a
module's own floating buffers stay float32 when it is cast to fewer bits. Constants are not saved; a module that was
made on the meta device and then given memory, or loaded, computes them from its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn


class SteadyBuffers(nn.Module):
    """A module whose own floating buffers are float32 or wider, whatever it is cast to."""

    def constants(self) -> dict[str, Tensor]:
        """Buffers by name that follow from the module's settings and are not saved."""
        return {}

    def register_constants(self) -> None:
        """Register what ``constants`` gives, on torch's default device."""
        for name, value in self.constants().items():
            self.register_buffer(name, value.to(torch.get_default_device()), persistent=False)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """See ``nn.Module.register_buffer``."""
        super().register_buffer(name, None if tensor is None else _wide(tensor), persistent)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        before = {name: buffer for name, buffer in self._buffers.items() if buffer is not None}
        super()._apply(fn, recurse)
        given_memory = False
        for name, old in before.items():
            new = self._buffers[name]
            assert new is not None
            if _narrow(new):
                self._buffers[name] = new = old.to(new.device)
            given_memory |= old.is_meta and not new.is_meta
        if given_memory:
            self._refill()
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._refill()

    @torch.no_grad()
    def _refill(self) -> None:
        with torch.device("cpu"):
            found = self.constants()
        for name, value in found.items():
            buffer = self._buffers[name]
            if buffer is not None and not buffer.is_meta:
                buffer.copy_(value)


@torch.no_grad()
def take_dtypes(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Cast the floating parameters and buffers of a model to the dtypes of saved tensors of the same names.

    A model that was saved in half precision is so again, whatever torch's default dtype is; what ``SteadyBuffers``
    keeps wide stays so.
    """
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, parameter in module._parameters.items():
            found = tensors.get(prefix + name)
            if parameter is not None and _differs(parameter, found):
                parameter.data = parameter.data.to(found.dtype)  # type: ignore[union-attr]
        for name, buffer in module._buffers.items():
            found = tensors.get(prefix + name)
            if buffer is not None and _differs(buffer, found):
                cast = buffer.to(found.dtype)  # type: ignore[union-attr]
                module._buffers[name] = _wide(cast) if isinstance(module, SteadyBuffers) else cast


@contextmanager
def real_device() -> Iterator[None]:
    """Tensors made inside have memory, also where torch's default device is the meta device: then on the CPU."""
    if torch.get_default_device().type != "meta":
        yield
        return
    with torch.device("cpu"):
        yield


def _differs(own: Tensor, found: Tensor | None) -> bool:
    return found is not None and own.is_floating_point() and found.is_floating_point() and own.dtype != found.dtype


def _narrow(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.element_size() < 4


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if _narrow(tensor) else tensor
