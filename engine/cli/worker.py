"""`worker`: compute runs for the apps and sweeps that use a Dask scheduler."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from engine.errors import EngineError
from engine.hardware.gpus import CUDA

TLS = ("tls_ca_file", "tls_cert", "tls_key")


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `worker`."""
    parser.add_argument("address", metavar="ADDRESS", help="the scheduler, for instance tcp://host:8786")
    parser.add_argument("--name", help="the worker's name in messages (default: its address)")
    parser.add_argument(
        "--device",
        default="auto",
        help="what runs may use: auto (the first GPU, if any), cpu, or the number of a GPU; start one worker "
        "per GPU (default: auto)",
    )
    parser.add_argument(
        "--threads",
        type=_positive,
        metavar="N",
        help="CPU threads (default: all cores); with several workers on a machine, its cores divided by them",
    )
    for name, content in zip(
        TLS, ("certificate of the authority", "certificate", "private key"), strict=True
    ):
        parser.add_argument(
            f"--{name.replace('_', '-')}", metavar="FILE", help=f"for a tls:// scheduler: the {content} (PEM)"
        )


def run_worker(arguments: argparse.Namespace) -> int:
    """Work until Ctrl-C."""
    environment = {CUDA: _visible(arguments.device)} if arguments.device != "auto" else {}
    if arguments.threads is not None:
        environment["OMP_NUM_THREADS"] = str(arguments.threads)
    require_dask()
    from engine.jobs import worker_process

    tls = {option: value for option in TLS if (value := getattr(arguments, option)) is not None}
    worker_process.run_worker(arguments.address, name=arguments.name, environment=environment, tls=tls)
    return 0


def require_dask() -> None:
    """Check that Dask is installed, without importing it.

    Raises:
        EngineError: it is not.
    """
    if find_spec("distributed") is None:
        raise EngineError(
            "A cluster needs the packages dask and distributed. Install them with pip, and try again."
        )


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text}")
    return int(text)


def _visible(device: str) -> str:
    """Return the GPUs that CUDA shows to the worker.

    Raises:
        EngineError: there is no such GPU.
    """
    if device == "cpu":
        return ""
    from engine.hardware.gpus import visible_gpus

    gpus = visible_gpus()
    if not (device.isdecimal() and int(device) < len(gpus)):
        raise EngineError(
            f"The device {device} was requested, but the GPUs of this machine are {len(gpus)} in number. "
            "Use --device auto, cpu, or the number of a GPU, counted from 0."
        )
    return gpus[int(device)]  # the number counts the GPUs that this process sees
