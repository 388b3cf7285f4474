"""WaveNet: the layers, the decoder, and sampling with memory."""
