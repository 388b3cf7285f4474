"""A model is a folder: ``config.json`` and ``model.safetensors``, the Hugging Face convention. Never pickle."""

from __future__ import annotations

import hashlib
import inspect
import json
from abc import ABCMeta
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vqkit import host
from vqkit.building import TooLargeError, bounded
from vqkit.checking import reason, shown
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.ops.buffers import real_device, take_dtypes
from vqkit.pretrained import foreign
from vqkit.pretrained.card import CARD
from vqkit.pretrained.locating import BESIDE as BESIDE
from vqkit.pretrained.locating import CONFIG as CONFIG
from vqkit.pretrained.locating import TENSORS as TENSORS
from vqkit.pretrained.locating import home as home
from vqkit.pretrained.locating import locate as locate
from vqkit.pretrained.packing import PACKED, pack, unpack, widened
from vqkit.resources import physical_bytes
from vqkit.storage.reading import TensorHeader, TensorSpec, read_json, read_tensor_header

FORMAT = 1
"""Version of the folder's layout, raised when an older vqkit could not read it."""
PACKED_FORMAT = 2
"""That of a folder whose tensors are packed, which older versions refuse."""
PACKAGE = "vqkit_package"
"""Key of a config: the distribution that defines the class, where that is not vqkit."""
PRIOR = "prior_sha256"
"""Key of a config: the digest of the tensors of the prior that lies in ``prior/`` beside a model."""
EXTRAS = (PACKAGE, PRIOR)
DIGEST = "sha256"
"""Of the tensors, as ``digest`` gives it: in the metadata of ``model.safetensors``. Older folders have none."""

_CONFIG_BYTES = 4 << 20
_SPARE_BYTES, _SPARE_TENSORS, _SPARE_FACTOR = 64 << 20, 64, 4
"""What building takes beside the saved tensors: first values that are drawn, and constants that are not saved."""
_DTYPES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_LARGE = 1 << 10
_FLOATING = ("F32", "F16", "BF16", "F64")

Module = TypeVar("Module", bound=nn.Module)


def writers(
    path: Path,
    model_type: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    extras: Mapping[str, str] | None = None,
    card: str | None = None,
    packed: bool = False,
) -> dict[Path, Callable[[Path], object]]:
    """Return what writes the files of a model folder, for ``atomic.write_files``: all whole, or none.

    Args:
        path: the folder.
        model_type: of the class.
        config: its arguments.
        tensors: its state.
        extras: what the config file says besides, by names of ``EXTRAS``.
        card: text of a ``README.md``; None: none is written.
        packed: whether tensors are stored in the fewest bytes that give them back exactly (see ``packing``).

    Raises:
        ModelFolderError: the folder holds files of these names that are no model of vqkit's, or a tensor holds NaN or
            Inf, and could not be read again.
    """
    check_free(path)
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    check_finite(flat, str(path))
    document = {"model_type": model_type, "vqkit_format": PACKED_FORMAT if packed else FORMAT}
    document |= {**(extras or {}), **config}
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    files: dict[Path, Callable[[Path], object]] = {
        path / TENSORS: lambda temporary: _save_tensors(flat, temporary, packed=packed),
        path / CONFIG: lambda temporary: temporary.write_text(text, encoding="utf-8"),
    }
    if card is not None:
        files[path / CARD] = lambda temporary: temporary.write_text(card, encoding="utf-8")
    return files


def _save_tensors(tensors: dict[str, Tensor], file: Path, *, packed: bool) -> None:
    """Write tensors and their digest; equal tensors give equal bytes, though the library orders metadata at random.

    The digest is that of the tensors themselves, whether they are packed or not.
    """
    stored, forms = pack(tensors) if packed else (tensors, {})
    save_file(stored, file, metadata={"format": "pt", DIGEST: digest(tensors), **forms})
    with file.open("r+b") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
        ordered = {"__metadata__": dict(sorted(header.pop("__metadata__").items())), **header}
        text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
        opened.seek(8)
        opened.write(text.ljust(size))


def check_free(path: Path) -> None:
    """Raise ``ModelFolderError`` where saving a model would overwrite files that are no model of vqkit's."""
    if path.exists() and not path.is_dir():
        raise ModelFolderError(f"{path} is a file; a model is saved in a folder: name another")
    foreign = next((name for name in (CONFIG, TENSORS) if (path / name).exists()), None)
    if foreign is None or is_saved_here(path):
        return
    raise ModelFolderError(
        f"{path} holds a {foreign} that is no model of vqkit's, and saving would overwrite it; name another folder, or "
        "remove that file first"
    )


def is_saved_here(path: Path) -> bool:
    """Return True if ``save`` wrote the config of a folder."""
    try:
        found = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"model_type", "vqkit_format"} <= set(found)


def build(
    kind: type[Module],
    config: Mapping[str, Any],
    tensors: Mapping[str, TensorSpec],
    where: str,
    *,
    files: tuple[str, str] = (CONFIG, TENSORS),
) -> Module:
    """A new model of a config, which is checked to have exactly these tensors; bounded by them while it is built.

    Args:
        kind: the class.
        config: its settings.
        tensors: what a header says of them.
        where: the folder, for messages.
        files: where in it config and tensors lie, for messages.

    Raises:
        ModelFolderError: they do not belong together.
        ConfigError: a setting that the class does not take.
    """
    nbytes = sum(each.nbytes for each in tensors.values())
    model = make(
        kind,
        config,
        f"{where}/{files[0]}",
        most_bytes=_SPARE_BYTES + _SPARE_FACTOR * nbytes,
        most_tensors=_SPARE_TENSORS + _SPARE_FACTOR * len(tensors),
        beside=f"{files[1]} holds {len(tensors):,} tensors of {nbytes:,} bytes",
    )
    _check_fit(model, tensors, where)
    return model


def make(
    kind: type[Module], config: Mapping[str, Any], where: str, *, most_bytes: int, most_tensors: int, beside: str
) -> Module:
    """A new model of a config from elsewhere, of so many bytes and tensors at most.

    Args:
        kind: the class.
        config: its settings.
        where: the file that they are from.
        most_bytes, most_tensors: see ``bounded``.
        beside: what lies beside the config, of which the bound was made.

    Raises:
        ModelFolderError: more than that, or settings that no model can be made of.
        ConfigError: a setting that the class does not take.
    """
    try:
        with real_device(), bounded(most_bytes, most_tensors):
            return kind.from_config(config)  # type: ignore[attr-defined]
    except TooLargeError as error:
        raise ModelFolderError(
            f"{where} describes {error}, and {beside}; the two do not belong together: get both again"
        ) from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {reason(error)}") from error
    except Exception as error:
        why = shown(str(error).strip().partition("\n")[0] or type(error).__name__)
        raise ModelFolderError(f"{where}: no model can be made of these settings ({why})") from error


def fill(model: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy tensors that fit into a model.

    Raises:
        ModelFolderError: a NaN or Inf in them.
    """
    check_finite(tensors, where)
    take_dtypes(model, tensors)
    model.load_state_dict(dict(tensors))


class Affordable(ABCMeta):
    """Classes of modules whose constructors make nothing that takes more memory than the machine has.

    Once an instance is made, its ``complete_config`` is called.
    """

    @property
    def __signature__(cls) -> inspect.Signature:
        """That of the constructor, as for any other class."""
        own = inspect.signature(cls.__init__)  # type: ignore[misc]
        return own.replace(parameters=list(own.parameters.values())[1:])

    if not TYPE_CHECKING:  # for type checkers a class makes its own instances

        def __call__(cls, *arguments: Any, **options: Any) -> Any:
            """A new instance.

            Raises:
                ConfigError: it takes too much memory; the largest of the sizes that were given are named.
            """
            bound = None
            try:
                with bounded(physical_bytes()) as bound:
                    made = super().__call__(*arguments, **options)
                    made.complete_config()
                    return made
            except TooLargeError as error:
                if error.bound is not bound:  # that of a folder, around this one
                    raise
                named = inspect.signature(cls).bind_partial(*arguments, **options).arguments
                large = {name: each for name, each in named.items() if isinstance(each, int) and each > _LARGE}
                sizes = ", ".join(f"{name}={shown(each)}" for name, each in large.items()) or "these settings"
                raise ConfigError(
                    f"{sizes}: a {cls.__name__} of this size takes {error}, all the memory of this machine; choose "
                    "smaller sizes"
                ) from None


def read_config(location: Path) -> tuple[str, dict[str, Any]]:
    """``(model_type, keyword arguments)`` from ``config.json``; of the folder of another library what it is here."""
    found = _read_json(location)
    reader = foreign.reader_of(found)
    if reader is not None:
        return reader.model_type, foreign.translated(reader, found, location / CONFIG)
    config = _document(location)
    return config.pop("model_type"), {name: value for name, value in config.items() if name not in EXTRAS}


def read_extras(location: Path) -> dict[str, str]:
    """Return what ``config.json`` says besides the arguments of the class, by names of ``EXTRAS``."""
    config = {} if foreign.reader_of(_read_json(location)) is not None else _document(location)
    return {name: config[name] for name in EXTRAS if isinstance(config.get(name), str)}


def _read_json(location: Path) -> Any:
    try:
        return read_json(location / CONFIG, most_bytes=_CONFIG_BYTES)
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{location / CONFIG}: not readable as JSON ({reason(error)})") from error


def _document(location: Path) -> dict[str, Any]:
    config = _read_json(location)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelFolderError(f"{location / CONFIG}: has no model_type, so it is not the config of a vqkit model")
    version = config.pop("vqkit_format", FORMAT)
    if version not in (FORMAT, PACKED_FORMAT):
        raise ModelFolderError(
            f"{location / CONFIG}: layout version {shown(version)}; this vqkit reads versions up to {PACKED_FORMAT}: "
            "update vqkit"
        )
    return config


def read_header(location: Path) -> TensorHeader:
    """Read the header of ``model.safetensors``: names, dtypes and shapes of the tensors, not their values.

    Of packed tensors it says what they are once they are widened.

    Raises:
        ModelFolderError: damaged, cut short, or a dtype that no model has.
    """
    file, config = foreign.weights_of(location) or location / TENSORS, _read_json(location)
    reader = foreign.reader_of(config)
    try:
        header = widened(read_tensor_header(file))
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{file}: truncated or damaged ({reason(error)})") from error
    return header if reader is None else foreign.renamed_header(reader, config, header)


def read_tensors(location: Path, header: TensorHeader) -> dict[str, Tensor]:
    """The tensors of ``model.safetensors``, unchanged since they were saved where the header can tell.

    Raises:
        ModelFolderError: damaged.
    """
    place, config = foreign.weights_of(location) or location / TENSORS, _read_json(location)
    try:
        with host.utf8_path(place) as file:
            tensors = load_file(file)
        if PACKED in header.metadata:
            tensors = unpack(tensors, header.metadata)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelFolderError(f"{place}: truncated or damaged ({reason(error)})") from error
    reader = foreign.reader_of(config)
    if reader is not None:
        return foreign.renamed_tensors(reader, config, tensors)
    recorded = header.metadata.get(DIGEST)
    if recorded is not None and recorded != digest(tensors):
        raise ModelFolderError(
            f"{location / TENSORS}: these are not the weights that were saved (their sha256 is not the one in the "
            "header): the file was changed or damaged; get it again"
        )
    return tensors


def specs_of(tensors: Mapping[str, Tensor]) -> dict[str, TensorSpec]:
    """Tensors as a header describes them."""
    return {
        name: TensorSpec(_DTYPES.get(each.dtype, str(each.dtype)), tuple(each.shape), each.numel() * each.itemsize)
        for name, each in tensors.items()
    }


def _check_fit(model: nn.Module, tensors: Mapping[str, TensorSpec], where: str) -> None:
    """Raise unless names, shapes and dtypes are a model's own; all its floats may be saved in another float dtype."""
    own = specs_of(model.state_dict())
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    problems = [f"lacks {_listed(missing)}"] * bool(missing) + [f"has also {_listed(extra)}"] * bool(extra)
    for name in sorted(own.keys() & tensors.keys()):
        there, wanted = tensors[name], own[name]
        if there.shape != wanted.shape:
            problems.append(f"{name} is {there.shape}, the config makes it {wanted.shape}")
        elif there.dtype != wanted.dtype and not {there.dtype, wanted.dtype} <= set(_FLOATING):
            problems.append(f"{name} is {there.dtype}, the model has it as {wanted.dtype}")
    weights = {tensors[name].dtype for name, _ in model.named_parameters() if name in tensors}
    if len(weights) > 1 and not problems:
        odd = min(weights, key=lambda dtype: sum(tensors[name].dtype == dtype for name, _ in model.named_parameters()))
        named = [name for name, _ in model.named_parameters() if tensors[name].dtype == odd]
        problems.append(f"{_listed(named)} as {odd}, other weights as {_listed(sorted(weights - {odd}))}")
    if problems:
        more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise ModelFolderError(f"{where}: the tensors do not fit the config: {'; '.join(problems[:8])}{more}")


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise ``ModelFolderError`` where a tensor holds NaN or Inf; names the first."""
    for name, tensor in sorted(tensors.items()):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise ModelFolderError(
                f"{where}: the tensor {name} has NaN or Inf ({count:,} of {tensor.numel():,} numbers), so every result "
                "would be wrong; save the model at a state where its weights are finite"
            )


def _listed(names: list[str]) -> str:
    found = ", ".join(name[:80] for name in names[:4])
    return found if len(names) <= 4 else f"{found} and {len(names) - 4:,} more"


def content_hash(model: nn.Module) -> str:
    """SHA-256 over the names, shapes, dtypes and bytes of a model's tensors: what tokens belong to."""
    return digest(model.state_dict())


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names, shapes, dtypes and bytes of tensors, whatever their order."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        array = tensor.detach().cpu().contiguous()
        found.update(f"{name} {tuple(array.shape)} {array.dtype}\n".encode())
        found.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
