"""Archives of signals: files that grow, of which any signal is decoded without the others."""
