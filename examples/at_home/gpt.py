"""A language model of one's own on the tokens of pictures: trained in plain torch, its samples decoded to pictures.

Run it: ``python examples/at_home/gpt.py``.
"""

import torch
from torch import Tensor, nn

import vqkit


class GPT(nn.Module):
    """A small decoder-only transformer; token ``codes`` begins a sequence of ``length`` tokens."""

    def __init__(self, codes: int, length: int, width: int = 64) -> None:
        super().__init__()
        self.codes, self.length = codes, length
        self.tokens, self.places = nn.Embedding(codes + 1, width), nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, codes)

    def forward(self, before: Tensor) -> Tensor:
        """Return logits ``[batch, n, codes]`` of each next token after the tokens ``[batch, n]``."""
        mask = nn.Transformer.generate_square_subsequent_mask(before.shape[1])
        return self.head(self.layers(self.tokens(before) + self.places[: before.shape[1]], mask=mask, is_causal=True))

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """Draw sequences ``[count, length]``."""
        found = torch.full((count, 1), self.codes)
        for _ in range(self.length):
            found = torch.cat([found, torch.multinomial(self(found)[:, -1].softmax(dim=-1), 1)], dim=1)
        return found[:, 1:]


def main() -> None:
    """Train a tokenizer, then a GPT on its tokens, and look at samples."""
    data = vqkit.load_source("digits")
    small = {"hidden_channels": 16, "residual_channels": 8, "downsampling": 2, "seed": 0}
    model = vqkit.VQVAE.for_source(data, 64, **small)
    run = vqkit.train(model, data, steps=100, learning_rate=2e-3, quiet=True, tensorboard=False)
    tokens = torch.as_tensor(vqkit.tokenize(model, data, out=run.path / "tokens")[:]).long()
    sequences = tokens.flatten(1)  # [items, 16]: a grid of 4x4, row after row
    gpt = GPT(model.codebook_size, sequences.shape[1])
    optimizer = torch.optim.AdamW(gpt.parameters(), lr=3e-3)
    for _ in range(120):
        after = sequences[torch.randint(len(sequences), (64,))]
        before = nn.functional.pad(after[:, :-1], (1, 0), value=gpt.codes)
        loss = nn.functional.cross_entropy(gpt(before).flatten(0, 1), after.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    pictures = model.decode(gpt.eval().sample(16).view(16, *tokens.shape[1:]))
    vqkit.show(pictures).save("samples.png")
    print(f"{float(loss.detach()) / 0.6931:.2f} bits a token, {torch.tensor(gpt.codes).log2():.0f} without a model")


if __name__ == "__main__":
    main()
