"""The README says what the code does."""

import docs


def test_the_tables_of_the_readme_are_those_of_the_code() -> None:
    """Every metric and setting has its row; `make docs` writes them."""
    assert docs.README.read_text() == docs.rewritten(docs.README.read_text())


def test_every_family_has_a_help_and_a_name_of_ours() -> None:
    """No family is without a meaning, none is outside the prefix."""
    for family in docs.families():
        assert family.documentation.endswith(".")
        assert family.name.startswith(("yc_workflow_", "probe_"))
