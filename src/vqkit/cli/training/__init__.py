"""Training from the command line: settings, resuming, and the result that is printed."""
