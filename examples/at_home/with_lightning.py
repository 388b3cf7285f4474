"""A ``LightningModule`` around a model of vqkit.

Run it: ``python examples/at_home/with_lightning.py`` (needs ``pip install lightning`` or ``pytorch-lightning``).
"""

import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import vqkit


class Tokenizer(lightning.LightningModule):
    """Trains a VQ-VAE; what comes before the first and after the last step is in two hooks."""

    def __init__(self, model: vqkit.VQVAE, sample: Tensor) -> None:
        super().__init__()
        self.model, self.sample = model, sample

    def on_fit_start(self) -> None:
        """Measure the data's scale, and set the first codebook; not again where a run is resumed."""
        if not self.model.has_trained:
            self.model.prepare(self.sample.split(32))

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """Return the loss."""
        output = self.model(batch[0])
        self.log_dict(dict(output.metrics))
        return output.loss

    def on_train_end(self) -> None:
        """Let the codebook follow the finished encoder, and fit what the loss does not train."""
        self.model.eval()
        self.model.recalibrate_codebook(self.sample.split(32))
        self.model.finish(self.sample.split(32))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.Adam(self.model.parameters(), lr=3e-3)


def main() -> None:
    """Train for a moment, and evaluate."""
    images = torch.as_tensor(vqkit.load_source("digits")[:])
    model = vqkit.VQVAE(64, channels=1, code_dim=16, hidden_channels=16, residual_channels=8, downsampling=4)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(max_steps=100, enable_model_summary=False, **quiet)
    loader = DataLoader(TensorDataset(images[:1600]), batch_size=32, shuffle=True)
    trainer.fit(Tokenizer(model, images[:1024]), loader)
    evaluation = vqkit.evaluate(model, images[1600:])
    model.save_pretrained("model")
    print(f"{evaluation.psnr_db:.2f} dB PSNR after {int(model.steps_seen)} steps")


if __name__ == "__main__":
    main()
