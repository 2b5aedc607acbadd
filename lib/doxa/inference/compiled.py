"""Compiled models in the user's cache: OpenVINO loads one in a quarter of the time that it needs to compile it."""

import hashlib
import json
import os
import platform
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino

from doxa.device.cpu import cpu_flags
from doxa.model.directory import sha256_of

MOST_KEPT = 8


class CompiledCache:
    """Keeps what these settings make of one model on this machine. `fingerprint` is that of the model's files."""

    def __init__(self, settings: dict[str, str], fingerprint: str):
        self.settings = settings
        self.place = _place(settings, fingerprint)

    def load(self, core: openvino.Core) -> openvino.CompiledModel | None:
        """Return what an earlier run kept; None when there is none or it is damaged."""
        return _load(core, self.place, self.settings) if self.place else None

    def keep(self, compiled: openvino.CompiledModel) -> None:
        """Keep it, unless the disk is full or read-only."""
        if self.place:
            _keep(self.place, compiled)


def _place(settings: dict[str, str], fingerprint: str) -> str | None:
    """The file for what these settings make of this model on this machine; None where the user has no cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or (os.path.join(os.environ["HOME"], ".cache") if os.environ.get("HOME") else None)
    if not home or not os.path.isabs(home):
        return None
    key = json.dumps([fingerprint, openvino.get_version(), platform.machine(), sorted(cpu_flags()), sorted(settings.items())])
    return os.path.join(home, "doxa", "compiled", hashlib.sha256(key.encode()).hexdigest()[:32])


def _load(core: openvino.Core, place: str, settings: dict[str, str]) -> openvino.CompiledModel | None:
    try:
        with open(f"{place}.sha256", encoding="ascii") as file:
            expected = file.read()
        content = openvino.Tensor(np.memmap(f"{place}.blob", dtype=np.uint8, mode="r"))
        with ThreadPoolExecutor(1) as aside:  # hashing lets go of the interpreter, and so does loading
            seen = aside.submit(sha256_of, f"{place}.blob")
            compiled = core.import_model(content, "CPU", settings)
        if seen.result() == expected:
            os.utime(f"{place}.blob")
            return compiled
    except Exception:  # whatever a file of another OpenVINO or a damaged one makes it raise: it is made again
        pass
    return None


def _keep(place: str, compiled: openvino.CompiledModel) -> None:
    """Write the compiled model and its sha256, each by a rename; a full or read-only disk keeps none."""
    folder = os.path.dirname(place)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        content = compiled.export_model()
        content = content.getvalue() if hasattr(content, "getvalue") else content
        for suffix, data in (("blob", content), ("sha256", hashlib.sha256(content).hexdigest().encode())):
            descriptor, name = tempfile.mkstemp(dir=folder)
            try:
                with open(descriptor, "wb") as file:
                    file.write(data)
                os.replace(name, f"{place}.{suffix}")
            except OSError:
                os.unlink(name)
                raise
        blobs = sorted((entry for entry in os.scandir(folder) if entry.name.endswith(".blob")), key=lambda entry: entry.stat().st_mtime)
        for entry in blobs[:-MOST_KEPT]:
            os.unlink(entry.path)
            os.unlink(entry.path.removesuffix("blob") + "sha256")
    except OSError:
        pass
