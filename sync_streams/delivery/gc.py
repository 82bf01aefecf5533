"""Garbage: how often Python looks for it in a process that holds connections.

A full collection visits each of the 90 objects that an open socket consists of: 0.2 s
at 3,000 connections, in which nobody is delivered to. By default Python makes one
whenever connections have grown by a quarter; nearly all of their objects are freed
without it. See https://docs.python.org/3/library/gc.html#gc.set_threshold.
"""

import gc

from sync_streams.conf import get_settings


def tune_collector() -> None:
    """Let ``gc_threshold`` hold from now on, unless the project set a higher one."""
    threshold = get_settings().gc_threshold
    young, *_ = gc.get_threshold()
    if threshold is None or not 0 < young < threshold[0]:
        return
    gc.collect()
    # What has been loaded by now stays, and need not be visited ever again.
    gc.freeze()
    gc.set_threshold(*threshold)
