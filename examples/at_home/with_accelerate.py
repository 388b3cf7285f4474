"""A loop of Hugging Face Accelerate around a model of vqkit, with gradient accumulation: one process or several.

Run it: ``accelerate launch examples/at_home/with_accelerate.py`` (needs ``pip install accelerate``).
"""

from contextlib import ExitStack

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import vqkit
from vqkit.quantizers import whole_batch

PARTS, STEPS = 2, 60


def main() -> None:
    """Prepare, train in parts, recalibrate, finish."""
    images = torch.as_tensor(vqkit.load_source("digits")[:1600])
    loader = DataLoader(TensorDataset(images), batch_size=32, shuffle=True, drop_last=True)
    model = vqkit.VQVAE(64, channels=1, code_dim=16, hidden_channels=16, residual_channels=8, downsampling=4)
    model.prepare(images[:1024].split(32))  # before Accelerate wraps it
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    accelerator = Accelerator(gradient_accumulation_steps=PARTS)
    wrapped, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    wrapped.train()
    first, last, step = 0.0, 0.0, 0
    while step < STEPS:
        for number, (x,) in enumerate(loader):
            if number % PARTS == 0:
                together = ExitStack()
                together.enter_context(whole_batch(model))  # the codebook learns once, from all parts
            else:
                model.another_part()
            with accelerator.accumulate(wrapped):
                loss = wrapped(x).loss
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            if number % PARTS == PARTS - 1:
                together.close()
                first, last, step = first or loss.item(), loss.item(), step + 1

    assert int(model.quantizer.updates) == step
    model = accelerator.unwrap_model(wrapped).eval()
    model.recalibrate_codebook(images[:1024].split(32))
    model.finish(images[:1024].split(32))
    if accelerator.is_main_process:
        model.save_pretrained("model")
    assert last < first
    accelerator.print(f"the loss went from {first:.2f} to {last:.2f} in {step} steps")


if __name__ == "__main__":
    main()
