"""A webhook receiver, ``python -m tests.webhooks.receiver AUTH_TOKEN``.

A process of its own that checks each signature with Twilio's library and prints each
request as a line of JSON. The path says how it answers.
"""

import json
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator

SLOW_SECONDS = 1
FOREVER_SECONDS = 60
TRICKLE_SECONDS = 0.01


class Handler(BaseHTTPRequestHandler):
    """Prints a request and answers as its path says."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one segment, which no delayed acknowledgement slows
    validator = RequestValidator("")

    def do_POST(self) -> None:
        """Print the request; a validator says whether its signature is right."""
        length = int(self.headers["Content-Length"])
        parameters = dict(parse_qsl(self.rfile.read(length).decode(), True, True))
        url = f"http://{self.headers['Host']}{self.path}"
        signature = self.headers["X-Twilio-Signature"]
        line = {
            "path": self.path,
            "type": self.headers["Content-Type"],
            "is_valid": self.validator.validate(url, parameters, signature),
            "parameters": parameters,
        }
        say(json.dumps(line))
        self.answer(self.path.strip("/").partition("?")[0])

    def answer(self, kind: str) -> None:
        """Answer correctly, or like a bad endpoint."""
        match kind:
            case "slow":
                time.sleep(SLOW_SECONDS)
            case "never":
                time.sleep(FOREVER_SECONDS)
            case "garbage":
                self.wfile.write(b"\x00\xff what is this\r\n\r\n")
                self.close_connection = True
                return
            case "informs":
                self.inform_for_ever()
                return
            case "hangs-up":
                self.close_connection = True
                return
            case "endless":
                self.answer_for_ever(b"x" * 1024, pause=0)
                return
            case "trickles":
                self.answer_for_ever(b"x", pause=TRICKLE_SECONDS)
                return
        status = int(kind) if kind.isdigit() else 200
        size = 0 if kind == "204" else 2
        self.send_response(status)
        self.send_header("Location", "/redirected")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"x" * size)

    def answer_for_ever(self, chunk: bytes, *, pause: float) -> None:
        """Answer until the other side stops reading."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):
            while True:
                self.wfile.write(chunk)
                self.wfile.flush()
                time.sleep(pause)

    def inform_for_ever(self) -> None:
        """Send interim responses, and never the final one."""
        self.close_connection = True
        with suppress(OSError):
            while True:
                self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
                time.sleep(TRICKLE_SECONDS)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing else."""


def say(line: str) -> None:
    """Print a line in one piece, from any thread."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(auth_token: str) -> None:
    """Serve until the process is ended."""
    Handler.validator = RequestValidator(auth_token)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    say(f"receiver on {server.server_port}")
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
