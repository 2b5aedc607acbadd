"""Libraries that are installed only where they are wanted."""

import importlib
from types import ModuleType

from doxa.errors import DoxaError


def load_extra(module: str, extra: str, flag: str) -> ModuleType:
    """A module of one of them. Raises DoxaError that names the flag and the extra where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise DoxaError(f"{flag} needs a library that is not installed: pip install 'doxa[{extra}]'") from None
