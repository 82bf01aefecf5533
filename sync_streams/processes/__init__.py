"""The process that the app is in: its event loops, threads and descriptors."""
