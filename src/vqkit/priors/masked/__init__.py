"""The masked transformer over grids of indices (MaskGIT, Chang et al. 2022)."""
