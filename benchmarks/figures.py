"""What every benchmark shares: the command line, and figures printed one a line and written as JSON.

A line is ``name value unit (min .. max)`` and the ratio to each peer measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Figure:
    """One measured figure: its median, its range, and the ratio of it to each peer's median."""

    name: str
    value: float
    unit: str
    min: float
    max: float
    ratios: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        text = f"{self.name} {self.value:.5g} {self.unit} ({self.min:.5g} .. {self.max:.5g})"
        return text + "".join(f"  {ratio:.2f}x {peer}" for peer, ratio in self.ratios.items())


def figure(name: str, samples: Sequence[float], unit: str, peers: dict[str, float] | None = None) -> Figure:
    """The median of samples, with the ratio to each peer's median."""
    value = statistics.median(samples)
    ratios = {peer: value / other for peer, other in (peers or {}).items()}
    return Figure(name, value, unit, min(samples), max(samples), ratios)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every script takes."""
    built = argparse.ArgumentParser(description=description)
    built.add_argument("--quick", action="store_true", help="a short look: fewer and smaller runs")
    built.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    return built


def report(figures: Sequence[Figure], arguments: argparse.Namespace, **about: Any) -> None:
    """Print the figures, and write them with the machine's description if ``--json`` was given."""
    for each in figures:
        print(each.line(), flush=True)
    if arguments.json is not None:
        import torch

        machine = {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }
        document = {
            "machine": machine,
            "quick": arguments.quick,
            **about,
            "figures": [asdict(each) for each in figures],
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
