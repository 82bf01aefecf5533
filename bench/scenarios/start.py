"""Cold start: how long a fresh process takes to listen and to answer its first publish.

The first publish is the one that would wait for connections, caches and imports that
were not made ready before the process began to listen.
"""

import socket
import time
from collections.abc import Iterator

from bench.contenders import Contender
from bench.plan import Plan
from bench.process import ServerFailed
from bench.rows import Row

ANSWER_SECONDS = 10
READ_BYTES = 65_536
CASES = "until it listens", "first publish over REST", "second publish over REST"


def run(plan: Plan) -> Iterator[Row]:
    """Yield milliseconds, for each contender that is published to over HTTP."""
    for contender in plan.contenders("product", "peer"):
        if contender.http is None:
            continue
        try:
            runs = [_trial(contender) for _ in range(plan.repeats)]
        except (ServerFailed, OSError) as error:
            print(f"  {contender.name}: {error}", flush=True)
            continue
        for case, values in zip(CASES, zip(*runs, strict=True), strict=True):
            yield Row(
                scenario="start",
                case=case,
                contender=contender.name,
                unit="ms",
                values=[1000 * seconds for seconds in values],
                less_is_better=True,
            )


def _trial(contender: Contender) -> list[float]:
    server = contender.start()
    started = time.perf_counter()
    with server:
        seconds = [time.perf_counter() - started]
        seconds += [_publish(contender, server.port) for _ in CASES[1:]]
    return seconds


def _publish(contender: Contender, port: int) -> float:
    if contender.http is None:
        raise ValueError(contender.name)
    (request,) = contender.http(1, 200).templates.values()
    with socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as connection:
        started = time.perf_counter()
        connection.sendall(request)
        answer = connection.recv(READ_BYTES)
        seconds = time.perf_counter() - started
    if b" 20" not in answer[:16]:
        raise ServerFailed(f"{contender.name}: {answer[:100]!r}")
    return seconds
