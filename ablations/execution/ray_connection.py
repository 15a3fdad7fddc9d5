"""Joining or starting a Ray cluster, and the resources of its nodes."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["connect_ray", "is_alive", "node_resources", "num_cluster_gpus"]

_STARTS = 4


def connect_ray(address: str | None) -> None:
    """Connect this process to the cluster at an address (`auto`: the one on this machine), or start a new one without
    an address.

    Raises:
        ValueError: Ray is not installed, or there is no cluster that this version of Ray and Python can join.
    """
    # Ray reads these on import: no usage statistics, devices unchanged for tasks without GPUs, own nodes on the
    # loopback, no log lines of nodes.
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    }
    if address is None:
        settings["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    elif _has_token():  # Ray ignores the token where an address is given, though its own head nodes require it
        settings["RAY_AUTH_MODE"] = "token"
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError:
        raise ValueError("--executor: 'ray' needs the package ray; install the extra `ray`") from None
    if ray.is_initialized():
        return
    if address not in (None, "auto"):
        _require_listener(address)
    own: dict[str, Any] = {"address": "local", "include_dashboard": False}
    for attempt in range(_STARTS):
        try:
            with _own_signals():
                ray.init(
                    **(own if address is None else {"address": address}),
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                )
            return
        except Exception as error:  # noqa: BLE001 - Ray raises Exception itself, where a node does not start in time
            reason = " ".join(str(error).split())[:300]
            ray.shutdown()  # a node may have started in part
            if (
                address is None and attempt + 1 < _STARTS and "timed out" in reason
            ):  # in 30 s, which a busy machine may exceed
                continue
            where = (
                f"--ray-address: {address!r} cannot be joined"
                if address
                else "--executor: no cluster could be started here"
            )
            raise ValueError(f"{where}: {reason}") from None


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Restore this process's SIGTERM handler, which Ray replaces: the run would end without saving."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


def _has_token() -> bool:
    """Whether this user has a Ray cluster's token."""
    named = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    return named or (Path.home() / ".ray" / "auth_token").is_file()


def _require_listener(address: str) -> None:
    host, _, port = address.rpartition(":")
    if address.startswith("ray://") or not host or not port.isdecimal():
        raise ValueError(
            f"--ray-address: {address!r} is not allowed; auto, or HOST:PORT of the head node (6379 unless chosen"
            " otherwise)"
        )
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"--ray-address: no cluster answers at {address} ({reason}); the address that `ray start` printed"
        ) from None


def node_resources() -> list[dict[str, float]]:
    """The resources of every node that is alive."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()
    return [node["Resources"] for node in nodes if node["Alive"]]


def is_alive(node_id: str) -> bool:
    """Whether a node of the cluster is alive, as the cluster reports it."""
    import ray

    return any(node["Alive"] for node in ray.nodes() if node["NodeID"] == node_id)


def num_cluster_gpus() -> float:
    """Return the number of GPUs of all nodes of the cluster."""
    return sum(have.get("GPU", 0.0) for have in node_resources())
