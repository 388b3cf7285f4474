"""Pictures as data URLs: small ones that a script of the page shows without asking the server for a file."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import Image
from torch import Tensor

from vqkit.pictures import to_uint8


def as_picture(signal: Tensor) -> Image.Image:
    """A Pillow picture of ``[channels, height, width]``, floats in [0, 1] or uint8, of 1 or 3 channels."""
    array = to_uint8(signal.unsqueeze(0))[0]
    return Image.fromarray(array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1))


def data_url(picture: Image.Image) -> str:
    """A picture as ``data:image/png;base64,...``."""
    file = BytesIO()
    picture.save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
