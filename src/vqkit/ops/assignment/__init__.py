"""Assignment of vectors to codes: nearest-code search, soft assignment, k-means and code statistics."""
