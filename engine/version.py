"""The version of Prunescope."""

VERSION = "0.1.0"
