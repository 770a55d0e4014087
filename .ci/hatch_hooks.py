"""What `pyproject.toml` cannot say about the installed package: its dependencies, and its own two modules."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.requirements import Requirement
from packaging.version import Version

PACKAGE = "engine/installed/prunescope"


class Dependencies(MetadataHookInterface):
    """Accepts a range of releases, see `pyproject.toml`, where requirements.txt has pins.

    The installed package shares its environment, for instance with a notebook's other libraries, which exact
    pins would replace.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in the dependencies and the optional ones."""
        metadata["dependencies"] = [self._accepted(pinned) for pinned in self._pinned("requirements.txt")]
        optional = {pinned.name: str(pinned) for pinned in self._pinned("requirements-dev.txt")}
        metadata["optional-dependencies"] = {
            extra: [optional[name] for name in names] for extra, names in self.config["extras"].items()
        }

    def _pinned(self, name: str) -> list[Requirement]:
        lines = Path(self.root, name).read_text(encoding="utf-8").splitlines()
        return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]

    def _accepted(self, pinned: Requirement) -> str:
        (pin,) = pinned.specifier
        major, minor, *_ = Version(pin.version).release
        following = f"{major}.{minor + 1}" if pinned.name in self.config["minor"] else f"{major + 1}"
        return f"{pinned.name}>={self.config['oldest'].get(pinned.name, pin.version)},<{following}"


class Package(BuildHookInterface[Any]):
    """Moves the modules of the package `prunescope` to the top of the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them, except to an editable installation: there the package stays in the checkout."""
        if version != "editable":
            for path in Path(self.root, PACKAGE).glob("*.py"):
                build_data["force_include"][str(path)] = path.name
