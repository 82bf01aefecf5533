"""docs/monitoring/dashboard.json, for Grafana: a panel is a line in a table.

The format is that of https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/.
"""

import json
from typing import NamedTuple

from sync_streams.metrics import FAMILIES, PREFIX, Family

COLUMNS = 3
WIDTH, HEIGHT = 24 // COLUMNS, 8
SOURCE = {"type": "prometheus", "uid": "${source}"}


class Panel(NamedTuple):
    """One graph."""

    title: str
    unit: str
    queries: dict[str, str]
    """Queries by legend."""


def _quantiles(name: str) -> dict[str, str]:
    rate = f"sum by (le) (rate(sync_streams_{name}_bucket[$__rate_interval]))"
    return {f"p{q}": f"histogram_quantile(0.{q}, {rate})" for q in (50, 99)}


def _rate(name: str, by: str = "", labels: str = "") -> str:
    total = f"rate(sync_streams_{name}_total{labels}[$__rate_interval])"
    return f"sum by ({by}) ({total})" if by else f"sum({total})"


def _by_process(name: str) -> dict[str, str]:
    return {"{{process}}": f"sync_streams_{name}"}


ROWS: dict[str, list[Panel]] = {
    "Is it well?": [
        Panel(
            "Processes", "none", {"{{version}}": "sum by (version) (sync_streams_info)"}
        ),
        Panel(
            "Not ready, by part",
            "none",
            {
                "{{part}}": "sum by (part) (1 - sync_streams_ready)",
                "no events arrive": "sum(sync_streams_unreachable)",
                "draining": "sum(sync_streams_draining)",
            },
        ),
        Panel(
            "Publishes, by outcome",
            "ops",
            {"{{outcome}}": _rate("publishes", "outcome")},
        ),
        Panel(
            "Gaps and drops",
            "ops",
            {
                "gaps, told: {{told}}": _rate("gaps", "told"),
                "dropped": _rate("dropped"),
                "events rejected": _rate("events_rejected"),
            },
        ),
        Panel(
            "Times unreachable, probes missed",
            "ops",
            {
                "unreachable": _rate("times_unreachable"),
                "probes missed": _rate("probes_missed"),
            },
        ),
        Panel(
            "Uptime",
            "s",
            {
                "{{process}}": "time() - sync_streams_start_time_seconds",
            },
        ),
    ],
    "Publishing": [
        Panel(
            "Publishes, by transport",
            "ops",
            {"{{transport}}": _rate("publishes", "transport")},
        ),
        Panel("Time of a publish", "s", _quantiles("publish_seconds")),
        Panel(
            "Refused for their rate, or given up",
            "ops",
            {
                "54009": _rate("rate_refusals"),
                "given up": _rate("publishes_given_up"),
            },
        ),
        Panel("Time of the channel layer", "s", _quantiles("broadcast_seconds")),
        Panel("Time of the database", "s", _quantiles("database_seconds")),
        Panel(
            "Webhooks, by outcome", "ops", {"{{outcome}}": _rate("webhooks", "outcome")}
        ),
    ],
    "Delivery": [
        Panel(
            "Deliveries",
            "ops",
            {
                "delivered": _rate("deliveries"),
                "acknowledged": _rate("acknowledged"),
            },
        ),
        Panel("Time to delivery", "s", _quantiles("delivery_seconds")),
        Panel("Event loop lag", "s", _by_process("event_loop_lag_seconds")),
        Panel("Events that wait", "none", _by_process("event_queue_length")),
        Panel(
            "Frames that wait for slow readers", "none", _by_process("backlog_messages")
        ),
        Panel("Streams with subscribers", "none", _by_process("streams_subscribed")),
    ],
    "Connections": [
        Panel(
            "Connections, by transport",
            "none",
            {
                "{{transport}}": "sum by (transport) (sync_streams_connections)",
            },
        ),
        Panel(
            "Opened", "ops", {"{{transport}}": _rate("connections_opened", "transport")}
        ),
        Panel(
            "Closed, by code", "ops", {"{{code}}": _rate("connections_closed", "code")}
        ),
        Panel("Subscriptions", "none", _by_process("subscriptions")),
        Panel(
            "Connections of what a process accepts",
            "percentunit",
            {
                "{{process}}": "sum by (process) (sync_streams_connections)"
                " / on (process) sync_streams_max_connections",
            },
        ),
        Panel(
            "Descriptors in use",
            "percentunit",
            {
                "{{process}}": "sync_streams_open_descriptors"
                " / sync_streams_max_descriptors",
            },
        ),
    ],
}


UNSHOWN = frozenset({"max_lag_seconds"})
"""Bounds that are not worth a line."""

UNITS = {"counter": "ops", "gauge": "none", "histogram": "s"}


def _rows() -> dict[str, list[Panel]]:
    """Return the rows, with a panel for each metric that none of them shows."""
    shown = " ".join(
        query
        for row in ROWS.values()
        for panel in row
        for query in panel.queries.values()
    )
    others = [
        _own_panel(name, family)
        for name, family in FAMILIES.items()
        if f"{PREFIX}{name}" not in shown and name not in UNSHOWN
    ]
    return ROWS | ({"Others": others} if others else {})


def _own_panel(name: str, family: Family) -> Panel:
    by = ", ".join(family.labels)
    legend = " ".join(f"{{{{{label}}}}}" for label in family.labels) or "all"
    queries = {
        "counter": {legend: _rate(name, by)},
        "gauge": _by_process(name),
        "histogram": _quantiles(name),
    }
    title = name.replace("_", " ").capitalize()
    return Panel(title, UNITS[family.kind], queries[family.kind])


def render() -> str:
    """Return the dashboard as Grafana imports it."""
    panels: list[dict[str, object]] = []
    y = 0
    for title, row in _rows().items():
        place = {"x": 0, "y": y, "w": 24, "h": 1}
        panels.append(
            {
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        y += 1
        panels += [_panel(panel, at, y) for at, panel in enumerate(row)]
        y += HEIGHT * -(-len(row) // COLUMNS)
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    return json.dumps(_dashboard(panels), indent=2) + "\n"


def _panel(panel: Panel, at: int, y: int) -> dict[str, object]:
    row, column = divmod(at, COLUMNS)
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {
            "x": column * WIDTH,
            "y": y + row * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {
                "refId": chr(65 + number),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
            }
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _dashboard(panels: list[dict[str, object]]) -> dict[str, object]:
    source = {
        "name": "source",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }
    return {
        "title": "sync_streams",
        "uid": "sync-streams",
        "tags": ["sync_streams"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [source]},
        "panels": panels,
    }
