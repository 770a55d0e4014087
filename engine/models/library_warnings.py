"""What transformers warns about while it reads a model: collected for a note, instead of printed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, WARNING, Handler, LogRecord

import transformers
from transformers.utils import logging as library

NO_CONCERN = (
    "deprecated",
    "will be removed",
    "fast path",
    "falling back",
    "faster",
    "slower",
    "generat",
    "_token_id must be",
)
"""Words of warnings that concern no numbers: about programs that call the library, speed, or sampling."""


def silence() -> None:
    """Let transformers print errors only, and no progress bars."""
    library.disable_progress_bar()
    library.get_logger()  # sets up the handler that prints
    for handler in logging.getLogger(transformers.__name__).handlers:
        if not isinstance(handler, _Collector):
            handler.setLevel(ERROR)


@contextmanager
def collected() -> Iterator[list[str]]:
    """Collect the warnings of this thread while the `with` lasts, each once."""
    silence()
    root, collector = logging.getLogger(transformers.__name__), _Collector()
    level = root.level
    library.warning_once.cache_clear()  # else a second model of the same kind would seem to be fine
    root.addHandler(collector)
    root.setLevel(min(level, WARNING))
    try:
        yield collector.messages
    finally:
        root.setLevel(level)
        root.removeHandler(collector)


class _Collector(Handler):
    def __init__(self) -> None:
        super().__init__(WARNING)
        self.messages: list[str] = []
        self._thread = threading.get_ident()  # other threads may be reading other models

    def emit(self, record: LogRecord) -> None:
        message = " ".join(record.getMessage().split())
        concerns = not any(words in message for words in NO_CONCERN)
        if record.thread == self._thread and concerns and message not in self.messages:
            self.messages.append(message)
