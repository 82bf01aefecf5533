"""The load generator: subscribers and publishers that number and time Messages."""

from .client import Generator, GeneratorFailed, Load, measure
from .counts import Measurement

__all__ = ["Generator", "GeneratorFailed", "Load", "Measurement", "measure"]
