import socket
from typing import Any

import pytest

from doctor_checks.addresses import is_local


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:3000",
        "https://127.9.9.9",
        "http://[::1]:3000",
        "http://[::ffff:127.0.0.1]",
        "http://0.0.0.0:3000",
        "https://10.1.2.3",
        "https://192.168.0.10:3000",
        "http://localhost",
        "http://LOCALHOST.:3000",
        "http://phone.localhost",
        "https://laptop.local",
        "http://phonebridge:3000",
        "ws://localhost:3000",
    ],
)
def test_addresses_of_this_machine_or_its_network_are_local(url: str) -> None:
    assert is_local(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://phone.invalid",
        "https://93.184.215.14",
        "https://[2606:4700::1]",
        "nonsense",
        "",
        "http://[",
    ],
)
def test_public_and_unreadable_addresses_are_not_local(url: str) -> None:
    assert not is_local(url)


@pytest.mark.parametrize(
    ("addresses", "local"),
    [(["127.0.0.1", "::1"], True), (["127.0.0.1", "93.184.215.14"], False), (["10.0.0.1"], False)],
)
def test_a_name_that_leads_only_to_this_machine_is_local(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], local: bool
) -> None:
    def resolve(*_: Any) -> list[Any]:
        return [(0, 0, 0, "", (each, 0)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert is_local("https://phone.example.com") == local
