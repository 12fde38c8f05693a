"""Losses that several algorithms share, one idea a file."""
