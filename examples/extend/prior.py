"""A prior of one's own: each index given the one before it in reading order (a Markov chain; Shannon 1948).

Run it: ``python examples/extend/prior.py``. One class, registered under a name; tokens, training, evaluation, sampling,
saving beside a model, loading and ``vqkit prior RUN --kind markov`` need no other line.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import vqkit
from vqkit.priors import PRIORS, Prior, SamplingParams


@PRIORS.register("markov")
class MarkovPrior(Prior):
    """p(indices) as a table of transitions, trained by gradient steps.

    Args:
        codebook_size: K.
        grid: positions on each axis.
        num_codebooks: indices at each position, one after another.
    """

    def __init__(self, codebook_size: int, grid: Sequence[int], *, num_codebooks: int = 1) -> None:
        super().__init__()
        del grid, num_codebooks  # the base keeps them
        self.logits = nn.Parameter(torch.zeros(codebook_size + 1, codebook_size))  # the last row: of the first index

    def _log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        """Return nats ``[batch]`` of indices ``[batch, positions, codebooks]``."""
        del condition  # this prior has none
        flat = items.flatten(1)
        before = torch.cat([torch.full_like(flat[:, :1], self.codebook_size), flat[:, :-1]], dim=1)
        return self.logits.log_softmax(dim=1)[before, flat].sum(dim=1)

    def _sample(self, request: SamplingParams) -> Tensor:
        """Return indices ``[count, positions, codebooks]``; held positions stay as they are."""
        items = torch.zeros(request.count, self.positions, self.num_codebooks, dtype=torch.int64, device=self.device)
        known = items if request.known is None else request.known
        keep = torch.zeros_like(items[..., 0], dtype=torch.bool) if request.keep is None else request.keep
        last = torch.full_like(items[:, 0, 0], self.codebook_size)
        for position in range(self.positions):
            for codebook in range(self.num_codebooks):
                drawn = request.draw(self.logits[last])
                last = torch.where(keep[:, position], known[:, position, codebook], drawn)
                items[:, position, codebook] = last
        return items


def main() -> None:
    """Train a model and the prior of its tokens; judge, sample, save and load both."""
    data = vqkit.load_source("digits")
    small = {"hidden_channels": 16, "residual_channels": 8, "code_dim": 8, "downsampling": 2}
    model = vqkit.VQVAE.for_source(data, codebook_size=16, **small)
    with tempfile.TemporaryDirectory() as folder:
        out, quiet = Path(folder), {"quiet": True, "tensorboard": False}
        vqkit.train(model, data, out=out / "run", steps=60, **quiet)
        tokens = vqkit.tokenize(model, data, out=out / "tokens")
        prior = MarkovPrior.for_tokens(tokens)
        run = vqkit.train(prior, tokens, out=out / "prior", steps=200, learning_rate=0.05, **quiet)
        assert run.evaluation is not None
        bits, uniform = (run.evaluation[name] for name in ("bits_per_item", "uniform_bits_per_item"))
        assert bits < uniform
        model.use_prior(prior)
        model.save_pretrained(out / "saved")  # the prior lies in saved/prior and comes back with the model
        loaded = vqkit.load_model(out / "saved")
        samples = [each.sample(4, generator=torch.Generator().manual_seed(0)) for each in (model.eval(), loaded)]
        assert torch.equal(*samples)
        print(f"{bits:.1f} bits an item, of {uniform:.1f}; samples {list(samples[0].shape)}")


if __name__ == "__main__":
    main()
