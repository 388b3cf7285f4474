"""Files and folders on the disk: atomic writes, locks, marks, bounded reading, and where results may be written."""
