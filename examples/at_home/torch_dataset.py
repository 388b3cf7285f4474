"""A torch ``Dataset`` of one's own as training data; a ``DataLoader`` to judge the model with.

Run it: ``python examples/at_home/torch_dataset.py``.
"""

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import vqkit


class Stripes(Dataset):
    """Pictures of stripes, made when they are asked for, with their direction as a label."""

    def __len__(self) -> int:
        """Return the number of items."""
        return 600

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return a picture, float in [0, 1], and its label."""
        generator = torch.Generator().manual_seed(index)
        phase, width = torch.rand(2, generator=generator).tolist()
        wave = torch.sin(torch.arange(16) * (0.4 + width) + 6 * phase) / 2 + 0.5
        picture = wave.expand(16, 16)
        return (picture if index % 2 else picture.T)[None], index % 2


def main() -> None:
    """Train on the data set, judge on a loader, and encode its items."""
    dataset = Stripes()
    data = vqkit.load_source(dataset)
    print(data.describe())
    small = {"hidden_channels": 16, "residual_channels": 8, "downsampling": 4}
    model = vqkit.VQVAE.for_source(data, codebook_size=32, seed=0, **small)
    run = vqkit.train(model, data, steps=100, quiet=True, tensorboard=False)

    loader = DataLoader(torch.utils.data.Subset(dataset, range(500, 600)), batch_size=50)
    evaluation = vqkit.evaluate(model, loader)
    picture, label = dataset[3]
    indices = model.encode(picture[None])
    tokens = vqkit.tokenize(model, data, out=run.path / "tokens")
    assert torch.equal(torch.as_tensor(tokens[3]), indices[0])
    assert int(tokens.labels()[3]) == label
    print(f"{evaluation.psnr_db:.1f} dB PSNR on 100 items of a loader; item 3 is {indices[0].tolist()}")


if __name__ == "__main__":
    main()
