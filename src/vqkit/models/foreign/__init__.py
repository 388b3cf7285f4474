"""Models of diffusers and transformers as models of vqkit, and back."""

from vqkit.models.foreign.audio_tokenizer import AudioTokenizer, AudioTokenizerOutput
from vqkit.models.foreign.codecs import DACFolder, EnCodecFolder
from vqkit.models.foreign.vqmodel import VQModelFolder, save_vqmodel

__all__ = ["AudioTokenizer", "AudioTokenizerOutput", "DACFolder", "EnCodecFolder", "VQModelFolder", "save_vqmodel"]
