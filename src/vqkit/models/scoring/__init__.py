"""How unusual single items are: their errors, their bits, their distances to the codebook."""

from vqkit.models.scoring.reference import ScoreReference
from vqkit.models.scoring.scores import ItemMaps, LatentScores, Scores

__all__ = ["ItemMaps", "LatentScores", "ScoreReference", "Scores"]
