from diagrams import lifecycle


def test_the_documented_lifecycle_is_the_one_that_runs() -> None:
    assert lifecycle.PAGE.read_text() == lifecycle.page(), "run: python docs/diagrams/lifecycle.py"
