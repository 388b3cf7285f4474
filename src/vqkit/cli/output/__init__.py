"""Output of commands: tables, progress, commands to copy."""
