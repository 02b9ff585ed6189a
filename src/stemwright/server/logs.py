"""Logging of the service: one line per event on standard error, with time, level and place."""

from __future__ import annotations

import logging
import time


def configure(level: str) -> None:
    """Sets the format for this process; libraries speak up only when something is wrong."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level="WARNING", handlers=[handler], force=True)
    logging.getLogger("stemwright").setLevel(level)
