"""Garbage collection: tunes how often it runs in a process with connections.

A full collection visits each of the 90 objects that make up an open socket: at 3,000
connections it delays every delivery by 0.2 s. By default Python runs one whenever the
number of connections has grown by a quarter, although nearly all of their objects are
freed without it. See https://docs.python.org/3/library/gc.html#gc.set_threshold.
"""

import gc

from sync_streams.conf import get_settings


def tune_collector() -> None:
    """Apply ``gc_threshold``, unless the project has set a higher one."""
    threshold = get_settings().gc_threshold
    young, *_ = gc.get_threshold()
    if threshold is None or not 0 < young < threshold[0]:
        return
    gc.collect()
    # Everything loaded so far stays for good, so no collection has to visit it again.
    gc.freeze()
    gc.set_threshold(*threshold)
