"""Step by step agreement with vector-quantize-pytorch on the same numbers: search, EMA, straight-through, loss."""

from __future__ import annotations

import pytest
import torch

from vqkit.quantizers import EMAVectorQuantizer

peer_library = pytest.importorskip(
    "vector_quantize_pytorch", reason="vector-quantize-pytorch is not installed (pip install -e '.[dev]')"
)


def test_ema_and_straight_through_agree_step_by_step() -> None:
    codes, dim, decay, beta = 24, 6, 0.9, 0.25
    peer = peer_library.VectorQuantize(
        dim=dim, codebook_size=codes, decay=decay, commitment_weight=beta, eps=1e-5, rotation_trick=False
    )
    ours = EMAVectorQuantizer(codes, dim, decay=decay, beta=beta, epsilon=1e-5, decay_warmup=False, restart_below=0)
    start = torch.randn(codes, dim, generator=torch.Generator().manual_seed(0))
    peer._codebook.embed.data.copy_(start[None])
    peer._codebook.embed_avg.data.copy_(start[None])
    peer._codebook.cluster_size.data.fill_(1.0)
    ours.set_codebook(start)
    peer.train()
    ours.train()
    for step in range(30):
        z = torch.randn(4, 10, dim, generator=torch.Generator().manual_seed(100 + step))
        theirs_in, ours_in = z.clone().requires_grad_(), z.clone().requires_grad_()
        quantized, indices, loss = peer(theirs_in)
        out = ours(ours_in.movedim(-1, 1))
        assert torch.equal(out.indices, indices), step
        assert torch.allclose(out.quantized.movedim(1, -1), quantized, atol=1e-5), step
        assert torch.allclose(sum(out.losses.values()), loss.sum(), rtol=1e-4, atol=1e-7), step
        weights = torch.randn(4, 10, dim, generator=torch.Generator().manual_seed(900 + step))
        ((quantized * weights).sum() + loss.sum()).backward()
        ((out.quantized.movedim(1, -1) * weights).sum() + sum(out.losses.values())).backward()
        assert torch.allclose(ours_in.grad, theirs_in.grad, atol=1e-5), step
        assert torch.allclose(ours.codebook, peer._codebook.embed[0], rtol=1e-4, atol=1e-5), step
        assert torch.allclose(ours.average_counts, peer._codebook.cluster_size[0], rtol=1e-4, atol=1e-6), step
