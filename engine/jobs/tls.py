"""TLS between the app and its embedded cluster, for the owner alone on a machine that others use.

The scheduler listens on the loopback interface, which every local user can reach, and whoever is connected
runs code as the owner. So both sides of every connection show one certificate, made at each start, and accept
no other. The app sends it to the cluster through the pipe between them, and the nanny to the worker through
Python's own; it is never in a file, an argument or the environment.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed.security import Security

PIPES = Path("/dev/fd")
"""Where the system names open files; Windows has no such directory."""


class Credentials(Security):
    """Dask's settings for TLS with one self-signed certificate, which never touches the disk.

    Args:
        certificate: the certificate, as PEM; also the only authority that is trusted.
        key: its private key, as PEM.
    """

    tls_ca_file: str
    tls_client_key: str

    def __init__(self, certificate: str, key: str) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            require_encryption=True,
            tls_ca_file=certificate,
            **{f"tls_{role}_cert": certificate for role in ("client", "scheduler", "worker")},
            **{f"tls_{role}_key": key for role in ("client", "scheduler", "worker")},
        )

    @classmethod
    def create(cls) -> Credentials:
        """Return credentials that are used nowhere else.

        Raises:
            ImportError: the package `cryptography` is missing.
        """
        made = Security.temporary()  # type: ignore[no-untyped-call]
        return cls(made.tls_ca_file, made.tls_client_key)

    def to_line(self) -> str:
        """Return the credentials as one line of text, for `from_line` at the other end of a pipe."""
        return json.dumps([self.tls_ca_file, self.tls_client_key]) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Credentials:
        """Return the credentials that `to_line` has written."""
        return cls(*json.loads(line))

    def get_connection_args(self, role: str) -> dict[str, Any]:
        """Return what Dask needs to connect."""
        return {**self.get_listen_args(role, ssl.Purpose.SERVER_AUTH), "extra_conn_args": {}}

    def get_listen_args(self, role: str, purpose: ssl.Purpose = ssl.Purpose.CLIENT_AUTH) -> dict[str, Any]:
        """Return what Dask needs to listen."""
        if not PIPES.is_dir():
            # Through files in the user's temporary directory, which are deleted at once: Python reads
            # certificates from paths only.
            tls = self.get_tls_config_for_role(role)  # type: ignore[no-untyped-call]
            context = self._get_tls_context(tls, purpose)  # type: ignore[no-untyped-call]
        else:
            context = self._context(purpose)
        return {"ssl_context": context, "require_encryption": True}

    def _context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        context = ssl.create_default_context(purpose, cadata=self.tls_ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # the certificate names no host; no other process has its key
        context.verify_mode = ssl.CERT_REQUIRED  # of clients, too
        # From Python 3.13 on by default; it demands extensions that Dask's certificates lack.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        with _as_path(self.tls_ca_file) as certificate, _as_path(self.tls_client_key) as key:
            context.load_cert_chain(certificate, key)
        return context


@contextmanager
def _as_path(text: str) -> Iterator[str]:
    """Yield a path that can be read once and holds `text`: a pipe, whose buffer is larger than a key."""
    reader, writer = os.pipe()
    try:
        os.write(writer, text.encode())
        os.close(writer)
        yield str(PIPES / str(reader))
    finally:
        os.close(reader)
