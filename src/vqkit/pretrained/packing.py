"""Lossless packing of tensors: each float32 tensor in the fewest bytes that give back the very same numbers.

A number that has been rounded needs no 32 bits: one of 16 bits is stored as such, an integer times a power of two as
the integer, and a tensor that equals another one by the name of that. Nothing is rounded here: what does not fit stays
float32. The metadata of the safetensors file say which tensor is in which form (key ``packed``, JSON), so that its
header alone tells what the model has.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vqkit.storage.reading import TensorHeader, TensorSpec, parse_json

PACKED = "packed"
"""Key of the metadata: an object of forms by the names of the tensors that are not stored as they are."""
_HALF, _LIKE = "f16", "like"
_INTEGERS = {"i8": torch.int8, "i16": torch.int16}
_DTYPES = {_HALF: "F16", "i8": "I8", "i16": "I16"}
_MOST_EXPONENT = 64
_LEAST_REPEATED = 256
"""Numbers of a tensor that is looked for among the others: naming a smaller one saves nothing."""

Form = list[Any]


def pack(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors to store, by name, and the metadata that say how to widen them again.

    Example:
        >>> import torch
        >>> from vqkit.pretrained.packing import pack, unpack
        >>> stored, metadata = pack({"weight": torch.tensor([0.5, -1.25]), "third": torch.tensor([1 / 3])})
        >>> {name: str(each.dtype) for name, each in stored.items()}
        {'weight': 'torch.int8', 'third': 'torch.float32'}
        >>> unpack(stored, metadata)["weight"]
        tensor([ 0.5000, -1.2500])
    """
    stored: dict[str, Tensor] = {}
    forms: dict[str, Form] = {}
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        key = _content(tensor) if tensor.numel() >= _LEAST_REPEATED else None
        if key is not None and key in seen:
            forms[name] = [_LIKE, seen.pop(key)]
            continue
        if key is not None:
            seen[key] = name
        stored[name], form = _smallest(tensor)
        if form is not None:
            forms[name] = form
    return stored, ({PACKED: json.dumps(forms, separators=(",", ":"), sort_keys=True)} if forms else {})


def unpack(stored: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the tensors as they were packed; a ``like`` is a copy.

    Raises:
        ValueError: forms that do not belong to these tensors.
    """
    forms = _forms(metadata)
    found = {name: _widened(tensor, forms.get(name), name) for name, tensor in stored.items()}
    return found | {name: found[form[1]].clone() for name, form in forms.items() if form[0] == _LIKE}


def widened(header: TensorHeader) -> TensorHeader:
    """Return the header of the tensors as they were packed: what the model has, not what the file holds.

    It says at most eight times the bytes of the file: a tensor is repeated once at most.

    Raises:
        ValueError: forms that do not belong to the tensors of the file.
    """
    forms = _forms(header.metadata)
    found = {}
    for name, spec in header.tensors.items():
        form = forms.get(name)
        if form is not None and _DTYPES.get(form[0]) != spec.dtype:
            raise ValueError(f"{name} is {spec.dtype}, and packed as {form[0]}")
        found[name] = spec if form is None else TensorSpec("F32", spec.shape, 4 * math.prod(spec.shape))
    repeated: set[str] = set()
    for name, form in forms.items():
        if form[0] != _LIKE:
            if name not in header.tensors:
                raise ValueError(f"{name} is packed, and not there")
            continue
        if name in header.tensors or form[1] not in header.tensors or form[1] in repeated:
            raise ValueError(f"{name} is packed as another tensor that is not there, or as one that is repeated")
        repeated.add(form[1])
        found[name] = found[form[1]]
    return TensorHeader(found, header.metadata)


def _forms(metadata: Mapping[str, str]) -> dict[str, Form]:
    found = parse_json(metadata.get(PACKED, "{}"))
    if not isinstance(found, dict) or not all(map(_is_form, found.values())):
        raise ValueError("how its tensors are packed cannot be read")
    return found


def _is_form(form: Any) -> bool:
    if not isinstance(form, list) or not form:
        return False
    if form[0] == _HALF:
        return len(form) == 1
    if form[0] == _LIKE:
        return len(form) == 2 and isinstance(form[1], str)
    return form[0] in ("i8", "i16") and len(form) == 2 and type(form[1]) is int and abs(form[1]) <= _MOST_EXPONENT


def _content(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.dtype, tuple(tensor.shape), tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def _smallest(tensor: Tensor) -> tuple[Tensor, Form | None]:
    """A tensor in the smallest form that gives it back bit for bit, and that form; None: as it is."""
    if tensor.dtype != torch.float32 or not tensor.numel():
        return tensor, None
    exponent = _exponent(tensor)
    for kind, dtype in _INTEGERS.items():
        if exponent is not None:
            scaled = torch.ldexp(tensor.double(), torch.tensor(float(exponent), dtype=torch.float64))
            if float(scaled.abs().max()) <= torch.iinfo(dtype).max:
                form: Form = [kind, exponent]
                if _equal(_widened(scaled.to(dtype), form, ""), tensor):
                    return scaled.to(dtype), form
    half = tensor.half()
    return (half, [_HALF]) if _equal(half.float(), tensor) else (tensor, None)


def _exponent(tensor: Tensor) -> int | None:
    """The least b for which all numbers times 2^b are integers; None: they are too fine or too far apart."""
    largest = float(tensor.abs().max())
    if not largest:
        return 0
    for exponent in range(-16, 32):
        scaled = torch.ldexp(tensor, torch.tensor(float(exponent)))
        if largest * 2.0**exponent > 32767:
            return None
        if torch.equal(scaled, scaled.round()):
            return exponent
    return None


def _widened(tensor: Tensor, form: Form | None, name: str) -> Tensor:
    if form is None or form[0] == _LIKE:
        return tensor
    if form[0] == _HALF:
        if tensor.dtype != torch.float16:
            raise ValueError(f"{name} is {tensor.dtype}, and packed as f16")
        return tensor.float()
    if tensor.dtype != _INTEGERS[form[0]]:
        raise ValueError(f"{name} is {tensor.dtype}, and packed as {form[0]}")
    return torch.ldexp(tensor.double(), torch.tensor(-float(form[1]), dtype=torch.float64)).float()


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same bits: a negative zero is another number than zero."""
    return torch.equal(one.view(torch.int32), other.view(torch.int32))
