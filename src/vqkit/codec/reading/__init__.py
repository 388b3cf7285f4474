"""Parts of reading a file: blocks to indices, and the pieces that signals come in."""
