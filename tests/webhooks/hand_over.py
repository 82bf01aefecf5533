"""A sender of a host project: ``SYNC_STREAMS["WEBHOOK_SENDER"]``."""

import json

handed_over: list[str] = []


def to_queue(webhook: dict[str, object]) -> None:
    handed_over.append(json.dumps(webhook))


def failing(webhook: dict[str, object]) -> None:
    raise ZeroDivisionError
