"""The files of the talk page: which are served, and with which headers."""

import base64
from pathlib import Path
from typing import Any

import pytest

from control_plane.console_files import FOLDER, media_origin, respond
from tests.support.translated import ROOT

ENVIRON = {"MEDIA_PUBLIC_URL": "wss://media.example/"}
PAGE = b"<!doctype html><title>Talk</title>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.html").write_text("outside")
    console = tmp_path / "console"
    (console / "sounds").mkdir(parents=True)
    (console / "index.html").write_bytes(PAGE)
    (console / "phone.js").write_text("export {};")
    (console / "talk.css").write_text("body { margin: 0 }")
    (console / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (console / "sounds" / "ring.wav").write_bytes(b"\xff\xfe")
    (console / ".env").write_text("SECRET=1")
    (console / "notes.md").write_text("notes")
    return console


def ask(folder: Path, path: str, if_none_match: str = "") -> dict[str, Any]:
    return respond(path, if_none_match, ENVIRON, folder)


def content_of(answer: dict[str, Any]) -> bytes:
    assert answer["isBase64Encoded"]
    return base64.b64decode(answer["body"])


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/console/index.html", "text/html; charset=utf-8"),
        ("/console/phone.js", "text/javascript; charset=utf-8"),
        ("/console/talk.css", "text/css; charset=utf-8"),
        ("/console/icon.svg", "image/svg+xml"),
        ("/console/sounds/ring.wav", "audio/wav"),
    ],
)
def test_a_file_is_served_as_what_it_is(folder: Path, path: str, kind: str) -> None:
    answer = ask(folder, path)
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, kind)
    assert answer["headers"]["x-content-type-options"] == "nosniff"
    name = "index.html" if path == "/" else path.removeprefix("/console/")
    assert content_of(answer) == (folder / name).read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/console/",
        "/console/nothing.js",
        "/console/../secret.html",
        "/console/sounds/../../secret.html",
        "/console/%2e%2e/secret.html",
        "/console//index.html",
        "/console/./index.html",
        "/console/sounds",
        "/console/.env",
        "/console/notes.md",
        "/index.html",
        "/consoleindex.html",
        "/console/\0.html",
        "/console/" + "a" * 10_000 + ".html",
    ],
)
def test_nothing_else_is_served(folder: Path, path: str) -> None:
    answer = ask(folder, path)
    assert (answer["statusCode"], content_of(answer)) == (404, b"Not Found")


def test_the_policy_allows_our_own_files_and_the_media_container_only(folder: Path) -> None:
    policy = ask(folder, "/")["headers"]["content-security-policy"]
    sources = dict(each.split(" ", 1) for each in policy.split("; "))
    assert sources["default-src"] == "'none'"
    assert sources["script-src"] == sources["style-src"] == "'self'"
    assert sources["connect-src"] == "'self' wss://media.example"
    assert sources["frame-ancestors"] == sources["base-uri"] == "'none'"
    assert "unsafe" not in policy
    assert "*" not in policy


@pytest.mark.parametrize(
    ("environ", "origin"),
    [
        ({"MEDIA_PUBLIC_URL": "wss://media.example/path"}, "wss://media.example"),
        ({"BASE_PUBLIC_URL": "http://127.0.0.1:3000"}, "ws://127.0.0.1:3000"),
        ({"BASE_PUBLIC_URL": "https://phone.example/"}, "wss://phone.example"),
        ({"MEDIA_PUBLIC_URL": "wss://[::1]:8080"}, "wss://[::1]:8080"),
        ({"MEDIA_PUBLIC_URL": "wss://media.example; script-src *"}, ""),
        ({"MEDIA_PUBLIC_URL": "https://media.example"}, ""),
        ({}, ""),
    ],
)
def test_the_media_container_is_where_the_settings_say(
    environ: dict[str, str], origin: str
) -> None:
    assert media_origin(environ) == origin


def test_a_page_is_fetched_again_only_if_it_has_changed(folder: Path) -> None:
    first = ask(folder, "/")
    assert first["headers"]["cache-control"] == "no-cache"
    again = ask(folder, "/", first["headers"]["etag"])
    assert (again["statusCode"], again["body"]) == (304, "")
    assert ask(folder, "/", f'W/"other", {first["headers"]["etag"]}')["statusCode"] == 304
    (folder / "index.html").write_text("<!doctype html><title>New</title>")
    assert ask(folder, "/", first["headers"]["etag"])["statusCode"] == 200


def test_the_folder_is_the_console_of_the_repository() -> None:
    assert FOLDER.is_symlink()
    assert FOLDER.resolve() == ROOT / "console"
