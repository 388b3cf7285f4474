"""Archives: ``.vqk`` files that grow at their end, with an index of their signals (docs/bitstream.md, *Archives*)."""
