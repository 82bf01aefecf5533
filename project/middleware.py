"""Middleware of the demo site: static files, a policy, the language of the admin."""

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
    """WhiteNoise, answering with whole files.

    It streams them with a synchronous iterator, which Django warns of under ASGI:
    https://github.com/evansd/whitenoise/issues/531. Ours are small.
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
    """Let the site's pages load nothing but the site's own files."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
        return response

    return middleware


def admin_language(get_response: View) -> View:
    """Serve the admin in the language that was chosen, or that the browser asks for.

    Django's own middleware does so for every address; the API and its errors stay
    English, and do not vary.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(f"/{ADMIN_URL}"):
            with translation.override(LANGUAGE_CODE):
                return get_response(request)
        language = translation.get_language_from_request(request)
        with translation.override(language):
            response = get_response(request)
            # Before the language is put back: it is rendered by now.
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
            response.headers.setdefault("Content-Language", language)
            return response

    return middleware
