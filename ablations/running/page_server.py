"""One page and its status, served on the loopback address to browsers on this machine."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ablations.execution.progress import Status

__all__ = ["PageServer"]

HOST = "127.0.0.1"
PRESENT = 5.0  # seconds since a reader's last request
PATIENCE = 15.0  # seconds to wait for readers in all
NOTHING_YET = b"<!doctype html><meta http-equiv=refresh content=1><title>Live report</title><p>The run is starting."


class PageServer:
    """Serves `/`, the page, and `/status`, its version and how far the run is; it reads no files."""

    def __init__(self, status: Callable[[], Status]) -> None:
        """Start serving at a free port.

        Raises:
            OSError: there is none.
        """
        self._status = status
        self._version, self._page = 0, NOTHING_YET
        self._asked = -math.inf  # when a page last asked how far the run is
        self._server = ThreadingHTTPServer((HOST, 0), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def publish(self, version: int, page: bytes) -> None:
        """Serve another page; those that show the one before load it."""
        self._version, self._page = version, page

    def wait_for_readers(self) -> None:
        """Return once the page was fetched by a reader who is there, nobody is, or readers only ask for the status."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < min(until, self._asked + PRESENT):
            time.sleep(0.05)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Return the type and the content of an answer; None if there is nothing of that name."""
        if path == "/":
            self._asked = -math.inf
            return "text/html; charset=utf-8", self._page
        if path == "/status":
            self._asked = time.monotonic()
            status = self._status()
            answer = {"version": self._version, "text": status.text, "running": status.running}
            return "application/json", json.dumps(answer).encode()
        return None


def _handler(server: PageServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer; a name that another site has for this address is refused."""
            named = self.headers.get("Host") in (f"{HOST}:{server.port}", f"localhost:{server.port}")
            answer = server.answer(self.path) if named else None
            if answer is None:
                self.send_error(404 if named else 403)
                return
            kind, content = answer
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing: standard error is the run's."""

    return Handler
