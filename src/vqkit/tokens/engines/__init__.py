"""Engines of an encoding: what runs its workers."""

from vqkit.tokens.engines.base import ENGINES, Engine, engine
from vqkit.tokens.engines.processes import Processes
from vqkit.tokens.engines.ray_actors import RayActors

__all__ = ["ENGINES", "Engine", "Processes", "RayActors", "engine"]
