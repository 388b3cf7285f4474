"""What commands write: tables, progress, file paths, commands to copy."""
