"""The students of `tests.benchmarks.classroom`: tabs of a browser, or connections that only talk to the
server as a tab does, and so show its share of the waiting.
"""

import re
import threading
import time
import urllib.request
from contextlib import suppress
from typing import Protocol
from urllib.parse import urljoin

from playwright.sync_api import BrowserContext, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

TIMEOUT = 180  # seconds
STREAMLIT = Subprotocol("streamlit")
LESSON = "class=measured&lesson=groups&step=row"
NEXT = "class=measured&lesson=groups&step=neighbours"
TEXTS = {
    "question": "Magnitude removes half of the layer, and all weights compete.",
    "counted": "Your answer is counted",
    "revealed": "Find out how low the sparsity must be",
    "locked": "has not opened this step yet",
    "opened": "Hardware needs more structure",
}
"""What a student reads: the question; that an answer is counted; its explanation; and the next step."""
WATCH_TEXTS = """texts => {
  window.seen = {};
  const look = () => {  // `innerText` at intervals would cost more than the pages
    const page = document.body.textContent;
    for (const [name, text] of Object.entries(texts))
      if (!(name in window.seen) && page.includes(text)) window.seen[name] = Date.now();
  };
  look();
  new MutationObserver(look).observe(document.body, {childList: true, characterData: true, subtree: true});
}"""
CHOOSE = """([choice, at]) => setTimeout(() => {
  window.clicked = Date.now();
  document.querySelectorAll('[data-testid=stRadio] input')[choice].click();
}, at - Date.now())"""


class Student(Protocol):
    """A student's page. Times are Unix times in seconds."""

    def join(self) -> None:
        """Begin to open the step with the question."""

    def choose(self, choice: int, at: float) -> None:
        """Choose an answer at a time, without waiting for it."""

    def clicked(self) -> float:
        """Return when the last answer was chosen."""

    def go_on(self) -> None:
        """Go to the next step."""

    def seen(self, name: str) -> float:
        """Wait for one of `TEXTS`, and return when it was shown first."""


class TabStudent:
    """A student in a tab of a browser."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self._tab, self._address = context.new_page(), address

    def join(self) -> None:
        self._tab.goto(f"{self._address}/learn?{LESSON}", wait_until="commit")
        self._watched = False

    def choose(self, choice: int, at: float) -> None:
        self._tab.evaluate(CHOOSE, [choice, 1000 * at])

    def clicked(self) -> float:
        return float(self._tab.evaluate("window.clicked")) / 1000

    def go_on(self) -> None:
        self._tab.get_by_role("button", name="Next: N:M").click()

    def seen(self, name: str) -> float:
        if not self._watched:
            expect(self._tab.get_by_test_id("stRadio")).to_be_visible(timeout=1000 * TIMEOUT)
            self._tab.evaluate(WATCH_TEXTS, TEXTS)
            self._watched = True
        self._tab.wait_for_function("name => name in window.seen", arg=name, timeout=1000 * TIMEOUT)
        return float(self._tab.evaluate("name => window.seen[name]", name)) / 1000


class ConnectedStudent:
    """A student without a browser. Asks as `follow.js` does whether the page has to be drawn again, requests
    that, and reads what is sent, without drawing it.

    Attributes:
        requested: when the page was last requested because the teacher had changed something, Unix time.
    """

    POLL, AGAIN = 0.5, 5.0  # seconds, as in `follow.js`

    def __init__(self, address: str) -> None:
        self._address, self._query = address, LESSON
        self._seen: dict[str, float] = {}
        self._changed = threading.Condition()
        self._radio, self._choices = "", [""]
        self._answer, self._clicked = "", 0.0
        self._asked, self._version = "", 0
        self.requested = self._waits_since = 0.0

    def join(self) -> None:
        for work in (self._receive, self._follow):
            threading.Thread(target=work, daemon=True).start()

    def choose(self, choice: int, at: float) -> None:
        threading.Timer(at - time.time(), self._choose, [choice]).start()

    def _choose(self, choice: int) -> None:
        self._answer, self._clicked = self._choices[choice], time.time()
        self._request()

    def clicked(self) -> float:
        return self._clicked

    def go_on(self) -> None:
        self._query, self._answer = NEXT, ""
        self._request()

    def seen(self, name: str) -> float:
        with self._changed:
            if not self._changed.wait_for(lambda: name in self._seen, TIMEOUT):
                raise TimeoutError(f"A student has not read “{TEXTS[name]}” within {TIMEOUT} s.")
            return self._seen[name]

    def _request(self) -> None:
        """Request a run of the page's script."""
        message = BackMsg()
        message.rerun_script.query_string, message.rerun_script.page_name = self._query, "learn"
        if self._answer:
            state = WidgetState(id=self._radio, string_value=self._answer)
            message.rerun_script.widget_states.widgets.append(state)
        self._socket.send(message.SerializeToString())

    def _receive(self) -> None:
        address = f"{self._address.replace('http', 'ws', 1)}/_stcore/stream"
        with suppress(ConnectionClosed), connect(address, subprotocols=[STREAMLIT], max_size=None) as socket:
            self._socket = socket
            self._request()
            for content in socket:  # until the app ends
                assert isinstance(content, bytes)
                self._read(content)

    def _read(self, content: bytes) -> None:
        element = ForwardMsg.FromString(content).delta.new_element
        if element.radio.id:
            self._radio, self._choices = element.radio.id, list(element.radio.options)
        # The component's data: JSON, and the only one with this address.
        if asked := re.search(rb'"(class-state\?[^"]+)"', content):
            self._asked = asked[1].decode()
            self._version = int(re.search(rb'"version": ?(\d+)', content)[1])  # type: ignore[index]
            self._waits_since = 0.0
        with self._changed:
            for name in TEXTS.keys() - self._seen.keys():
                if TEXTS[name].encode() in content:
                    self._seen[name] = time.time()
                    self._changed.notify_all()

    def _follow(self) -> None:
        while True:
            time.sleep(self.POLL)
            if not self._asked:
                continue
            try:
                with urllib.request.urlopen(urljoin(f"{self._address}/learn", self._asked)) as answer:
                    changed = re.search(rb'"version":(\d+)', answer.read())
            except OSError:  # the app ends
                return
            if changed and int(changed[1]) != self._version and time.time() - self._waits_since >= self.AGAIN:
                self.requested = self._waits_since = time.time()
                self._request()
