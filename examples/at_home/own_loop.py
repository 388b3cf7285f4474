"""A training loop of one's own around a model of vqkit: three calls that ``vqkit.train`` makes, made by hand.

Run it: ``python examples/at_home/own_loop.py``. What comes out is a model as any: it is saved, loaded, and evaluated.
"""

import tempfile

import torch

import vqkit
from vqkit.quantizers import whole_batch


def main() -> None:
    """Prepare, step with gradient accumulation, recalibrate, finish."""
    data = vqkit.load_source("digits")
    training, held_out = vqkit.split(data, 0.1)
    model = vqkit.VQVAE.for_source(
        data, 64, code_dim=16, hidden_channels=16, residual_channels=8, downsampling=4, seed=0
    )
    batches = vqkit.Batches(training, 64, seed=0)  # or a DataLoader: tensors [batch, channels, *size]

    model.prepare(batches.batch(step) for step in range(16))  # the data's scale, the first codebook
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=200)
    model.train()
    for step in range(200):
        optimizer.zero_grad()
        with whole_batch(model):  # one codebook update an optimizer step
            for number, part in enumerate(batches.batch(step).chunk(2)):
                if number:
                    model.another_part()
                (model(part).loss / 2).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()

    model.eval()
    model.recalibrate_codebook(batches.batch(200 + step) for step in range(4))  # codes of the finished encoder
    model.finish(batches.batch(step) for step in range(16))  # the scale of the likelihood: bits per dimension
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        same = vqkit.load_model(folder)
        evaluation = vqkit.evaluate(same, held_out)
        assert torch.equal(same.encode(held_out[:8]), model.encode(held_out[:8]))
    print(f"{evaluation.psnr_db:.2f} dB PSNR, {evaluation.bits_per_dim.total:.2f} bits per dimension")


if __name__ == "__main__":
    main()
