"""Linear algebra of streams: moments, covariance and principal components."""
