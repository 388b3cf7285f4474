"""Pages to play with: what a reader can drag, choose and replace in a report, all of it decoded beforehand."""
