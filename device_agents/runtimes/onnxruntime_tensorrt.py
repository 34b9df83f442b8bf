"""onnxruntime on an NVIDIA GPU through TensorRT, which compiles the graph when it is loaded."""

from device_agents.runtimes.accelerator import Accelerator

_TENSORRT = Accelerator("onnxruntime-tensorrt", "TensorrtExecutionProvider", "libonnxruntime_providers_tensorrt.so")
IDENTITY_MODEL, version, prepare, load = _TENSORRT.IDENTITY_MODEL, _TENSORRT.version, _TENSORRT.prepare, _TENSORRT.load
