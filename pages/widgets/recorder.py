"""What a part of a page draws, as the blocks of a handout instead of elements in a browser.

The part is drawn in a script run of its own, with an address of its own, which sends to no browser. Charts,
questions and the values of controls are taken where they are drawn: those widgets ask for the `recorder`
first. Texts are taken from what Streamlit would send. So whatever a lesson shows is in its handout, without
being written twice.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from streamlit.runtime.fragment import MemoryFragmentStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import ScriptRunContext, add_script_run_ctx
from streamlit.runtime.state import SafeSessionState, SessionState

from engine.export.handout_blocks import Setting, Text, Value
from pages.widgets.public_mode import for_visitor

if TYPE_CHECKING:
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from streamlit.runtime.pages_manager import PageInfo

ROOT = Path(__file__).resolve().parents[2]
APP = str(ROOT / "app.py")


@dataclass
class Recorder:
    """The blocks so far.

    Attributes:
        answered: whether questions count as answered, so that what an answer brings to light is drawn.
    """

    answered: bool
    blocks: list[Any] = field(default_factory=list)

    def add(self, block: object) -> None:
        """Add a block."""
        self.blocks.append(block)

    def setting(self, label: str, value: object) -> None:
        """Add the value of a control."""
        self.add(Setting(label, f"{value:g}" if isinstance(value, float) else str(value)))

    def receive(self, message: ForwardMsg) -> None:
        """Add what a message to the browser says, if it is text or a number."""
        if message.WhichOneof("type") != "delta" or message.delta.WhichOneof("type") != "new_element":
            return
        element = message.delta.new_element
        match element.WhichOneof("type"):
            case "markdown":
                if body := re.sub(r"^:material/\w+:\s*", "", element.markdown.body.strip()):
                    self.add(Text(body))
            case "code":
                self.add(Text(f"```\n{element.code.code_text}\n```"))
            case "metric":
                self.add(Value(element.metric.label, element.metric.body, element.metric.help))
            case "alert" if element.alert.format in (element.alert.ERROR, element.alert.WARNING):
                self.add(Text(element.alert.body))


_RECORDER: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


def recorder() -> Recorder | None:
    """Return where the page that is being drawn is recorded; None if it is drawn for a browser."""
    return _RECORDER.get()


def record(draw: Callable[[], None], parameters: Mapping[str, str], *, answered: bool) -> list[Any]:
    """Return what a part of a page draws with these parameters in the address.

    Raises what `draw` raises.
    """
    sheet, draw = Recorder(answered), for_visitor(draw)
    failures: list[Exception] = []

    def run() -> None:
        try:
            _RECORDER.set(sheet)
            context = _context(sheet.receive)
            add_script_run_ctx(threading.current_thread(), context)
            context.reset(query_string=urlencode(parameters))
            with context.session_state.query_params() as query:
                query.populate_from_query_string(urlencode(parameters), set())
                query.set_initial_query_params_from_current()
            draw()
        except Exception as error:  # raised again in the thread that asked
            failures.append(error)

    thread = threading.Thread(target=run, name="handout")  # a thread has one script run
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return sheet.blocks


def _context(receive: Callable[[ForwardMsg], None]) -> ScriptRunContext:
    return ScriptRunContext(
        session_id="",
        _enqueue=receive,
        query_string="",
        session_state=SafeSessionState(SessionState(), lambda: None),
        uploaded_file_mgr=MemoryUploadedFileManager(""),
        main_script_path=APP,
        user_info={},
        fragment_storage=MemoryFragmentStorage(),
        pages_manager=_Pages(APP),
    )


class _Pages(PagesManager):
    """The pages that links may lead to; Streamlit refuses to draw other links."""

    def get_pages(self) -> dict[str, PageInfo]:
        return {
            path.stem: {
                "page_script_hash": path.stem,
                "page_name": path.stem,
                "url_pathname": path.stem,
                "script_path": str(path),
            }
            for path in (ROOT / "pages").glob("*.py")
        }
