"""Middleware of the demo site: static files, and a policy that allows only its own."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

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
