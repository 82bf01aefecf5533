"""Servers that the product is measured against, one per file."""
