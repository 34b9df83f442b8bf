"""onnxruntime on an accelerator, with proof of what ran: CUDA, and TensorRT.

onnxruntime falls back without a word at three places: its Python class retries on the CPU when a
provider fails to start, a provider that lacks a library is left out of the session, and nodes that
a provider does not know run on the CPU. Each is closed or looked into here: the retry is turned
off, the session is asked which providers it has, and the profile of one inference says which
provider executed each node. Anything but the promised provider is "not on this device".

There was no such device to develop against: the decision is tested on recorded outputs only.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from typing import Any, Dict, Iterable, List, Optional

from device_agents.protocol import Problem
from device_agents.runtimes import InputSpec, missing, onnxruntime

INSTALL = "python3 -m pip install onnxruntime-gpu"
_STRICT = "session.disable_cpu_ep_fallback"
"""Makes a session fail whose nodes would go to the CPU; known since onnxruntime 1.16, ignored before."""


class Accelerator:
    """One accelerating provider of onnxruntime as a runtime of its own.

    Args:
        runtime: Name of the runtime.
        provider: What onnxruntime calls the provider.
        library: The file that a build of onnxruntime with this provider brings.
    """

    IDENTITY_MODEL = onnxruntime.IDENTITY_MODEL

    def __init__(self, runtime: str, provider: str, library: str) -> None:
        self.runtime = runtime
        self.provider = provider
        self.library = library

    def version(self) -> Optional[str]:
        """Return onnxruntime's version where its build has this provider: its library lies in the package."""
        from importlib import metadata

        for name in onnxruntime.DISTRIBUTIONS:
            try:
                found = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                continue
            if os.path.exists(str(found.locate_file("onnxruntime/capi/" + self.library))):
                return str(found.version)
        return None

    def prepare(self) -> str:
        """Import onnxruntime; the provider itself starts in the child, for CUDA does not survive a fork."""
        version = onnxruntime.prepare()
        import onnxruntime as ort

        if self.provider not in ort.get_available_providers():
            raise self._missing("this onnxruntime %s has only %s" % (version, ", ".join(ort.get_available_providers())))
        return version

    def load(self, path: str, threads: int) -> onnxruntime.Model:
        """Open a session that may use this provider only, and infer once to see who executes the nodes."""
        import onnxruntime as ort

        # 19-bit TF32 would pass for fp32; every library of NVIDIA's reads this when it starts.
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        with tempfile.TemporaryDirectory() as folder:
            options = onnxruntime.session_options(threads)
            options.add_session_config_entry(_STRICT, "1")
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(folder, "profile")
            try:
                session = ort.InferenceSession(path, options, providers=[self.provider], enable_fallback=0)
            except Exception as error:
                if "CPU EP" in str(error):
                    raise self._missing("nodes of this model would run on the CPU instead") from None
                if "CUDA failure" in str(error):  # no GPU, or a driver that does not fit
                    raise self._missing(str(error)) from None
                raise
            self.require(session.get_providers(), ())
            model = onnxruntime.Model(session, self.provider)
            model.run(_zeros(model.inputs))
            with open(session.end_profiling()) as file:
                self.require(session.get_providers(), executed(json.load(file)))
        return model

    def require(self, registered: Iterable[str], nodes: Iterable[Dict[str, str]]) -> None:
        """Accept what ran only if it was this provider alone.

        Args:
            registered: The session's providers; one whose libraries do not load is not among them.
            nodes: ``op`` and ``provider`` of every node that was executed.

        Raises:
            Problem: ``runtime_missing``, with what ran elsewhere.
        """
        if self.provider not in registered:
            raise self._missing("the libraries that %s needs do not load" % self.provider)
        others = Counter("%s on %s" % (node["op"], node["provider"]) for node in nodes if not self._is_own(node))
        if others:
            listed = ", ".join("%d %s" % (count, what) for what, count in sorted(others.items()))
            raise self._missing("it ran %s" % listed)

    def _is_own(self, node: Dict[str, str]) -> bool:
        return node["provider"] == self.provider

    def _missing(self, reason: str) -> Problem:
        return missing(self.runtime, reason, INSTALL)


def executed(events: List[Dict[str, Any]]) -> List[Dict[str, str]]:
    """Return ``op`` and ``provider`` of every node in a session's profile (``InferenceSession.end_profiling``)."""
    found = [event["args"] for event in events if event.get("cat") == "Node" and "provider" in event.get("args", {})]
    return [{"op": str(node.get("op_name", "?")), "provider": str(node["provider"])} for node in found]


def _zeros(inputs: List[InputSpec]) -> Dict[str, Any]:
    import numpy as np

    return {spec.name: np.zeros([1 if size is None else size for size in spec.shape], spec.dtype) for spec in inputs}
