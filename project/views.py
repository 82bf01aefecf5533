"""Views of the demo site: its pages, and the access token they connect with."""

import secrets

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe

from project import settings
from project.exposure import comes_from_here
from project.phone import phone_url, to_svg
from sync_streams import operations, tokens


def _may_enter(request: HttpRequest) -> bool:
    if settings.DEMO_OPEN:
        return True
    if settings.DEMO_PRIVATE and comes_from_here(request.META):
        return True
    return request.user.is_active and request.user.is_staff


@require_safe
@ensure_csrf_cookie
def page(request: HttpRequest, template: str) -> HttpResponse:
    """Show a page; require a staff login if the site is reachable by others."""
    if not _may_enter(request):
        return redirect_to_login(request.path, reverse("admin:login"))
    url = phone_url(settings.PUBLIC_URL, settings.HOST, request.get_port())
    return render(request, template, {"phone_url": url})


@require_safe
def phone(request: HttpRequest) -> HttpResponse:
    """Return a QR code of the site's URL for a phone, if there is one."""
    url = phone_url(settings.PUBLIC_URL, settings.HOST, request.get_port())
    if not url or not _may_enter(request):
        raise Http404
    path = f"{url}{reverse('index')}"
    return HttpResponse(to_svg(path), content_type="image/svg+xml")


@require_POST
def token(request: HttpRequest) -> JsonResponse:
    """Issue an access token for the default Service to a page, valid for one hour."""
    if not _may_enter(request):
        return JsonResponse({"message": "Log in first"}, status=403)
    identity = request.user.get_username() or f"guest-{secrets.token_hex(4)}"
    service = operations.get_service(
        settings.CREDENTIALS["SYNC_ACCOUNT_SID"], "default"
    )
    access_token = tokens.issue_token(identity, service.sid)
    return JsonResponse({"token": access_token, "identity": identity})
