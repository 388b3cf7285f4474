"""Measures of sound: waveforms aligned for delay, spectra, and quality as people hear it."""

from vqkit.evaluation.sound.perceptual import pesq, stoi, visqol
from vqkit.evaluation.sound.quality import SoundQuality, judge_sounds, perceptual_measures, summarize
from vqkit.evaluation.sound.spectral import mel_distance, stft_distance
from vqkit.evaluation.sound.waveform import delay_samples, si_sdr_db, snr_db

__all__ = [
    "SoundQuality",
    "delay_samples",
    "judge_sounds",
    "mel_distance",
    "perceptual_measures",
    "pesq",
    "si_sdr_db",
    "snr_db",
    "stft_distance",
    "stoi",
    "summarize",
    "visqol",
]
