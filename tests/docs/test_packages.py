from diagrams import packages


def test_the_documented_packages_are_those_of_the_code() -> None:
    page = packages.PAGE.read_text()
    assert page == packages.rewritten(page), "run: make diagrams"


def test_only_the_section_between_the_markers_is_rewritten() -> None:
    page = f"# Design\n\n{packages.BEGIN}old\n{packages.END}\nMore.\n"
    rewritten = packages.rewritten(page)
    assert rewritten.startswith(f"# Design\n\n{packages.BEGIN}")
    assert rewritten.endswith(f"{packages.END}\nMore.\n")
    assert "old" not in rewritten
    assert packages.rewritten(rewritten) == rewritten
