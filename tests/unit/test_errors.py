"""The tree of errors: each says what to do next, and the drawing shows all of them."""

from __future__ import annotations

import inspect

import pytest

from airflow_provider_we360 import errors

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.We360Error)
]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_says_what_to_do_in_words_of_its_own(kind):
    assert vars(kind)["remedy"]
    assert inspect.getdoc(kind)


def test_the_drawing_shows_every_error_and_which_are_never_tried_again():
    drawn = {
        line.strip("│├└─ ").split(" ")[0]: line.rstrip().endswith("never retried")
        for line in inspect.getdoc(errors).splitlines()
        if "──" in line or line.strip() == "We360Error"
    }
    assert drawn == {kind.__name__: kind.never_retry for kind in ALL}
