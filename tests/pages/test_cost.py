"""The cost of a run before it starts, in every state."""

from __future__ import annotations

import pytest
import streamlit as st

from engine.events import WeightSource
from engine.hardware.memory import Capacity
from engine.jobs.questions import Answer
from engine.jobs.views import EngineStatus
from engine.models.shape import Storage
from pages.widgets.explore.cost import STARTING_POLL
from pages.widgets.live import POLL
from tests.cost.shapes import billions
from tests.pages.conftest import healthy, words
from tests.pages.fakes import SUMMARY

GIGA = 10**9


def bars(app):
    return [node.proto for node in app.sidebar if node.type == "progress"]


def warnings(app):
    return [node.value for node in app.sidebar.warning]


def test_a_model_that_fits(open_app):
    app = open_app()
    text = words(app).replace("\u00a0", " ")
    assert "**1.84 million weights**, 8 blocks, 86 % prunable" in text
    assert "7.12 MB, nothing to download" in text and "Held in memory" in text and " s on the CPU" in text
    assert [bar.value for bar in bars(app)] == [0] and "20.0 GB free" in bars(app)[0].text.replace(
        "\u00a0", " "
    )
    assert not warnings(app) and not app.button(key="prune").disabled


def test_a_model_that_is_read_block_by_block(open_app, engine):
    engine.model = Answer(billions(storage=Storage(place="hub", total=2_200_000_000, missing=1_100_000_000)))
    engine.room = Answer(Capacity(host_free=4 * GIGA))
    text = words(open_app(model="some/model", length="128")).replace("\u00a0", " ")
    assert "Read block by block from the disk: slower, but needs less memory" in text
    assert (
        "1.1 GB to download of 2.2 GB; the rest is on this machine" in text
        and "55 s of download at 20 MB/s" in text
    )


def test_a_run_that_does_not_fit_gets_a_warning_and_is_not_blocked(open_app, engine):
    engine.model = Answer(billions())
    engine.room = Answer(Capacity(host_free=2 * GIGA))
    app = open_app(model="some/model", length="2048")
    assert len(warnings(app)) == 1
    assert "It does not fit in memory" in warnings(app)[0] and "would fit" in warnings(app)[0]
    assert bars(app)[0].value == 100
    assert not app.button(key="prune").disabled


def test_a_gguf_file_says_what_its_weights_were_and_that_it_is_unpacked_once(open_app, engine):
    source = WeightSource(file="a.gguf", tensors={"Q4_K": 200, "F32": 41})
    packed = Storage(place="directory", total=600_000_000, source=source, unpacking=2_200_000_000)
    engine.model = Answer(billions(storage=packed))
    text = words(open_app(model="/x/a.gguf")).replace("\u00a0", " ").replace("\\", "")
    assert "GGUF: Q4_K (200 tensors), F32 (41)" in text
    assert "s once to unpack 2.2 GB" in text
    engine.model = Answer(billions(storage=packed.model_copy(update={"unpacking": 0})))
    text = words(open_app(model="/x/a.gguf"))
    assert "GGUF: " in text and "unpack" not in text


def test_a_disk_that_is_too_small(open_app, engine):
    engine.model = Answer(billions())
    engine.room = Answer(Capacity(host_free=99 * GIGA, disk_free=GIGA))
    assert "The download does not fit on the disk" in warnings(open_app(model="some/model", length="128"))[0]


def test_a_gpu_has_its_own_bar(open_app, engine):
    engine.model = Answer(billions(device="cuda", speeds={"cuda": 1e13, "cpu": 1e11}))
    engine.room = Answer(Capacity(host_free=30 * GIGA, device_free=24 * GIGA, device="cuda"))
    app = open_app(model="some/model", length="128")
    assert ["GPU memory" in bar.text for bar in bars(app)] == [True, False] and "on CUDA" in words(app)


def test_while_the_model_is_being_read(open_app, engine):
    assert "on the left is ready to run: Wanda 50%" in words(open_app(model="some/model"))
    engine.model = Answer(pending=True)
    text = words(open_app(model="some/model"))
    assert "Reading the model's configuration" in text and "is ready to run" not in text
    assert "on the left will be ready when its model's configuration has been read: Wanda 50%" in text
    engine.status = EngineStatus("starting", "The engine is starting.")
    assert "The engine is starting; the cost of the run" in words(open_app(model="some/model"))


def test_while_free_memory_is_not_known(open_app, engine):
    engine.room = Answer(pending=True)
    app = open_app()
    assert not bars(app) and "of memory" in words(app).replace("\u00a0", " ") and not warnings(app)


def test_a_missing_device(open_app, engine):
    engine.room = Answer(
        message="The device cuda was asked for, but this machine has only cpu. Choose that, or auto."
    )
    assert "this machine has only cpu" in words(open_app(device="cuda"))


def test_an_unavailable_model_is_one_error_with_a_link(open_app, engine):
    sentence = "The model a/b is gated. Accept its terms at https://huggingface.co/a/b."
    engine.model = Answer(message=sentence)
    app = open_app(model="a/b")
    assert [error.value for error in app.error] == [sentence]
    assert "is not known without the model" in words(app) and app.button(key="prune").disabled


def test_without_the_hub_the_download_size_is_unknown(open_app, engine):
    offline = Storage(place="hub", missing=None, note="The hub cannot be reached.")
    engine.model = Answer(SUMMARY.model_copy(update={"storage": offline}))
    text = words(open_app(model="some/model", length="128"))
    assert "The size of the download is not known. The hub cannot be reached." in text


def test_an_engine_that_cannot_start(open_app, engine):
    engine.status = EngineStatus("failed", "The background engine could not be started.")
    assert "The background engine could not be started." in [error.value for error in open_app().error]


@pytest.mark.parametrize("fields", [{"pattern": "2:4", "allocation": "owl"}])
def test_an_invalid_recipe_still_shows_its_model(open_app, fields):
    app = healthy(open_app(**fields))
    assert "8 blocks" in words(app) and "This recipe cannot run yet" in words(app) and not bars(app)


@pytest.mark.parametrize(("state", "seconds"), [("starting", STARTING_POLL), ("ready", POLL)])
def test_a_page_that_waits_for_the_engine_to_start_leaves_it_the_processor(
    open_app, engine, monkeypatch, state, seconds
):
    """Each look takes the browser processor time that the start needs."""
    engine.model, engine.status = Answer(pending=True), EngineStatus(state, "A message.")
    intervals, fragment = {}, st.fragment

    def noting(function, *, run_every=None):
        intervals[function.__qualname__.split(" on ")[0]] = run_every
        return fragment(function)

    monkeypatch.setattr(st, "fragment", noting)
    open_app()
    assert intervals["cost"] == seconds and STARTING_POLL > 3 * POLL
