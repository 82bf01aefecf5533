"""Time slices of Daphne's connections: shorter than uvicorn's, as it is slower."""

from functools import partial

from sync_streams.connections.fairness import Turns
from sync_streams.processes.per_loop import PerLoop

SLICE_SECONDS = 0.002
"""Time slice in one iteration; answering what it began takes about as long again."""

turns = PerLoop(partial(Turns, SLICE_SECONDS))
