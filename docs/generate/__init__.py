"""What of the documentation is written by the code: ``python -m docs.generate``."""
