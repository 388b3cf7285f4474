"""The autoregressive transformer over grids of indices, and its incremental sampling."""
