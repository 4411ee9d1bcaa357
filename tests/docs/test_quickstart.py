"""What the pages for a real phone say is what the programs do."""

import re
from pathlib import Path

import pytest

from call import build_parser
from doctor_checks.config import WEBHOOK_PATH
from real_phone import REAL_PHONE

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
QUICKSTART = (DOCS / "quickstart.md").read_text()
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def test_every_setting_of_a_real_phone_has_its_step() -> None:
    for name in ("OPENAI_API_KEY", *REAL_PHONE):
        assert f"`{name}`" in QUICKSTART, name


def test_the_webhook_path_is_ours() -> None:
    assert f"`{WEBHOOK_PATH}`" in QUICKSTART


def test_every_option_of_make_call_is_described_and_exists() -> None:
    described = set(re.findall(r"--[a-z][a-z-]*", QUICKSTART.partition("## 5.")[2])) - {"--url"}
    options = {name for action in build_parser()._actions for name in action.option_strings}
    assert described == {each for each in options if each.startswith("--")} - {"--help"}


def test_every_command_of_make_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for page in ("quickstart.md", "troubleshooting.md"):
        for named in re.findall(r"\bmake ([a-z-]+)", (DOCS / page).read_text()):
            assert named in targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_a_page_and_to_a_heading_in_it(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        found = page.parent / target if target else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchor of a heading, as code hosts make it: lower case, no punctuation, hyphens
    for spaces."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
