"""p(pixels | indices) by a network whose probabilities are exact integers: what lossless files are coded with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import torch
from torch import Tensor, nn

from vqkit.chance import seeded
from vqkit.data.source import Source
from vqkit.deprecation import keep_old_names
from vqkit.errors import ConfigError, DataError
from vqkit.exact import FAN_IN, TOTAL_BITS, set_storage_dtype
from vqkit.exact.logistic import LEVELS, PART, coarse_frequencies, fine_frequencies
from vqkit.models import VQVAE
from vqkit.models.matching import check_layout
from vqkit.ops import evaluating
from vqkit.pixels.learning import training_nats
from vqkit.pixels.neighbors import border, offsets
from vqkit.pixels.network import PixelNetwork
from vqkit.pixels.steps import COARSE, FINE, PixelState, PixelStep, positions_of
from vqkit.pretrained.trainable import TRAINABLES, Trainable
from vqkit.priors.base import PriorOutput
from vqkit.priors.coding_order import check_cell
from vqkit.priors.conditions import check_range
from vqkit.recording import recorded
from vqkit.spelling import spelled


@final
@TRAINABLES.register("pixels", citations=("salimans2017pixelcnn",))
class PixelPrior(Trainable):
    """p(pixels | indices) of 8-bit images of any size, in a fixed order of groups; exact.

    The pixels of a cell (4 x 4) are in 16 groups, in the order of ``groups.pattern``: spread evenly at any time. All
    pixels of a group come at once, given the indices and all pixels of earlier groups: a small network of each pixel
    reads the nearest known ones (differences to the mean of the nearest four) and the features that the indices give
    it. Within a pixel channels come one after another (green, red, blue), each given those before it. A level is one of
    256, under a mixture of discretised logistics (``vqkit.exact.logistic``), coded in two parts of 16 values.

    In evaluation mode ``log_prob`` is exactly the sum of log(frequency / 2^24) of what the files hold, the same number
    on every device; it has no gradient. In training mode it is that of the same network with straight-through
    gradients, of all pixels of all groups at once.

    Args:
        codebook_size: K of the tokenizer.
        downsampling: pixels of a position of its grid on each axis.
        channels: of the images: 1 or 3.
        num_codebooks: of the indices; the last axis of them when above 1.
        hidden_channels: width of the stream of a pixel.
        layers: blocks of the stream of a pixel.
        neighbours: how many known pixels a pixel reads.
        features: numbers that the indices give each pixel.
        components: logistics in a mixture.
        cell: positions on each axis of a cell, a power of two; cell^2 groups.
        token_channels: width of the network of the indices.
        token_layers: its blocks, of 3x3 positions.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import torch
        >>> from vqkit import PixelPrior
        >>> prior = PixelPrior(16, 4, channels=1, hidden_channels=16, token_channels=16).eval()
        >>> indices, pixels = torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
        >>> prior.log_prob(pixels, indices).shape
        torch.Size([1])
    """

    model_type: ClassVar[str] = "pixels"
    training_defaults: ClassVar[Mapping[str, Any]] = {"batch_size": 8, "learning_rate": 1.2e-2, "flip": True}
    axes: ClassVar[int] = 2

    def __init__(
        self,
        codebook_size: int,
        downsampling: int,
        *,
        channels: int = 3,
        num_codebooks: int = 1,
        hidden_channels: int = 64,
        layers: int = 2,
        neighbours: int = 24,
        features: int = 16,
        components: int = 3,
        cell: int = 4,
        token_channels: int = 64,
        token_layers: int = 2,
    ) -> None:
        config = recorded(PixelPrior.__init__, locals())
        super().__init__()
        for name, value in config.items():
            least = 0 if name in ("layers", "token_layers") else 1
            if value < least:
                raise ConfigError(f"{name}={value}: give {least} or more")
        if channels not in (1, 3):
            raise ConfigError(f"channels={channels}: lossless images are grey (1) or colour (3)")
        check_cell("cell", cell)
        widest = neighbours * (channels + 1) + channels + features
        if widest > FAN_IN:
            raise ConfigError(
                f"neighbours={neighbours} of {channels} channels and features={features} are {widest} numbers to read; "
                f"exact sums are of {FAN_IN} at most: lower one of the two"
            )
        self.config = config
        self.channels, self.codebook_size, self.num_codebooks = channels, codebook_size, num_codebooks
        self.downsampling, self.cell = downsampling, cell
        self.order = (1, 0, 2) if channels == 3 else (0,)
        self.known = offsets(cell, neighbours)
        self.border = border(self.known)
        self.network = PixelNetwork(**config)
        self._tokenizer: list[VQVAE] = []

    @classmethod
    def for_model(cls, model: VQVAE, *, seed: int | None = None, **options: Any) -> PixelPrior:
        """A new one for the indices of a tokenizer, which it then reads images with while it is trained.

        Args:
            model: of images.
            seed: of the initial weights, those that ``vqkit lossless --seed`` begins with; None draws them from torch's
                own generator.
            **options: of the constructor, but for what the model says; ``help(PixelPrior)`` tells of each.

        Raises:
            ConfigError: a model of other signals, an unknown option, or a value out of range.
        """
        if not model.kind.converts:
            raise ConfigError(f"a model of signals of {model.axes} axes: lossless files are for images, 2 axes")
        own = {
            "codebook_size": model.codebook_size,
            "downsampling": model.downsampling,
            "channels": model.channels,
            "num_codebooks": model.num_codebooks,
        }
        twice = sorted(own.keys() & options.keys())
        if twice:
            raise ConfigError(f"{', '.join(twice)}: the model says it; leave it out")
        with seeded(seed):
            return cls.from_config({**own, **options}).with_tokenizer(model)

    def with_tokenizer(self, model: VQVAE) -> Self:
        """Read images with this model from now on (it is not trained, and not saved); returns itself.

        Raises:
            ConfigError: its indices are not those that this prior reads.
        """
        for name in ("codebook_size", "num_codebooks", "downsampling", "channels"):
            if getattr(model, name) != self.config[name]:
                raise ConfigError(
                    f"the tokenizer has {name}={getattr(model, name)}, this prior reads {name}={self.config[name]}; "
                    "use the tokenizer that it was made for"
                )
        self._tokenizer = [model.eval()]
        return self

    @property
    def tokenizer(self) -> VQVAE:
        """The model whose indices are read.

        Raises:
            ConfigError: none was given.
        """
        if not self._tokenizer:
            given = spelled(python="with_tokenizer(model) gives it", command="train it with: vqkit lossless RUN")
            raise ConfigError(f"a pixel prior needs its tokenizer to read images; {given}")
        return self._tokenizer[0]

    @property
    def halo(self) -> int:
        """Receptive field of one step, in pixels on each side.

        What was decoded in earlier steps has seen further in turn, so a part of an image can be decoded alone only
        where it was encoded alone: as a tile.
        """
        return max(self.border, (self.config["token_layers"] + 1) * self.downsampling)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device

    def set_storage_dtype(self, storage_dtype: torch.dtype, *, int8: bool | None = None) -> None:
        """Hold the exact network's integers in float32 (as new) or float64; see ``vqkit.exact.set_storage_dtype``."""
        set_storage_dtype(self.network, storage_dtype, int8=int8)

    def grid(self, size: Sequence[int]) -> tuple[int, int]:
        """Positions of the indices of an image of a size, rounded up."""
        return -(-size[0] // self.downsampling), -(-size[1] // self.downsampling)

    def steps(self, size: tuple[int, int]) -> list[PixelStep]:
        """Return the coding steps of an image of any size (H, W), in order."""
        if len(size) != 2 or min(size) < 1:
            raise ConfigError(f"size={list(size)}: give height and width in pixels, 1 or more each")
        found = []
        for group in range(self.cell**2):
            positions = positions_of((size[0], size[1]), self.cell, group)
            if len(positions):
                found += [PixelStep(group, each, part, positions) for each in self.order for part in (COARSE, FINE)]
        return found

    @torch.no_grad()
    def frequencies(self, pixels: Tensor, indices: Tensor, step: PixelStep) -> Tensor:
        """Frequencies of the step's symbols, int64 ``[batch, n, 16]``, each 1 or more, summing to 2^24; exact.

        The network of the evaluation mode is used in any mode. To code whole images use ``incremental_state``, which
        computes what the steps of a group share once.

        Args:
            pixels: uint8 ``[batch, channels, H, W]``; only what earlier steps have filled is read (of the step's own
                subpixels, in the fine part, level // 16).
            indices: int64 ``[batch, h, w]``, or ``[batch, h, w, codebooks]``.
            step: one of ``steps((H, W))``.

        Raises:
            DataError: pixels or indices of another dtype, shape or range.
        """
        state = self.incremental_state(
            indices, (int(pixels.shape[2]), int(pixels.shape[3])), self._checked_pixels(pixels)
        )
        state.begin_group(step.group)
        mixture = None
        for channel in self.order[: self.order.index(step.channel) + 1]:
            mixture = state.mixture(channel)
            if channel != step.channel:
                state.commit(channel, state.levels(channel))
        assert mixture is not None
        if step.part == COARSE:
            found = coarse_frequencies(mixture)
        else:
            found = fine_frequencies(mixture, state.levels(step.channel).flatten() // PART)
        return found.view(len(pixels), -1, PART)

    def incremental_state(self, indices: Tensor, size: tuple[int, int], pixels: Tensor | None = None) -> PixelState:
        """Return the incremental state that codes images group by group and channel by channel; see ``PixelState``.

        Args:
            indices: int64 ``[batch, h, w]``, or ``[batch, h, w, codebooks]``.
            size: (H, W).
            pixels: uint8 ``[batch, channels, H, W]``, where they are known; else they are filled in.

        Raises:
            DataError: pixels or indices of another dtype, shape or range.
        """
        items = self._checked_indices(indices, size)
        if pixels is None:
            pixels = torch.zeros(len(items), self.channels, *size, dtype=torch.uint8, device=self.device)
        return self._state(items, self._checked_pixels(pixels))

    def log_prob(self, pixels: Tensor, indices: Tensor) -> Tensor:
        """Log-probability of each whole image given its indices, ``[batch]`` float, in nats.

        Args:
            pixels: uint8 ``[batch, channels, H, W]``, or float in [0, 1], rounded to the 256 levels.
            indices: int64 ``[batch, h, w]``, or ``[batch, h, w, codebooks]``.

        Raises:
            DataError: pixels or indices of another dtype, shape or range.
        """
        pixels = self._checked_pixels(pixels)
        size = (int(pixels.shape[2]), int(pixels.shape[3]))
        items = self._checked_indices(indices, size)
        if self.training:
            features = self._features(items, size)
            return -training_nats(self.network, features, pixels, order=self.order, cell=self.cell, known=self.known)
        with torch.no_grad():
            found = torch.zeros(len(items), dtype=torch.float64, device=self.device)
            for symbols, table in self._state(items, pixels).symbols():
                bits = TOTAL_BITS - table.gather(1, symbols.unsqueeze(1)).double().log2()
                found -= bits.view(len(items), -1).sum(dim=1) * math.log(2.0)
            return found

    def forward(self, pixels: Tensor, indices: Tensor | None = None) -> PriorOutput:
        """Loss (nats per subpixel) and metrics of a batch of images; arguments and errors as ``log_prob``.

        Args:
            pixels: of the images.
            indices: None: those that the tokenizer gives.
        """
        pixels = self._checked_pixels(pixels)
        if indices is None:
            indices = self.read_indices(pixels)
        loss = -self.log_prob(pixels, indices).mean() / pixels[0].numel()
        return PriorOutput(loss, {"bits_per_dim": loss.detach() / math.log(2.0)})

    if TYPE_CHECKING:

        def __call__(self, pixels: Tensor, indices: Tensor | None = None) -> PriorOutput: ...  # noqa: D102

    @torch.no_grad()
    def read_indices(self, pixels: Tensor) -> Tensor:
        """The tokenizer's indices of uint8 pixels."""
        indices: Tensor = self.tokenizer.to(pixels.device).encode(pixels)
        return indices

    def read_batch(self, batch: Tensor) -> Tensor:
        """uint8 pixels from a training batch of uint8, or of float in [0, 1]."""
        return self._checked_pixels(batch)

    def check_items(self, source: Source) -> None:
        """See ``Trainable.check_items``: images of the prior's channels."""
        check_layout(self, source)

    @property
    def companions(self) -> dict[str, nn.Module]:
        """See ``Trainable.companions``: the tokenizer."""
        return {"tokenizer": self.tokenizer}

    def networks_to_compile(self) -> list[nn.Module]:
        """See ``Trainable.networks_to_compile``: none, since its integers are exact as they are."""
        return []

    def _state(self, items: Tensor, pixels: Tensor) -> PixelState:
        with evaluating(self.network):
            features = self._features(items, (int(pixels.shape[2]), int(pixels.shape[3])))
        return PixelState(self.network, features, pixels, order=self.order, cell=self.cell, known=self.known)

    def _features(self, items: Tensor, size: tuple[int, int]) -> Tensor:
        """Features of each pixel, ``[batch, H W, features]``."""
        found = self.network.pixel_features(items)[:, : size[0], : size[1]]
        return found.reshape(len(items), size[0] * size[1], -1)

    def _checked_pixels(self, pixels: Tensor) -> Tensor:
        if pixels.ndim != 4 or pixels.shape[1] != self.channels or pixels.numel() == 0:
            raise DataError(
                f"pixels have shape {list(pixels.shape)}; this prior reads [batch, {self.channels}, height, width] "
                f"(channels={self.channels} in its config), none empty"
            )
        if pixels.is_floating_point():
            pixels = (pixels * (LEVELS - 1)).round_().clamp_(0, LEVELS - 1).to(torch.uint8)
        if pixels.dtype != torch.uint8:
            raise DataError(f"pixels are {pixels.dtype}; give torch.uint8, or float in [0, 1]")
        return pixels.to(self.device)

    def _checked_indices(self, indices: Tensor, size: Sequence[int]) -> Tensor:
        """``[batch, h, w, codebooks]`` on the prior's device."""
        shape = self.grid(size) if self.num_codebooks == 1 else (*self.grid(size), self.num_codebooks)
        if indices.dtype != torch.int64 or tuple(indices.shape[1:]) != shape or len(indices) == 0:
            expected = ", ".join(["batch", *map(str, shape)])
            raise DataError(
                f"indices are {indices.dtype} of shape {list(indices.shape)}; images of {size[0]} x {size[1]} pixels "
                f"have torch.int64 [{expected}] (downsampling={self.downsampling}, num_codebooks={self.num_codebooks})"
            )
        check_range("indices", indices, -1, self.codebook_size, "codebook_size")
        return indices.to(self.device).reshape(*indices.shape[:3], self.num_codebooks)


keep_old_names(PixelPrior, {"walk": "incremental_state"})
