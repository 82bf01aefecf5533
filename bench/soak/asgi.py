"""The demo site's application, reporting at ``/internals`` what it holds."""

import asyncio
import gc
import json
from typing import Any

from project.asgi import application as site
from sync_streams.connections.registry import connections
from sync_streams.delivery.hub import get_hub


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve ``/internals`` here and pass everything else to the site."""
    if scope["type"] != "http" or scope["path"] != "/internals":
        await site(scope, receive, send)
        return
    gc.collect()
    hub = get_hub()
    body = json.dumps(
        {
            "connections": len(connections),
            "tasks": len(asyncio.all_tasks()),
            "topics": len(hub.subscriptions.topics),
        }
    ).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
