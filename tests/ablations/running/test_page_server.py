"""The server of a live page: its answers, and who gets one."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from ablations.execution.progress import Status
from ablations.running import page_server
from ablations.running.page_server import PageServer


@pytest.fixture
def server() -> Iterator[PageServer]:
    with closing(PageServer(lambda: Status(text="1 done.", running=("full, seed 0: epoch 1/2",)))) as server:
        yield server


def _ask(server: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_the_page_and_how_far_the_run_is(server: PageServer) -> None:
    assert _ask(server, "/") == (200, page_server.NOTHING_YET)
    server.publish(3, "<p>δ".encode())
    assert _ask(server, "/") == (200, "<p>δ".encode())
    status, text = _ask(server, "/status")
    assert status == 200
    assert json.loads(text) == {"version": 3, "text": "1 done.", "running": ["full, seed 0: epoch 1/2"]}


@pytest.mark.parametrize("path", ["/etc/passwd", "/../records.db", "/status/", "/index.html"])
def test_there_is_nothing_else(server: PageServer, path: str) -> None:
    assert _ask(server, path)[0] == 404


def test_another_name_for_this_address_is_refused(server: PageServer) -> None:
    for name in ("example.org", f"example.org:{server.port}", "127.0.0.1"):
        assert _ask(server, "/", Host=name)[0] == 403
    assert _ask(server, "/", Host=f"localhost:{server.port}")[0] == 200


def test_it_cannot_be_written_to(server: PageServer) -> None:
    assert _ask(server, "/", "POST")[0] == 501


def test_it_waits_for_a_reader_to_fetch_the_last_page(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.wait_for_readers()  # no client is connected
    _ask(server, "/status")
    _ask(server, "/")
    server.wait_for_readers()  # fetched
    _ask(server, "/status")
    monkeypatch.setattr(page_server, "PRESENT", 0.0)
    server.wait_for_readers()  # gone


def test_it_does_not_wait_for_ever_for_one_who_only_asks_for_the_status(
    server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ask(server, "/status")
    monkeypatch.setattr(page_server, "PRESENT", 1e9)
    monkeypatch.setattr(page_server, "PATIENCE", 0.0)
    server.wait_for_readers()


def test_nobody_is_answered_after_its_end() -> None:
    server = PageServer(lambda: Status(text="", running=()))
    server.close()
    with pytest.raises(ConnectionRefusedError):
        _ask(server, "/")
