"""The repr of a codec says what its files depend on."""

from __future__ import annotations

import vqkit


def test_the_repr_says_model_entropy_model_and_settings() -> None:
    model = vqkit.VQVAE(16, channels=1, hidden_channels=8, residual_channels=4).eval()
    assert repr(vqkit.Codec(model)) == "Codec(VQVAE(codebook_size=16), entropy='uniform')"
    assert repr(vqkit.Codec(model, rate_weight=0.5)).endswith("entropy='uniform', rate_weight=0.5)")
