"""A loss of one's own: edges and large errors count, on top of what the model minimizes by itself.

Run it: ``python examples/at_home/own_loss.py``. Two ways: a term on ``output.reconstruction`` in a loop, and an
objective with a name, for ``vqkit.train`` and the command line.
"""

import torch
from torch import Tensor

import vqkit
from vqkit.objectives import OBJECTIVES, Decoded, Objective, mean_of


def sobel(x: Tensor) -> Tensor:
    """Return the horizontal and vertical differences of pictures."""
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], device=x.device)
    return torch.nn.functional.conv2d(x.flatten(0, 1)[:, None], torch.stack([kernel, kernel.T])[:, None], padding=1)


@OBJECTIVES.register("edges")
class Edges(Objective):
    """The squared error of the differences, in standard deviations of the data."""

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """Return the term by name."""
        return {"edges_loss": mean_of((sobel(decoded.mean) - sobel(decoded.target)).square(), None)}


def main() -> None:
    """Train both ways, and without, and compare the errors of the edges on held-out digits."""
    training, rest = vqkit.split(vqkit.load_source("digits"), 0.1)
    held_out = torch.as_tensor(rest[:]).float() / 255
    small = {"hidden_channels": 16, "residual_channels": 8, "downsampling": 4, "seed": 0}
    batches = vqkit.Batches(training, 32, seed=0)
    loop = vqkit.VQVAE.for_source(training, 64, **small)
    loop.prepare(batches.batch(step) for step in range(16))
    optimizer = torch.optim.Adam(loop.parameters(), lr=2e-3)
    for step in range(100):
        x = batches.batch(step)
        output = loop.train()(x)
        own = (sobel(output.reconstruction) - sobel(x.float() / 255)).square().mean()
        optimizer.zero_grad()
        (output.loss + 2 * own).backward()  # the reconstruction carries its gradient
        optimizer.step()

    def error(model: vqkit.VQVAE) -> float:
        return float((sobel(model.eval().reconstruct(held_out)) - sobel(held_out)).square().mean())

    errors = {"a loop of one's own": error(loop)}
    for objective in ("likelihood", "likelihood + 0.2*edges"):
        model = vqkit.VQVAE.for_source(training, 64, **small)
        settings = {"steps": 100, "learning_rate": 2e-3, "validation": rest, "quiet": True, "tensorboard": False}
        vqkit.train(model, training, objective=objective, **settings)
        errors[objective] = error(model)
    print("squared error of the edges:", {name: round(value, 3) for name, value in errors.items()})
    assert max(errors["a loop of one's own"], errors["likelihood + 0.2*edges"]) < errors["likelihood"]


if __name__ == "__main__":
    main()
