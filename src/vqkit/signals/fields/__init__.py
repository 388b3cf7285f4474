"""Fields: measured quantities on grids; their layouts, gaps, files and pictures of more than 8 bits."""
