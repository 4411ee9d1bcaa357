"""The talk page on AWS: a handler without a role, whose answers API Gateway passes on."""

import json
from pathlib import Path
from typing import Any

import pytest

import talk_page
from control_plane import console_files
from tests.support.permissions import role_of
from tests.support.translated import ROOT, statements


def event_of(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / "api" / f"{name}.json").read_text())
    return event


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "talk.js").write_text("export {};")
    monkeypatch.setattr(console_files, "FOLDER", tmp_path)
    return tmp_path


def test_the_page_needs_nothing_but_its_files() -> None:
    role = role_of("talk_page")
    assert [statement for name, statement in statements() if name == role] == []


@pytest.mark.parametrize("name", ["talk_page", "console_file"])
def test_it_answers_the_events_of_its_routes(name: str, folder: Path) -> None:
    answer = talk_page.handler(event_of(name), None)
    assert answer["statusCode"] == 200
    etag = answer["headers"]["etag"]
    event = event_of(name)
    event["headers"]["if-none-match"] = etag
    assert talk_page.handler(event, None)["statusCode"] == 304
