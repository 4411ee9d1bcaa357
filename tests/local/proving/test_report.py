"""The report: every question, its answer, and the settings that follow."""

from proving.questions import NOT_ASKED, QUESTIONS, UNCLEAR, ProviderAnswer
from proving.report import line_of, report_of, settings_of


def test_every_question_has_a_row_even_if_it_was_not_asked() -> None:
    report = report_of([ProviderAnswer("second_stream", "both", "a|b")])
    for question in QUESTIONS.values():
        assert question.text in report
    assert "| **both** | a/b | Both run" in report
    assert report.count("not asked") == len(QUESTIONS) - 1


def test_an_answer_names_the_setting_that_it_asks_for() -> None:
    assert settings_of([ProviderAnswer("l16_order", "little")]) == {"L16_BYTE_ORDER": "little"}
    assert (
        settings_of([ProviderAnswer("l16_order", UNCLEAR), ProviderAnswer("restore", "speaks")])
        == {}
    )


def test_a_line_for_the_terminal_shows_question_answer_and_detail() -> None:
    assert line_of(ProviderAnswer("l16_24k", "refused", "422 10032")) == (
        "  Is L16 at 24 kHz accepted? **refused** (422 10032)"
    )
    assert line_of(ProviderAnswer("l16_24k", NOT_ASKED)) == "  Is L16 at 24 kHz accepted? not asked"


def test_no_cell_breaks_the_table() -> None:
    for name, question in QUESTIONS.items():
        assert "|" not in question.text
        for answer, meaning in question.answers.items():
            assert "|" not in answer + meaning, name
