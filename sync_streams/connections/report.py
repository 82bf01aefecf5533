"""Report: describes this process's connections to operators."""

import asyncio
from collections.abc import Mapping
from heapq import nlargest
from typing import Any

from sync_streams.delivery.cluster import survey
from sync_streams.delivery.cluster.listing import MAX_ROWS, Row, Wanted
from sync_streams.delivery.hub import Hub

from .registry import Connection, connections

SLICE_CONNECTIONS = 250
"""Connections examined in one time slice."""


async def answer(_: Hub, question: Mapping[str, Any]) -> None:
    """Reply with this process's matching connections, newest first."""
    wanted, process = question["wanted"], survey.process_name()
    if wanted.get("process", "") not in {"", process}:
        return
    matching: list[Connection] = []
    for number, connection in enumerate(connections):
        if number % SLICE_CONNECTIONS == 0:
            await asyncio.sleep(0)
        if _is_wanted(connection, wanted):
            matching.append(connection)
    newest = nlargest(MAX_ROWS, matching, key=lambda one: one.since)
    rows = [_describe(connection, process) for connection in newest]
    await survey.reply(question, rows=rows, total=len(matching))


def _is_wanted(connection: Connection, wanted: Wanted) -> bool:
    service, identity = connection.service, connection.identity_name
    if service is None:
        return False
    streams = connection.outbox.streams
    return (
        wanted.get("service_sid", "") in {"", service.sid}
        and (not wanted.get("stream_sid") or wanted["stream_sid"] in streams)
        and wanted.get("identity", "").casefold() in identity.casefold()
        and connection.address.startswith(wanted.get("address", ""))
    )


def _describe(connection: Connection, process: str) -> Row:
    service, outbox = connection.service, connection.outbox
    acknowledgements = outbox.acknowledgements
    seconds = acknowledgements.seconds
    return {
        "id": outbox.connection_id,
        "process": process,
        "service_sid": service.sid if service else "",
        "identity": connection.identity_name,
        "address": connection.address,
        "protocol": connection.protocol_name,
        "client": connection.client,
        "since": connection.since,
        "subscriptions": len(outbox.streams),
        "round_trip_ms": round(seconds * 1000) if seconds else -1,
        "unacknowledged": acknowledgements.asked - acknowledgements.acknowledged,
        "dropped": outbox.dropped,
        "is_observer": outbox.is_observer,
    }
