import lifecycle_diagram


def test_the_documented_lifecycle_is_the_one_that_runs() -> None:
    assert lifecycle_diagram.PAGE.read_text() == lifecycle_diagram.page(), (
        "run: python local/lifecycle_diagram.py"
    )
