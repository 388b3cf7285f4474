"""A quantizer as a layer of one's own network: an autoencoder of digits in plain torch. One line is vqkit's.

Run it: ``python examples/at_home/layer.py``.
"""

import torch
from torch import Tensor, nn

import vqkit
from vqkit.quantizers import EMAVectorQuantizer


class Digits(nn.Module):
    """Images 8x8 to 2x2 indices, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 16, 4, 2, 1))
        self.quantizer = EMAVectorQuantizer(64, 16)  # codebook_size, code_dim
        self.decoder = nn.Sequential(nn.ConvTranspose2d(16, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction, the indices and the layer's loss."""
        quantized, indices, loss = self.quantizer(self.encoder(x))
        return self.decoder(quantized), indices, loss


def main() -> None:
    """Train it, and look at what its indices are worth."""
    torch.manual_seed(0)
    images = torch.as_tensor(vqkit.load_source("digits")[:]).float() / 255
    training, held_out = images[:-200], images[-200:]
    network = Digits()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(300):
        x = training[torch.randint(len(training), (64,))]
        reconstruction, _, loss = network(x)
        total = (reconstruction - x).square().mean() / training.var() + loss
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {float(total.detach()):.3f}")

    network.eval()  # the codebook stays as it is from here on
    with torch.no_grad():
        reconstruction, indices, _ = network(held_out)
        explained = 1 - float((reconstruction - held_out).square().mean() / held_out.var())
        assert torch.equal(network.decoder(network.quantizer.lookup(indices)), reconstruction)
    print(f"{explained:.0%} of the variance in {indices[0].numel()} indices of {len(indices.unique())} codes")
    torch.save(network.state_dict(), "digits.pt")  # the codebook and its averages are in it


if __name__ == "__main__":
    main()
