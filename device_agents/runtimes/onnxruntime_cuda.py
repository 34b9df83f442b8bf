"""onnxruntime on an NVIDIA GPU through its CUDA provider."""

from device_agents.runtimes.accelerator import Accelerator

_CUDA = Accelerator("onnxruntime-cuda", "CUDAExecutionProvider", "libonnxruntime_providers_cuda.so")
IDENTITY_MODEL, version, prepare, load = _CUDA.IDENTITY_MODEL, _CUDA.version, _CUDA.prepare, _CUDA.load
