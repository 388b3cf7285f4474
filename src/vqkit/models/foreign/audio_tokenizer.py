"""Adapter in the shape of ``PreTrainedAudioTokenizerBase`` of transformers, for any VQ-VAE of sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError, DataError
from vqkit.models.vqvae import VQVAE
from vqkit.signals.sound import Sound


@final
@dataclass(frozen=True)
class AudioTokenizerOutput:
    """What an audio tokenizer of transformers returns; ``output[0]`` is the first that is there.

    Attributes:
        audio_codes: of ``encode``: indices ``[batch, codebooks, frames]`` int64.
        audio_values: of ``decode``: samples ``[batch, channels, time]``.
    """

    audio_codes: Tensor | None = None
    audio_values: Tensor | None = None

    def __getitem__(self, number: int) -> Tensor:
        found: Tensor = [each for each in (self.audio_codes, self.audio_values) if each is not None][number]
        return found


@final
class AudioTokenizer(nn.Module):
    """A VQ-VAE of sound behind the methods that text-to-speech and audio models of transformers call.

    ``encode(input_values).audio_codes`` is ``[batch, codebooks, frames]`` as of ``DacModel``, ``decode(audio_codes)``
    gives samples. transformers needs not be installed.

    Args:
        model: a VQ-VAE of sound.

    Raises:
        ConfigError: a model of other signals.

    Example:
        >>> import torch
        >>> import vqkit
        >>> from vqkit.models.foreign import AudioTokenizer
        >>> model = vqkit.VQVAE(16, axes=1, channels=1, hidden_channels=8, num_codebooks=2, code_dim=8)
        >>> tokenizer = AudioTokenizer(model)
        >>> codes = tokenizer.encode(torch.rand(3, 1, 40)).audio_codes
        >>> codes.shape, tokenizer.decode(codes).audio_values.shape
        (torch.Size([3, 2, 10]), torch.Size([3, 1, 40]))
    """

    main_input_name = "input_values"
    input_modalities = "audio"

    def __init__(self, model: VQVAE) -> None:
        super().__init__()
        if not isinstance(model, VQVAE) or not isinstance(model.kind, Sound):
            raise ConfigError(
                f"an AudioTokenizer reads sound; this is {type(model).__name__} of another kind of signal"
            )
        self.model = model.eval()

    @property
    def sampling_rate(self) -> int | None:
        """Samples a second; None where the model does not know."""
        kind = self.model.kind
        return kind.rate if isinstance(kind, Sound) else None

    @property
    def hop_length(self) -> int:
        """Samples in a frame."""
        found = self.model.downsampling
        return found if isinstance(found, int) else found[0]

    @property
    def num_codebooks(self) -> int:
        """Indices per frame."""
        return self.model.num_codebooks

    @property
    def codebook_size(self) -> int:
        """Codes of each codebook."""
        return self.model.codebook_size

    @torch.no_grad()
    def encode(
        self, input_values: Tensor, padding_mask: Any = None, n_quantizers: int | None = None
    ) -> AudioTokenizerOutput:
        """Encode sounds.

        Args:
            input_values: ``[batch, channels, time]``, or ``[batch, time]`` of one channel.
            padding_mask: ``[batch, time]`` (or ``[batch, 1, time]``), 0 or False where a sound was padded; frames
                behind its end have codes that mean nothing.
            n_quantizers: only the first so many codebooks of a residual stack.

        Raises:
            DataError: other channels than the model reads, or no numbers.
        """
        values = input_values.unsqueeze(1) if input_values.ndim == 2 else input_values
        mask = None if padding_mask is None else torch.as_tensor(padding_mask).bool()
        if mask is not None and mask.ndim == 3:
            mask = mask.any(dim=1)
        indices = self.model.encode(values, mask=mask, codebooks=n_quantizers)
        several = self.model.num_codebooks > 1 and indices.ndim == 3
        return AudioTokenizerOutput(audio_codes=indices.transpose(1, 2) if several else indices.unsqueeze(1))

    @torch.no_grad()
    def decode(self, audio_codes: Tensor, padding_mask: Any = None) -> AudioTokenizerOutput:
        """Decode indices ``[batch, codebooks, frames]``.

        Args:
            audio_codes: as from ``encode``; of a residual stack also of the first codebooks only.
            padding_mask: ``[batch, time]`` of ``encode``: samples behind its length are cut off.

        Raises:
            DataError: another shape.
        """
        if audio_codes.ndim != 3:
            raise DataError(f"audio_codes of shape {list(audio_codes.shape)}; give [batch, codebooks, frames]")
        single = self.model.num_codebooks == 1
        values = self.model.decode(audio_codes[:, 0] if single else audio_codes.transpose(1, 2))
        length = None if padding_mask is None else torch.as_tensor(padding_mask).shape[-1]
        return AudioTokenizerOutput(audio_values=values[..., :length])
