"""Arrays as sources: NumPy files, memory maps, items handed over one by one."""
