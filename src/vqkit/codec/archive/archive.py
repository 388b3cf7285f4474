"""An archive in Python: any signal by its name or its number, and signals added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, final

import numpy as np
from torch import Tensor

from vqkit.codec.archive.adding import Added, add_signals
from vqkit.codec.bounded.bound import MaxError
from vqkit.codec.bounded.promise import kept_bound
from vqkit.codec.compressor import Compressor
from vqkit.codec.decompressor import Decompressor
from vqkit.codec.entropy.known_priors import known_priors, priors_of_kind
from vqkit.codec.entropy.models import EntropyModel, entropy_model
from vqkit.codec.parallel import several
from vqkit.codec.protocols import PixelModel
from vqkit.codec.reading.pieces import Decoded
from vqkit.codec.signals import Signal
from vqkit.coding import FileHeader, Reader, check_name
from vqkit.coding.archive.access import Access, open_access
from vqkit.data.conversion import each_signal
from vqkit.errors import ConfigError, DataError, WrongModelError
from vqkit.models import IndexModel, load_model
from vqkit.pretrained.reference import by_digest
from vqkit.priors import Prior, load_prior
from vqkit.spelling import spelled


@final
class Archive:
    """Signals in a ``.vqk`` file, decoded one by one, to which others are added. ``open_archive`` makes it.

    ``len(archive)``, ``name in archive``, ``archive[name]`` and ``archive[number]`` (the signal ``[channels, *size]``:
    uint8 for images and video, else float32), iteration over names. What another process adds is seen by the next
    ``refresh``.

    Args:
        path: of the file; if there is none, ``add`` begins it.
        model: that it is made with.
        entropy: of its indices.
        pixel_model: of a lossless file.
        condition: see ``Decompressor``.

    Example:
        >>> import tempfile, torch, vqkit
        >>> model = vqkit.VQVAE(16, channels=1, hidden_channels=8, residual_channels=4).eval()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     archive = vqkit.open_archive(f"{folder}/all.vqk", model)
        ...     _ = archive.add([torch.rand(1, 16, 16)], names=["a.png"])
        ...     archive["a.png"].shape, len(archive)
        (torch.Size([1, 16, 16]), 1)
    """

    def __init__(
        self,
        path: Path,
        model: IndexModel,
        entropy: EntropyModel,
        *,
        pixel_model: PixelModel | None = None,
        condition: Any = None,
    ) -> None:
        self.path, self._model, self._entropy, self._pixel_model = path, model, entropy, pixel_model
        self._decoder = Decompressor(model, entropy, pixel_model=pixel_model, condition=condition)
        self._file: BinaryIO | None = None
        self._access: Access | None = None
        self.refresh()

    def refresh(self) -> None:
        """See what the file holds now.

        Raises:
            BitstreamError: it is damaged, or was made with other models.
        """
        self.close()
        if self.path.exists():
            self._file = self.path.open("rb")
            self._access = open_access(self._file)
            self._decoder.check(self._access.header)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = self._access = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        """Return the path and the number of signals."""
        return f"Archive({str(self.path)!r}, {len(self)} signals)"

    def __len__(self) -> int:
        return 0 if self._access is None else self._access.signals

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._access is not None and any(True for _ in self._access.numbers(name))

    def __iter__(self) -> Iterator[str | None]:
        """Yield the names, in order; None for a signal without one."""
        if self._access is None:
            return
        before, number = -1, 0
        while number < len(self):
            place, _ = self._access.place(number)
            about = self._access.group_header(place)
            assert place != before
            yield from about.names or (None,) * about.signals
            before, number = place, number + about.signals

    def __getitem__(self, which: str | int) -> Tensor:
        """The signal of a name or a number; see ``decode``."""
        return self.decode(which).values

    def number(self, which: str | int) -> int:
        """The number of a signal, from 0: of a name, or of a number from the end.

        Raises:
            DataError: there is none.
        """
        found: int | None = None
        if isinstance(which, str):
            found = None if self._access is None else next(self._access.numbers(which), None)
        elif -len(self) <= which < len(self):
            found = which % len(self)
        if found is None:
            raise DataError(
                f"{which} is not in {self.path}, which holds {len(self):,} signals: name one of those ("
                f"{spelled(python='list(archive)', command=f'vqkit inspect {self.path} --list')})"
            )
        return found

    def name(self, number: int) -> str | None:
        """The name of a signal; None: it has none."""
        assert self._access is not None
        place, own = self._access.place(self.number(number))
        names = self._access.group_header(place).names
        return names[own] if names else None

    def decode(self, which: str | int) -> Decoded:
        """One signal, with its name and its indices; the others are not decoded.

        Of signals that ``vqkit compress`` has put into one group the indices of that group are (64 at most), and the
        decoder runs for one.

        Raises:
            DataError: there is none of this name or number.
            BitstreamError: it is damaged.
        """
        number = self.number(which)
        assert self._access is not None
        place, own = self._access.place(number)
        found = self._decoder.read_one(self._access.header, self._access.groups(place), own)
        return Decoded(number, found.name, found.values, found.indices)

    def add(
        self,
        signals: Any,
        names: Iterable[str] | None = None,
        *,
        codebooks: int | None = None,
        kbps: float | None = None,
        rate_weight: float | None = None,
        max_error: MaxError | float | str | Sequence[float | str] | None = None,
        workers: int = 1,
    ) -> Added:
        """Add signals: all of them from one moment on, or none. See ``add_signals``.

        Args:
            signals: what ``Codec.compress`` takes: one, several, arrays, tensors, Pillow images.
            names: of each, relative paths; None: they have none.
            codebooks, kbps, rate_weight: see ``Compressor``.
            max_error: of fields, see ``Compressor``; None: as in the archive.
            workers: processes that code them, each with a copy of the models.

        Raises:
            ConfigError: names that are no relative paths, or another number of them; a name that is there for
                something else; a ``max_error`` that breaks what the archive promises.
            DataError: signals that the model does not read.
        """
        model = self._model
        given = [each.detach().cpu().numpy() for each in each_signal(signals, model.channels, model.kind)]
        known = [None] * len(given) if names is None else [check_name(name) for name in names]
        if len(known) != len(given):
            raise ConfigError(f"{len(known)} names for {len(given)} signals: give each its own, or none")
        bound = kept_bound(self.path, None if max_error is None else MaxError.of(max_error, model), model)
        compressor = Compressor(
            model,
            self._entropy,
            pixel_model=self._pixel_model,
            max_error=bound,
            codebooks=codebooks,
            kbps=kbps,
            rate_weight=rate_weight,
        )
        with several(compressor, workers):
            found = add_signals(
                self.path, compressor, (Signal(np.asarray(x), name) for x, name in zip(given, known, strict=True))
            )
        self.refresh()
        return found


def open_archive(
    path: str | Path,
    model: IndexModel | str | Path | None = None,
    prior: Prior | str | Path | None = None,
    *,
    pixel_model: PixelModel | None = None,
    condition: Any = None,
) -> Archive:
    """Open a ``.vqk`` file, or a new one, to decode any of its signals and to add others.

    Args:
        path: of the file; what ``vqkit compress`` wrote, or ``vqkit add``.
        model: the tokenizer, or its folder or name; None: the one that comes with vqkit and that the file names.
        prior: that codes the indices, or its folder; None: of a model that is named, its own that the file was made
            with, or its best for a new file; else none.
        pixel_model: of a lossless file (``vqkit.codec.lossless.PixelCoder``).
        condition: see ``Decompressor``.

    Raises:
        ConfigError: a new file, and no model.
        WrongModelError: the file was made with other models.
        BitstreamError: it is damaged.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> import vqkit
        >>> model = vqkit.VQVAE(16, channels=1, hidden_channels=8, residual_channels=4).eval()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     archive = vqkit.open_archive(Path(folder) / "digits.vqk", model)
        ...     added = archive.add(torch.rand(3, 1, 8, 8), ["a.png", "b.png", "c.png"])
        ...     len(archive), "b.png" in archive, archive["b.png"].shape
        (3, True, torch.Size([1, 8, 8]))
    """
    path = Path(path)
    header = None
    if path.exists():
        with path.open("rb") as file:
            header = Reader(file).header
    loaded = _model(path, model, header)
    entropy = _entropy(loaded, model, prior, header)
    return Archive(path, loaded, entropy, pixel_model=pixel_model, condition=condition)


def _model(path: Path, model: IndexModel | str | Path | None, header: FileHeader | None) -> IndexModel:
    if isinstance(model, IndexModel):
        return model
    if model is None:
        if header is None:
            raise ConfigError(f"{path} is new: name the model that it is to be made with (model=)")
        known = by_digest(header.tokenizer)
        if known is None:
            raise WrongModelError(
                f"{path} was written with a tokenizer of digest {header.tokenizer.hex()}, which is none of those that "
                "come with this vqkit: name it (model=)"
            )
        model = known.name
    loaded = load_model(model)
    if not isinstance(loaded, IndexModel):
        raise ConfigError(f"{model} has no codebook, so that it makes no indices to compress: name a VQ-VAE")
    return loaded.eval()


def _entropy(
    model: IndexModel, named: object, prior: Prior | str | Path | None, header: FileHeader | None
) -> EntropyModel:
    if isinstance(prior, str | Path):
        prior = load_prior(prior).to(model.device)
    if prior is not None or (header is not None and header.entropy_model == "uniform"):
        return entropy_model(prior, model.codebook_size)
    name = named if isinstance(named, str | Path) else None
    if header is not None and name is None and named is None:
        known = by_digest(header.tokenizer)
        name = None if known is None else known.name
    if name is None:
        return entropy_model(None, model.codebook_size)
    if header is None:
        places = list(known_priors(name, model).values())[:1]
    else:
        places = priors_of_kind(name, header.entropy_model)
    for place in places:
        found = entropy_model(load_prior(place).to(model.device), model.codebook_size)
        if header is None or found.digest == header.entropy_digest:
            return found
    return entropy_model(None, model.codebook_size)
