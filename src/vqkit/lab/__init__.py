"""The lab: a page in the browser where models are looked at, listened to and played with; nothing leaves the machine.

It needs the extra ``lab`` (gradio 6), which is imported when the page is built, not before.
"""

from vqkit.lab.opening import build_lab, open_lab
from vqkit.lab.workshop import OpenModel, Workshop

__all__ = ["OpenModel", "Workshop", "build_lab", "open_lab"]
