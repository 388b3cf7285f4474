"""Sources made of other sources: crops and concatenations."""
