"""docs/metrics.md, from the table of metrics that the view reads."""

from sync_streams.metrics import FAMILIES, PREFIX

HEAD = """\
# Metrics

`sync_streams.metrics` has a view for Prometheus. Install the extra and route the view
where only your own network reaches it:

```sh
pip install "sync-streams[metrics]"
```

```python
from django.urls import path
from sync_streams.metrics import metrics

urlpatterns += [path("metrics", metrics)]
```

The process that is scraped asks all others over the channel layer, so workers behind
one port need neither shared files nor addresses of their own. The label `process` tells
them apart. A process that does not answer within a quarter of a second is missing from
that scrape. Without the extra the view answers 501.

No metric has a label for a Stream or an identity, so their number does not grow.
Histograms are in seconds. [Monitoring](monitoring.md) has alert rules and a dashboard.

This page is generated from `sync_streams/metrics.py`.

| metric | type | labels | what it says |
|---|---|---|---|
"""


def render() -> str:
    """Return the whole page."""
    rows = [
        f"| `{PREFIX}{name}` | {family.kind} | "
        f"{', '.join(f'`{label}`' for label in family.labels) or '–'} | {family.help} |"
        for name, family in FAMILIES.items()
    ]
    return HEAD + "\n".join(rows) + "\n"
