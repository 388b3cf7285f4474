"""A model and a prior as one thing that makes bytes of signals."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from typing import Any, final

import torch
from torch import Tensor

from vqkit.codec.bounded.bound import MaxError
from vqkit.codec.compressor import Compressor
from vqkit.codec.decompressor import Decompressor
from vqkit.codec.entropy.models import entropy_model
from vqkit.codec.protocols import PixelModel
from vqkit.codec.signals import Signal
from vqkit.coding import digest
from vqkit.data import Source
from vqkit.data.conversion import each_signal
from vqkit.errors import DataError
from vqkit.models import IndexModel
from vqkit.models.matching import in_channels, open_source
from vqkit.models.rates.rate import used_codebooks
from vqkit.pretrained.folder import content_hash
from vqkit.priors import Prior


@final
class Codec:
    """Signals to bytes of a ``.vqk`` file and back.

    Args:
        model: the tokenizer.
        prior: a ``ContextPrior`` or a ``HistogramPrior`` of its indices; None: indices cost log2 K bits each.
        pixel_model: makes ``compress`` lossless.
        max_error: see ``Compressor``.
        codebooks: see ``Compressor``.
        kbps: see ``Compressor``.
        rate_weight: see ``Compressor``.
        optimize: see ``Compressor``.
        progressive: see ``Compressor``.
        condition: see ``Decompressor``.

    Raises:
        ConfigError: a prior that is not exact, or settings that the model does not have.

    Example:
        >>> import torch
        >>> from vqkit import Codec, VQVAE
        >>> model = VQVAE(16, channels=1, hidden_channels=8, residual_channels=4).eval()
        >>> blob = Codec(model).compress(torch.rand(1, 16, 16))
        >>> Codec(model).decompress(blob).shape
        torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        model: IndexModel,
        prior: Prior | None = None,
        *,
        pixel_model: PixelModel | None = None,
        max_error: MaxError | float | str | Sequence[float | str] | None = None,
        codebooks: int | None = None,
        kbps: float | None = None,
        rate_weight: float | None = None,
        optimize: bool = False,
        progressive: bool = False,
        condition: Any = None,
    ) -> None:
        self._entropy = entropy_model(prior, model.codebook_size)
        self._pixel_model = pixel_model
        self._writer = Compressor(
            model,
            self._entropy,
            pixel_model=pixel_model,
            max_error=max_error,
            codebooks=codebooks,
            kbps=kbps,
            rate_weight=rate_weight,
            optimize=optimize,
            progressive=progressive,
        )
        self._model = model
        self._shown_bound = "" if max_error is None else repr(max_error)
        self._reader: Decompressor | None = None
        with model.conditioned_on(condition):  # refuses an unknown one
            self._condition = condition
        self._settings = {"codebooks": codebooks, "kbps": kbps, "rate_weight": rate_weight}
        self._settings |= {
            name: True for name, given in {"optimize": optimize, "progressive": progressive}.items() if given
        }

    def __repr__(self) -> str:
        """Return the model, the entropy model and the settings in one line."""
        model = self._model
        told = [f"{type(model).__name__}(codebook_size={model.codebook_size})", f"entropy={self._entropy.kind!r}"]
        told += [f"max_error={max_error_shown}"] if (max_error_shown := self._shown_bound) else []
        told += ["lossless=True"] if self._pixel_model is not None else []
        told += [f"{name}={value}" for name, value in self._settings.items() if value is not None]
        return f"Codec({', '.join(told)})"

    def compress(self, signal: Any) -> bytes:
        """Compress one signal ``[channels, *size]``, or several, to the bytes of a whole file.

        Args:
            signal: a tensor of one signal or of a batch ``[n, channels, *size]``; a NumPy array, channels first or
                last; a Pillow image; a list of single ones, also of different sizes; or a path of what ``load_source``
                reads, or a source.

        Raises:
            DataError: signals that the model does not read.
        """
        file = io.BytesIO()
        self._writer.write(file, (Signal(each.detach().cpu().numpy()) for each in self._each(signal)))
        return file.getvalue()

    def _each(self, given: Any) -> Iterable[Tensor]:
        """Every signal that was handed over."""
        model = self._model
        if isinstance(given, str | os.PathLike | Source):
            source = in_channels(model, open_source(model, given))
            model.check_source(source)
            return (model.read_signals(source.read(number)[None])[0] for number in range(len(source)))
        return [each.to(model.device) for each in each_signal(given, model.channels, model.kind)]

    def decompress(self, data: bytes, *, codebooks: int | None = None) -> Tensor:
        """All signals of a file ``[n, channels, *size]``: uint8 for images and video, else float32.

        Args:
            data: of the file.
            codebooks: see ``Decompressor``.

        Raises:
            BitstreamError: the file is damaged, or of other models.
            DataError: its signals have different sizes; ``Decompressor.read`` gives them one by one.
        """
        if self._reader is None or self._reader.digest != digest(content_hash(self._model)):
            self._reader = Decompressor(
                self._model, self._entropy, pixel_model=self._pixel_model, condition=self._condition
            )
        self._reader.codebooks = used_codebooks(self._model, codebooks, None)
        found = [each.values for each in self._reader.read(io.BytesIO(data))]
        if len({each.shape for each in found}) != 1:
            raise DataError(f"a file of {len(found)} signals of different sizes makes no batch; read them one by one")
        return torch.stack(found)
