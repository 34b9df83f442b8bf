import models
import pytest


@pytest.fixture(scope="session")
def endless_model():
    return models.endless()


@pytest.fixture(scope="session")
def bomb_model():
    return models.bomb()
