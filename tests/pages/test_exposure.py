"""The warning about a store or a scheduler that others can use: on every page, but not in a talk."""

import pytest

from engine.store.runs import Store

SENTENCE = "The connection to the scheduler tcp://10.0.0.7:8786 is not encrypted."


@pytest.mark.parametrize(("parameters", "shown"), [({}, [SENTENCE]), ({"present": "1"}, [])])
def test_an_exposure_is_shown(engine, open_app, monkeypatch, tmp_path, parameters, shown):
    engine.store = Store(tmp_path / "home")  # of the talk
    monkeypatch.setattr(engine, "exposures", lambda: [SENTENCE])
    assert [item.value for item in open_app(**parameters).warning] == shown
