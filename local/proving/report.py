"""The report of `make prove`: one row for each question, without personal data."""

import re
from collections.abc import Iterable

from proving.questions import NOT_ASKED, QUESTIONS, UNCLEAR, ProviderAnswer

_SETTING = re.compile(r"`([A-Z0-9_]+)=(\w+)`")

HEAD = """# What the providers do

Written by `make prove`. It has no numbers of phones, no ids and no keys, so you can share it.

| question | answer | details | what it means |
|---|---|---|---|
"""


def report_of(findings: Iterable[ProviderAnswer]) -> str:
    rows = {finding.question: finding for finding in findings}
    lines = [_row(rows.get(name, ProviderAnswer(name, NOT_ASKED))) for name in QUESTIONS]
    return HEAD + "".join(lines)


def settings_of(findings: Iterable[ProviderAnswer]) -> dict[str, str]:
    """Return the settings that follow from the answers."""
    meanings = (_meaning(finding) for finding in findings)
    found = (_SETTING.search(meaning) for meaning in meanings)
    return {match[1]: match[2] for match in found if match}


def line_of(finding: ProviderAnswer) -> str:
    """Return one line for the terminal."""
    detail = f" ({finding.detail})" if finding.detail else ""
    return f"  {QUESTIONS[finding.question].text} {_shown(finding.answer)}{detail}"


def _row(finding: ProviderAnswer) -> str:
    question = QUESTIONS[finding.question]
    detail = finding.detail.replace("|", "/")
    cells = (question.text, _shown(finding.answer), detail, _meaning(finding))
    return f"| {' | '.join(cells)} |\n"


def _meaning(finding: ProviderAnswer) -> str:
    return QUESTIONS[finding.question].answers.get(finding.answer, "")


def _shown(answer: str) -> str:
    if answer == NOT_ASKED:
        return "not asked"
    return "unclear" if answer == UNCLEAR else f"**{answer.replace('_', ' ')}**"
