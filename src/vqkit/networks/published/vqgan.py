"""VQGAN: residual blocks with group normalization and attention at the coarsest level, for images.

Esser, Rombach and Ommer 2021 (arXiv 2012.09841), table 7. The layers and the names of their tensors are those of
``VQModel`` of diffusers; taming-transformers and LlamaGen have the same network under other names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from torch import Tensor, nn
from torch.nn import functional

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.networks.base import Network
from vqkit.networks.layers import layer_widths

_EPSILON = 1e-6


class _VQGAN(Network):
    """What the encoder and the decoder share.

    Args:
        in_channels: of the signal (of a decoder: of the codewords).
        out_channels: of the latents (of a decoder: parameters of the likelihood).
        downsampling: a power of two; ``level_widths`` say it where they are given.
        hidden_channels: width of the coarsest level; the others have half of it.
        level_widths: channels of each level, from the signal inwards, in place of these; each level after the first
            halves the grid.
        residual_blocks: of each level (a decoder has one more).
        attention: for each level whether attention follows its residual blocks; None: nowhere.
        middle_attention: whether attention stands between the two blocks in the middle.
        groups: of the group normalization; every width is a multiple.
        latent_channels: between the network and the 1x1 convolution to the codes; None: as many as the codes have.
        axes: of the signal; only 2.

    Raises:
        ConfigError: a value out of range.
    """

    supported_axes = (2,)
    signal_moments = (0.5, 0.5)
    mirrored = (
        "hidden_channels", "level_widths", "residual_blocks", "attention", "middle_attention", "groups",
        "latent_channels",
    )  # fmt: skip

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        downsampling: int = 8,
        *,
        hidden_channels: int = 128,
        level_widths: Sequence[int] | None = None,
        residual_blocks: int = 2,
        attention: Sequence[bool] | None = None,
        middle_attention: bool = True,
        groups: int = 32,
        latent_channels: int,
        axes: int = 2,
    ) -> None:
        super().__init__()
        if axes not in self.supported_axes:
            raise ConfigError(f"axes={axes}: a {type(self).__name__} is for images, of 2 axes")
        if level_widths is None:
            level_widths = [max(groups, hidden_channels // 2), *layer_widths(downsampling, hidden_channels, None)]
            level_widths = [-(-width // groups) * groups for width in level_widths]
        if not level_widths or groups < 1 or any(width < 1 or width % groups for width in level_widths):
            raise ConfigError(
                f"level_widths={shown(list(level_widths))}: give multiples of groups={groups}, one for each level"
            )
        attention = [False] * len(level_widths) if attention is None else list(attention)
        if len(attention) != len(level_widths):
            raise ConfigError(f"attention={shown(attention)}: give one value for each of {len(level_widths)} levels")
        if residual_blocks < 1:
            raise ConfigError(f"residual_blocks={residual_blocks}: give 1 or more")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.downsampling = 2 ** (len(level_widths) - 1)
        self._widths, self._attention, self._groups = list(level_widths), attention, groups
        self._blocks, self._middle_attention, self._latents = residual_blocks, middle_attention, latent_channels

    def described(self) -> dict[str, Any]:
        """Return what it was made with, every default said."""
        return {
            "level_widths": self._widths,
            "residual_blocks": self._blocks,
            "attention": self._attention,
            "middle_attention": self._middle_attention,
            "groups": self._groups,
            "latent_channels": self._latents,
        }

    def _middle(self) -> _Middle:
        return _Middle(self._widths[-1], self._groups, attention=self._middle_attention)


@final
class VQGANEncoder(_VQGAN):
    """VQGAN encoder: a level of residual blocks at each resolution, halved by strided convolutions.

    ``[batch, in_channels, H, W]`` to ``[batch, out_channels, H / downsampling, W / downsampling]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import VQGANEncoder
        >>> encoder = VQGANEncoder(3, 4, level_widths=[8, 16], residual_blocks=1, groups=4)
        >>> encoder(torch.rand(1, 3, 16, 16)).shape, encoder.downsampling
        (torch.Size([1, 4, 8, 8]), 2)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        downsampling: int = 8,
        *,
        hidden_channels: int = 128,
        level_widths: Sequence[int] | None = None,
        residual_blocks: int = 2,
        attention: Sequence[bool] | None = None,
        middle_attention: bool = True,
        groups: int = 32,
        latent_channels: int | None = None,
        axes: int = 2,
    ) -> None:
        super().__init__(
            in_channels, out_channels, downsampling, hidden_channels=hidden_channels, level_widths=level_widths,
            residual_blocks=residual_blocks, attention=attention, middle_attention=middle_attention, groups=groups,
            latent_channels=out_channels if latent_channels is None else latent_channels, axes=axes,
        )  # fmt: skip
        widths, latents = self._widths, self._latents
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            _Down(before, width, self._blocks, groups, attention=attends, halves=level < last)
            for level, (before, width, attends) in enumerate(
                zip([widths[0], *widths], widths, self._attention, strict=False)
            )
        )
        self.mid_block = self._middle()
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=_EPSILON)
        self.conv_out = nn.Conv2d(widths[-1], latents, 3, padding=1)
        self.quant_conv = nn.Conv2d(latents, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Latents of a signal."""
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        x = functional.silu(self.conv_norm_out(self.mid_block(x)))
        latents: Tensor = self.quant_conv(self.conv_out(x))
        return latents


@final
class VQGANDecoder(_VQGAN):
    """VQGAN decoder: the mirror of the encoder, with one residual block more at each level.

    ``[batch, in_channels, *grid]`` to ``[batch, out_channels, *(grid * downsampling)]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import VQGANDecoder
        >>> decoder = VQGANDecoder(4, 3, level_widths=[8, 16], residual_blocks=1, groups=4)
        >>> decoder(torch.rand(1, 4, 8, 8)).shape
        torch.Size([1, 3, 16, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        downsampling: int = 8,
        *,
        hidden_channels: int = 128,
        level_widths: Sequence[int] | None = None,
        residual_blocks: int = 2,
        attention: Sequence[bool] | None = None,
        middle_attention: bool = True,
        groups: int = 32,
        latent_channels: int | None = None,
        axes: int = 2,
    ) -> None:
        super().__init__(
            in_channels, out_channels, downsampling, hidden_channels=hidden_channels, level_widths=level_widths,
            residual_blocks=residual_blocks, attention=attention, middle_attention=middle_attention, groups=groups,
            latent_channels=in_channels if latent_channels is None else latent_channels, axes=axes,
        )  # fmt: skip
        widths, latents = self._widths[::-1], self._latents
        last = len(widths) - 1
        self.post_quant_conv = nn.Conv2d(in_channels, latents, 1)
        self.conv_in = nn.Conv2d(latents, widths[0], 3, padding=1)
        self.mid_block = self._middle()
        self.up_blocks = nn.ModuleList(
            _Up(before, width, self._blocks + 1, groups, attention=attends, doubles=level < last)
            for level, (before, width, attends) in enumerate(
                zip([widths[0], *widths], widths, self._attention[::-1], strict=False)
            )
        )
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=_EPSILON)
        self.conv_out = nn.Conv2d(widths[-1], out_channels, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Parameters of the likelihood, from codewords."""
        x = self.mid_block(self.conv_in(self.post_quant_conv(latents)))
        for block in self.up_blocks:
            x = block(x)
        emitted: Tensor = self.conv_out(functional.silu(self.conv_norm_out(x)))
        return emitted


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps=_EPSILON)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, outputs, eps=_EPSILON)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        found = self.conv1(functional.silu(self.norm1(x)))
        found = self.conv2(functional.silu(self.norm2(found)))
        shortcut: Tensor = x if self.conv_shortcut is None else self.conv_shortcut(x)
        return shortcut + found


class _Attention(nn.Module):
    """Attention of one head over all positions."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, width, eps=_EPSILON)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor) -> Tensor:
        flat = self.group_norm(x.flatten(2)).transpose(1, 2)
        query, key, value = (each(flat).unsqueeze(1) for each in (self.to_q, self.to_k, self.to_v))
        found = functional.scaled_dot_product_attention(query, key, value).squeeze(1)
        mixed: Tensor = self.to_out[0](found)
        return mixed.transpose(1, 2).reshape(x.shape) + x


class _Middle(nn.Module):
    def __init__(self, width: int, groups: int, *, attention: bool) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([_Attention(width, groups)] if attention else [])
        self.resnets = nn.ModuleList([_Residual(width, width, groups) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.resnets[0](x)
        for attention in self.attentions:
            x = attention(x)
        found: Tensor = self.resnets[1](x)
        return found


class _Level(nn.Module):
    """Residual blocks of one resolution, each followed by attention where there is any."""

    def __init__(self, inputs: int, width: int, blocks: int, groups: int, *, attention: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_Residual(width if number else inputs, width, groups) for number in range(blocks))
        self.attentions = nn.ModuleList(_Attention(width, groups) for _ in range(blocks if attention else 0))

    def run(self, x: Tensor) -> Tensor:
        for number, block in enumerate(self.resnets):
            x = block(x)
            if self.attentions:
                x = self.attentions[number](x)
        return x


class _Resampling(nn.Module):
    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=stride, padding=1 if stride == 1 else 0)


class _Down(_Level):
    def __init__(self, inputs: int, width: int, blocks: int, groups: int, *, attention: bool, halves: bool) -> None:
        super().__init__(inputs, width, blocks, groups, attention=attention)
        self.downsamplers = nn.ModuleList([_Resampling(width, 2)] if halves else [])

    def forward(self, x: Tensor) -> Tensor:
        x = self.run(x)
        for each in self.downsamplers:
            x = each.conv(functional.pad(x, (0, 1, 0, 1)))  # type: ignore[operator]
        return x


class _Up(_Level):
    def __init__(self, inputs: int, width: int, blocks: int, groups: int, *, attention: bool, doubles: bool) -> None:
        super().__init__(inputs, width, blocks, groups, attention=attention)
        self.upsamplers = nn.ModuleList([_Resampling(width, 1)] if doubles else [])

    def forward(self, x: Tensor) -> Tensor:
        x = self.run(x)
        for each in self.upsamplers:
            x = each.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))  # type: ignore[operator]
        return x
