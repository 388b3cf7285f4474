"""Output of commands: tables, progress, file paths, commands to copy."""
