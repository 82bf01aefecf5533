"""A host project with unusual settings: each variant has its own server and test."""
