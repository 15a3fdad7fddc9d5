"""Hostile input: files that would run code, write elsewhere or pretend to be others, and names that would be code in a
table.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import pickle
import re
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.faults.bench import Bench, Outcome, forked, require
from tests.faults.checkpoints import Bomb
from xception.data import DataError
from xception.data.archive import extract
from xception.data.cifar import read_pickle
from xception.data.download import DownloadError, Remote, fetch


def message_of(action: Callable[[], Any], kind: type[ValueError] = ValueError) -> str:
    """The one line with which an action is refused."""
    try:
        action()
    except kind as error:
        require("\n" not in str(error), str(error))
        return str(error)
    raise AssertionError("it was not refused")


def pickle_in_data(bench: Bench) -> Outcome:
    """A batch of CIFAR whose pickle would run a command."""
    folder = bench.new_folder()
    message = message_of(
        lambda: read_pickle(pickle.dumps({"data": Bomb(f"touch {folder / 'burnt'}")}), "data_batch_1"), DataError
    )
    require(not (folder / "burnt").exists(), "the command was run")
    return Outcome(message=message)


def pickle_in_weights(bench: Bench) -> Outcome:
    """A file of pretrained weights whose pickle would run a command."""
    import torch

    from xception.network.model import build
    from xception.network.presets import get
    from xception.network.weights import load_pretrained

    folder = bench.new_folder()
    path = folder / "weights.pth"
    torch.save({"conv1.weight": Bomb(f"touch {folder / 'burnt'}")}, path)
    network = build(get("cifar_tiny"))
    message = message_of(lambda: load_pretrained(network, path))
    require(not (folder / "burnt").exists(), "the command was run")
    return Outcome(message=message.replace(str(folder), "FOLDER"))


def archive_members(bench: Bench) -> Outcome:
    """Archives with members that are absolute, have `..`, are links or devices, or lie outside the folder."""
    folder = bench.new_folder()
    target = bench.new_folder()
    bad = [
        ("/etc/evil", tarfile.REGTYPE, ""),
        ("data/../../evil", tarfile.REGTYPE, ""),
        ("other/file", tarfile.REGTYPE, ""),
        ("data/link", tarfile.SYMTYPE, "/etc/passwd"),
        ("data/hard", tarfile.LNKTYPE, "/etc/passwd"),
        ("data/device", tarfile.CHRTYPE, ""),
    ]
    messages = []
    for i, (name, kind, link) in enumerate(bad):
        path = folder / f"{i}.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            tar.addfile(member)
        messages.append(message_of(lambda path=path: extract(path, "data", target, max_bytes=10**6), DataError))  # type: ignore[misc]
    require(list(target.iterdir()) == [], f"left behind: {list(target.iterdir())}")
    return Outcome(injected=len(bad), message=messages[1].replace(str(folder), "FOLDER"))


class Server:
    """Serves one archive on this machine and counts how often."""

    def __init__(self) -> None:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            member = tarfile.TarInfo("data/file")
            member.size = 100_000
            tar.addfile(member, io.BytesIO(bytes(100_000)))
        content = out.getvalue()
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.num_requests = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.num_requests += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def remote(self, checksum: str | None = None) -> Remote:
        address = f"http://127.0.0.1:{self._http.server_address[1]}/data.tar.gz"
        return Remote(url=address, algorithm="sha256", checksum=checksum or self.sha256, max_bytes=10**6)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def wrong_hash(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    server = Server()
    message = message_of(lambda: fetch(server.remote("0" * 64), "data", folder, max_bytes=10**7), DownloadError)
    server.close()
    require(list(folder.iterdir()) == [], f"left behind: {list(folder.iterdir())}")
    return Outcome(message=re.sub(r"[0-9a-f]{64}|:\d+/", "...", message))


def downloads_at_once(bench: Bench) -> Outcome:
    folder = bench.new_folder()
    server = Server()
    num = 4
    pids = [forked(lambda: _fetched(server, folder)) for _ in range(num)]
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    server.close()
    require(statuses == [0] * num, f"some could not: {statuses}")
    require((folder / "data" / "file").read_bytes() == bytes(100_000), "the content is another")
    return Outcome(
        injected=num, duplicated=server.num_requests - 1, message=f"{server.num_requests} download for {num} processes"
    )


def _fetched(server: Server, folder: Path) -> None:
    fetch(server.remote(), "data", folder, max_bytes=10**7)


def cache_damaged(bench: Bench) -> Outcome:
    """The decoded images in the cache are truncated, then a bit of them is flipped: they are decoded again."""
    import torch

    from xception.data import find, load
    from xception.data.decoded import decoded

    source = find("synthetic", None)
    before = load(source, 8).train.images.clone()
    equal = 0
    for damage in ("truncated", "bit flipped"):
        path = decoded(source, 8)[0] / "train-images"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.unlink()
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else content)
        equal += torch.equal(load(source, 8).train.images, before)
    return Outcome(injected=2, bit_equal=equal, message="decoded again")


def hostile_names(bench: Bench) -> Outcome:
    """Names of variants that would be markup, LaTeX or a formula, in all tables that are written."""
    from ablations.analysis.comparison import compare
    from ablations.reporting.markup import to_html
    from ablations.reporting.tables import display_table, write_runs, write_tables
    from tests.frames import HOSTILE, records

    folder = bench.new_folder()
    frame = records(names=HOSTILE)
    comparison = compare(frame)
    write_tables(comparison, folder, title="<b>title</b> & $x$")
    write_runs(frame, folder)
    html = to_html(display_table(comparison, title="<b>title</b>"))
    require("<script>" not in html and "<img" not in html and "<b>" not in html, "markup of a name reached the page")
    latex = (folder / "table.tex").read_text()
    require(re.search(r"(?<!\\)[$&]\s*line", latex) is None and "\\#1" in latex, "a name is LaTeX in the table")
    for name in ("table.csv", "runs.csv"):
        with open(folder / name, newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        formulas = [
            cell for cell in cells if cell.startswith(("=", "@", "\t", "\r")) or re.match(r"[+-](?![\d.])", cell)
        ]
        require(not formulas, f"a formula in {name}: {formulas[:1]}")
    return Outcome(injected=len(HOSTILE), message="escaped in HTML and LaTeX, no formula in CSV")


def record_damaged(bench: Bench) -> Outcome:
    """The record in a trial's folder is damaged before the store had it: the trial is trained again, to the
    same bits.
    """
    from ablations.execution.events import Notice
    from ablations.execution.executor import SerialExecutor
    from tests.trials import finished

    folder = bench.new_folder()
    tasks = bench.tasks(folder, num=1)
    finished(SerialExecutor().run(tasks))
    path = folder / "trials" / tasks[0].key / "record.json"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    events = list(SerialExecutor().run(tasks))
    notices = [event.line for event in events if isinstance(event, Notice)]
    require(len(notices) == 1 and "passed over" in notices[0], f"said: {notices}")
    return Outcome(bit_equal=bench.num_equal(folder, finished(events)), message=notices[0].replace(str(folder), "OUT"))
