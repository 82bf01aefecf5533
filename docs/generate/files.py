"""Every generated file and what renders it; a test fails when one is stale."""

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.generate import asyncapi, dashboard, metrics, openapi, settings, site

ROOT = Path(__file__).parents[2]

FILES: Mapping[str, Callable[[], str]] = {
    "docs/asyncapi.json": asyncapi.render,
    "docs/metrics.md": metrics.render,
    "docs/monitoring/dashboard.json": dashboard.render,
    "docs/settings.md": settings.render,
    "sync_streams/openapi.json": openapi.render,
}


def write_all() -> None:
    """Write them all, and the pages of the site below ``build/``."""
    for name, render in FILES.items():
        (ROOT / name).write_text(render())
    site.assemble(ROOT / "build/docs")
