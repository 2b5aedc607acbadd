"""The OpenVINO engine: on a CPU twice as fast as torch, and it starts without torch."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino

from doxa.inference.compiled import CompiledCache
from doxa.inference.engine import Engine, pad
from doxa.inference.lanes import OutOfMemory
from doxa.text.frame import Window

BATCH_TOKENS = 1024
KERNELS_KEPT = 64  # OpenVINO compiles some for each shape it meets; more cost 40 MB and bring 1 %
_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoEngine(Engine):
    """Runs a converted model (a path to its .xml, or an openvino.Model) computing in fp32 or bf16; what the model
    itself holds in int8 stays so. `max_length` is the most tokens that the model has positions for. With the
    `fingerprint` of its files, the user's cache has what an earlier run compiled, or gets it by `keep_compiled`.
    """

    def __init__(self, model, precision: str, pad_id: int, max_length: int, batch_tokens: int | None = None, n_cores: int = 1,
                 fingerprint: str | None = None):
        self.pad_id, self.max_length, self.batch_tokens = pad_id, max_length, batch_tokens or BATCH_TOKENS
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision], "NUM_STREAMS": str(n_cores), "INFERENCE_NUM_THREADS": str(n_cores),
            "ENABLE_CPU_PINNING": "NO",  # two processes would be pinned to the same cores
            "CPU_RUNTIME_CACHE_CAPACITY": str(KERNELS_KEPT)}
        core, self._cache = openvino.Core(), CompiledCache(settings, fingerprint) if fingerprint else None
        kept = self._cache.load(core) if self._cache else None
        self.compiled = kept or core.compile_model(model, "CPU", settings)
        self._is_fresh = kept is None
        self.names = [port.any_name for port in self.compiled.inputs]
        shape = self.compiled.outputs[0].partial_shape
        self.n_outputs, self.per_token = shape[-1].get_length(), len(shape) == 3
        # The binding loads numpy's interface at its first use. Two threads that come to it together wait for each other for ever:
        # one holds the lock of that first use and wants the interpreter's, the other the other way round.
        openvino.Type.i64.to_dtype()
        self.lanes = ThreadPoolExecutor(n_cores, "engine")
        self._own = threading.local()

    def keep_compiled(self) -> None:
        """For when the model's files have proved whole."""
        if self._cache and self._is_fresh:
            self._cache.keep(self.compiled)

    def _forward(self, windows: list[Window]) -> np.ndarray:
        if not hasattr(self._own, "request"):
            self._own.request = self.compiled.create_infer_request()
        arrays = pad(windows, self.pad_id, self.max_length)
        try:
            results = self._own.request.infer({name: arrays[name] for name in self.names}, share_inputs=True)
        except RuntimeError as error:
            if "bad_alloc" not in str(error) and "allocate" not in str(error):
                raise
        else:
            return results[0].astype(np.float32)  # (B, C) or (B, T, C)
        raise OutOfMemory
