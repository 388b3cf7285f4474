"""Reports: self-contained pages, charts and pictures."""
