"""Optimization: optimizer, schedule, weight average, gradient accumulation and frozen parts."""
