"""A language model of somebody else's on the tokens of pictures: GPT-2 of transformers, from random weights.

Run it: ``pip install transformers``, then ``python examples/at_home/with_transformers.py``.
"""

from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LogitsProcessorList

import vqkit
from vqkit.tokens import Layout, load_tokens


def main() -> None:
    """Write a shard, train on it what reads such shards, and decode what that generates."""
    data = vqkit.load_source("digits")
    model = vqkit.VQVAE.for_source(data, 64, hidden_channels=16, residual_channels=8, downsampling=2, seed=0)
    vqkit.train(model, data, steps=100, learning_rate=2e-3, quiet=True, tensorboard=False)
    layout = Layout(vocab_offset=12, bos=0, class_offset=1)  # bos, 10 digits and "no digit", then 64 codes
    vqkit.tokenize(model, data, "tokens", kind="bin", layout=layout)

    tokens = load_tokens("tokens")
    vocabulary, length = tokens.vocabulary, tokens.vocabulary.length(tokens.grid)
    shard = np.memmap(Path("tokens") / "indices-00000.bin", dtype=np.uint16, mode="r")
    small = {"n_embd": 64, "n_layer": 2, "n_head": 4, "bos_token_id": 0, "eos_token_id": None}
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary.size, n_positions=length, **small))
    optimizer = torch.optim.AdamW(gpt.parameters(), lr=3e-3)
    for _ in range(120):
        starts = torch.randint(len(shard) // length, (64,)) * length
        ids = torch.stack([torch.from_numpy(shard[i : i + length].astype(np.int64)) for i in starts])
        loss = gpt(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def codes_only(_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, : vocabulary.code_ids.start] = -torch.inf
        return scores

    heads = torch.tensor([vocabulary.head(digit) for digit in range(10) for _ in range(4)])
    rules = LogitsProcessorList([codes_only])
    found = gpt.eval().generate(
        heads, attention_mask=torch.ones_like(heads), do_sample=True, top_k=0, max_length=length, logits_processor=rules
    )
    pictures = model.decode(vocabulary.indices(found.numpy(), tokens.grid))
    vqkit.show(pictures).save("samples.png")
    print(f"{float(loss.detach()) / 0.6931:.2f} bits a token, {np.log2(vocabulary.size):.1f} without a model")


if __name__ == "__main__":
    main()
