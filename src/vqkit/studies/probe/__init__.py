"""``vqkit probe``: which labels can be told from indices, from latents and from the signals."""
