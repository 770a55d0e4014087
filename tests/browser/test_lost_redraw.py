"""A drawing of the page, or an address, that never reaches the browser, as happens on a busy machine, is made
up for.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from engine.store.default_talk import default_talk
from tests.browser.layout import START, expect_drawn

FAST = "samples=4&length=64&pruner=magnitude"
SAVE = "Save model as a directory"
VIEWS = default_talk().views


@dataclass
class Loss:
    """Drops all drawings of the whole page until one with a text is lost, or the next address only.

    Attributes:
        until: the text in that drawing; without one, the address is dropped.
        wanted: whether it drops what comes.
        lost: messages that it has dropped.
    """

    until: str = ""
    wanted: bool = False
    in_drawing: bool = False
    lost: int = 0

    def route(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: self.drops(message) or socket.send(message))

    def drops(self, message: str | bytes) -> bool:
        assert isinstance(message, bytes)
        content = ForwardMsg.FromString(message)
        kind = content.WhichOneof("type")
        if not self.until:
            if drops := self.wanted and kind == "page_info_changed":
                self.wanted, self.lost = False, 1
            return drops
        if kind == "new_session":
            self.in_drawing = self.wanted and not content.metadata.run.fragment_ids
        if not self.in_drawing:
            return False
        self.lost += 1
        if self.until.encode() in message:
            self.wanted = False
        if kind == "script_finished":
            self.in_drawing = False
        return True


def test_a_page_that_is_lost_on_its_way_to_the_browser_is_drawn_again(
    page: Page, address: str, short: str
) -> None:
    loss = Loss(SAVE)
    page.route_web_socket(re.compile("/_stcore/stream"), loss.route)
    page.goto(f"{address}/?{FAST}&{short}&seed=3")
    start = page.get_by_role("button", name=START)
    expect(start).to_be_visible()
    expect_drawn(page)
    start.click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    loss.wanted = True
    expect(page.get_by_role("button", name=SAVE)).to_be_visible()
    assert loss.lost and not loss.wanted, "the finished run's first drawing did not reach the browser"


@pytest.mark.parametrize(
    ("place", "until"), [(2, VIEWS[2].title), (5, "")], ids=["lost-drawing", "lost-address"]
)
def test_a_view_of_a_talk_is_shown_although_its_address_is_lost(
    place: int, until: str, new_tab: Callable[..., Page], address: str
) -> None:
    """The talk is moved on from another window, so a part of the page requests the drawing."""
    room, loss = f"room={secrets.token_hex(4)}", Loss(until)
    tab, other = new_tab(), new_tab()
    tab.route_web_socket(re.compile("/_stcore/stream"), loss.route)
    for each in (tab, other):
        each.goto(f"{address}/?present={place}&{room}")
        expect(each.get_by_text(f"{place} of 9 · {VIEWS[place - 1].title}")).to_be_visible()
        expect_drawn(each)
    loss.wanted = True
    other.keyboard.press("ArrowRight")
    following = VIEWS[place]
    expect(tab.get_by_text(f"{place + 1} of 9 · {following.title}")).to_be_visible()
    expect(tab).to_have_url(re.compile(re.escape(urlencode(following.parameters))))
    expect_drawn(tab)
    assert loss.lost and not loss.wanted
