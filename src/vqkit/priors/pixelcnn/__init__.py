"""The gated PixelCNN over grids of indices (van den Oord et al. 2016)."""
