"""No value of any parameter ends the reading of an address: each is used or reported in a sentence."""

import pytest

from engine.errors import PrunescopeError
from pages.widgets.explore import address
from pages.widgets.explore.fields import PLAIN, check, defaults, parameters

HOSTILE = (
    "",
    " ",
    "\0",
    "x" * 5_000,
    "9" * 5_000,
    "-" + "9" * 5_000,
    "f" * 5_000,
    "1," * 3_000,
    "," * 3_000,
    "1e400",
    "nan",
    "-inf",
    "²",
    "٣",
    "\u202e",
    "\ud800",
    "~nosuchuser",
    "~",
    "/" + "y/" * 3_000,
    "../../../etc/passwd",
    "/dev/zero",
    "C:\\x",
    "file:///etc/passwd",
    "http://evil.example/x",
    "%2e%2e",
    "=cmd|' /C calc'!A0",
    "{}",
    "[[" * 500,
    "1:4096",
    "4095:4096",
    "0:0",
    "2:99999999999999999999",
    "${HOME}",
    "{0.__class__}",
)
NAMES = (*PLAIN, *parameters(), "pruner", "nonsense", "manual.", ".", "a.b.c", "\0")


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_no_value_ends_the_form(name: str) -> None:
    for value in HOSTILE:
        fields, complaints = address.read({name: value}, defaults())
        checked = check(fields, None)
        assert complaints or checked.recipe is not None or checked.faults, (name, value)


def test_no_key_ends_the_search_for_a_run(tmp_path) -> None:
    from engine.store.runs import Store

    for value in HOSTILE:
        try:
            assert not Store(tmp_path).find(value).exists
        except PrunescopeError as error:
            assert len(str(error)) < 20_000
