"""Template tags: the browser client, and htmx's attributes for Server-Sent Events."""

from typing import Any

from django import template
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.template import Context
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from sync_streams.values.mounts import socket_path

register = template.Library()


@register.inclusion_tag("sync_streams/client.html", takes_context=True)
def sync_streams(
    context: Context, view: str = "sync-token", *, nonce: object = None
) -> dict[str, Any]:
    """Connect the page: ``{% sync_streams %}`` makes ``syncStreams``, a client.

    Modules after it subscribe with ``syncStreams.subscribe("orders")``. The CSRF token
    is read from its cookie if scripts may, and is otherwise part of the page.

    Args:
        context: the page's.
        view: name of the URL, or path, at which a POST gets an access token.
        nonce: the nonce of the Content-Security-Policy; by default that of Django 6 or
            django-csp, if there is one.
    """
    return {
        "socket_url": socket_path(),
        "token_url": _address(view, "TokenView.as_view()"),
        "nonce": "" if (found := _nonce(context, nonce)) is None else str(found),
        "csrf_token": str(context.get("csrf_token", "")),
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "csrf_header": settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace(
            "_", "-"
        ),
    }


@register.simple_tag
def stream_events(
    *args: object, view: str = "stream-events", htmx: int = 2
) -> SafeString:
    """Write the attributes that make htmx read Server-Sent Events.

    ``<ul {% stream_events "orders" %} sse-swap="message">``.

    Args:
        *args: of the view: for ``session_events`` a Stream's SID or unique name.
        view: name of the URL, or path, that answers with events.
        htmx: its major version, 2 or 4.
    """
    url = _address(view, "session_events", *args)
    if htmx >= 4:
        return format_html('hx-sse:connect="{}"', url)
    return format_html('hx-ext="sse" sse-connect="{}"', url)


@register.simple_tag
def stream_events_url(*args: object, view: str = "stream-events") -> str:
    """Return only the URL, for ``EventSource``."""
    return _address(view, "session_events", *args)


def _address(view: str, meant: str, *args: object) -> str:
    if view.startswith(("/", "https://", "http://")):
        return view
    try:
        return reverse(view, args=args)
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            f'No URL is named "{view}" (arguments: {list(args)}). Add a path for '
            f"{meant} with that name, or name another one in the tag."
        ) from error


def _nonce(context: Context, given: object) -> object:
    if given is None:
        given = context.get("csp_nonce")  # of Django 6's context processor
    if given is None:
        given = getattr(context.get("request"), "csp_nonce", None)  # of django-csp
    return given
