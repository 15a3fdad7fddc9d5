"""Servers and clusters that tests start, on this machine only."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.command import ROOT

_SCRIPT = str(ROOT / ".ci" / "postgres")


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL server with a random password."""

    folder: Path
    url: str

    def restart(self) -> None:
        """Stop it without waiting for its clients, and start it again."""
        subprocess.run([_SCRIPT, "restart", str(self.folder)], check=True, timeout=120)

    def crash(self) -> None:
        """Kill it without clean-up, and start it again."""
        subprocess.run([_SCRIPT, "crash", str(self.folder)], check=True, timeout=120)

    def database(self, name: str) -> str:
        """Create a database and return its URL."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url.rpartition("/")[0] + f"/{name}"

    @property
    def password(self) -> str:
        """The password of its only user."""
        return self.url.split(":")[2].split("@")[0]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private server; the test is skipped if PostgreSQL is not installed."""
    pytest.importorskip("psycopg", reason="the package psycopg is not here: the extra `postgres` has it")
    done = subprocess.run(
        [_SCRIPT, "start", str(os.getpid())], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode == 3:
        pytest.skip("no PostgreSQL server on this machine: .ci/postgres install")
    assert done.returncode == 0, done.stderr
    folder, url = done.stdout.split()
    yield Postgres(Path(folder), url)
    subprocess.run([_SCRIPT, "stop", folder], check=True, timeout=60)


def add_node(cluster: Any, **settings: Any) -> Any:
    """Add a node to a Ray cluster, and wait for it even if the machine is busy.

    Ray declares a node lost after 30 s and leaves its processes running, which may join later: here it has a minute. By
    then it has joined or ended, as it does if its agents have not started within 15 s (issue 65983 of ray-project/ray),
    and another is started.
    """
    from ray._private import services

    find: Callable[..., Any] = services.get_node

    def find_patiently(*args: Any) -> Any:
        deadline = time.monotonic() + 60
        while True:
            try:
                return find(*args)
            except RuntimeError:  # it has not joined yet
                if time.monotonic() > deadline:
                    raise
                select.select([], [], [], 0.1)

    with mock.patch.object(services, "get_node", find_patiently):
        for _ in range(5):
            with contextlib.suppress(Exception):  # Ray raises Exception itself
                return cluster.add_node(**settings)
        return cluster.add_node(**settings)


@pytest.fixture(scope="session")
def ray_cluster(own_cache: Path) -> Iterator[Any]:
    """A Ray cluster of two nodes with one core each, on the loopback; this process is connected to it."""
    # Nodes on the loopback, which need no token and report no usage.
    settings = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)  # read when Ray is imported
    ray = pytest.importorskip("ray", reason="the package ray is not here: the extra `ray` has it")
    from ray.cluster_utils import Cluster

    from ablations.execution.ray_connection import connect_ray

    cluster = Cluster()
    add_node(cluster, num_cpus=1, include_dashboard=False)
    add_node(cluster, num_cpus=1)
    connect_ray(cluster.address)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
