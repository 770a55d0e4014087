"""A drawing of the page that never reaches the browser, as happens on a busy machine, is made up for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Page, WebSocketRoute, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.layout import START, expect_drawn

FAST = "samples=4&length=64&pruner=magnitude"
SAVE = "Save model as a directory"


@dataclass
class Loss:
    """Drops all drawings of the whole page until one with the button that saves a finished run is lost."""

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
        if kind == "new_session":
            self.in_drawing = self.wanted and not content.metadata.run.fragment_ids
        if not self.in_drawing:
            return False
        self.lost += 1
        if SAVE.encode() in message:
            self.wanted = False
        if kind == "script_finished":
            self.in_drawing = False
        return True


def test_a_page_that_is_lost_on_its_way_to_the_browser_is_drawn_again(
    page: Page, address: str, short: str
) -> None:
    loss = Loss()
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
