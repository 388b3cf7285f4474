"""Tables of results: columns, digits, formats."""
