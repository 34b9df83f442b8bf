"""From a trained forecaster to what runs elsewhere: ONNX, and the package that a store receives."""
