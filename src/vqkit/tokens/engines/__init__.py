"""Engines of an encoding: what runs its workers."""

from vqkit.tokens.engines.base import ENGINES, Engine, engine
from vqkit.tokens.engines.processes import Processes
from vqkit.tokens.engines.ray_actors import RayActors
from vqkit.tokens.engines.torchrun import Torchrun

__all__ = ["ENGINES", "Engine", "Processes", "RayActors", "Torchrun", "engine"]
