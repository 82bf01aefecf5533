"""Middleware of the demo site: static files, CSP, and the admin's language."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

from project.settings import ADMIN_URL, LANGUAGE_CODE

View = Callable[[HttpRequest], HttpResponseBase]


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise, but sending each file in one piece.

    Its synchronous iterator makes Django warn under ASGI; see
    https://github.com/evansd/whitenoise/issues/531. The site's files are small.
    """

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        answer = static_file.get_response(request.method, request.META)
        content = b""
        if answer.file:
            with answer.file as file:
                content = file.read()
        return HttpResponse(content, status=answer.status, headers=dict(answer.headers))


def content_security_policy(get_response: View) -> View:
    """Allow the site's pages to load only the site's own files."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
        return response

    return middleware


def admin_language(get_response: View) -> View:
    """Serve the admin in the chosen language, or else the browser's.

    Django's own middleware would do so for every URL, but the API and its errors are
    always in English.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(f"/{ADMIN_URL}"):
            with translation.override(LANGUAGE_CODE):
                return get_response(request)
        language = translation.get_language_from_request(request)
        with translation.override(language):
            response = get_response(request)
            # Before the language is reset; the response is already rendered.
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
            response.headers.setdefault("Content-Language", language)
            return response

    return middleware
