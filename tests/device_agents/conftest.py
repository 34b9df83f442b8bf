import onnx_models
import pytest


@pytest.fixture(scope="session")
def endless_model():
    return onnx_models.endless()


@pytest.fixture(scope="session")
def bomb_model():
    return onnx_models.bomb()
