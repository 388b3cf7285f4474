"""Encoded images: files and bytes decoded as a person sees them, folders of them, lazy or in memory."""
