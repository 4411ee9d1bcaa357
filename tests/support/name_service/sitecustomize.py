"""Public host names that lead to this machine, for a program that a test runs: NAMES is a JSON
object of host names and ports on the loopback interface."""

import json
import os
import socket
from typing import Any

_PORTS: dict[str, int] = json.loads(os.environ.get("NAMES", "{}"))
_look_up = socket.getaddrinfo


def _getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name in _PORTS:
        host, port = "127.0.0.1", _PORTS[name]
    return _look_up(host, port, *arguments, **options)


socket.getaddrinfo = _getaddrinfo
