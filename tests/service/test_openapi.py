import subprocess
import sys

import pytest

ROUTES = {
    ("get", "/healthz"): 200,
    ("put", "/api/v1/devices/{name}"): 200,
    ("post", "/api/v1/searches"): 201,
    ("get", "/api/v1/searches"): 200,
    ("get", "/api/v1/searches/{id_}"): 200,
    ("get", "/api/v1/searches/{id_}/front"): 200,
    ("get", "/api/v1/searches/{id_}/trials"): 200,
    ("get", "/api/v1/searches/{id_}/trials/{number}"): 200,
    ("post", "/api/v1/searches/{id_}/stop"): 200,
    ("post", "/api/v1/searches/{id_}/resume"): 200,
    ("post", "/api/v1/searches/{id_}/cancel"): 200,
    ("post", "/api/v1/devices"): 201,
    ("get", "/api/v1/devices"): 200,
    ("get", "/api/v1/devices/{name}"): 200,
    ("delete", "/api/v1/devices/{name}"): 204,
    ("post", "/api/v1/devices/{name}/drain"): 200,
    ("post", "/api/v1/devices/{name}/undrain"): 200,
    ("get", "/api/v1/search-spaces"): 200,
    ("get", "/api/v1/search-spaces/{name}"): 200,
    ("post", "/api/v1/datasets"): 201,
    ("get", "/api/v1/datasets"): 200,
    ("get", "/api/v1/datasets/{id_}"): 200,
    ("delete", "/api/v1/datasets/{id_}"): 204,
    ("post", "/api/v1/students"): 202,
    ("get", "/api/v1/students"): 200,
    ("get", "/api/v1/students/{id_}"): 200,
    ("get", "/api/v1/students/{id_}/package"): 200,
    ("get", "/api/v1/students/{id_}/report"): 200,
    ("post", "/api/v1/teachers"): 202,
    ("get", "/api/v1/teachers"): 200,
    ("get", "/api/v1/teachers/{id_}"): 200,
}
HEAVY = ("torch", "paramiko", "optuna", "pandas", "onnxruntime", "distributed")


@pytest.fixture
def document(http):
    return http.get("/openapi.json").json()


def test_every_route_is_in_the_document(document):
    found = {(method, path) for path, operations in document["paths"].items() for method in operations}
    assert found == set(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_route_documents_its_answer_and_its_problems(document, route):
    method, path = route
    operation = document["paths"][path][method]
    answers = operation["responses"]
    assert operation["summary"]
    assert operation["description"]
    good = {status for status in answers if status < "400"}
    assert good == {str(ROUTES[route])}
    expected = {"403", "500"}
    expected |= {"404", "422"} if "{" in path else set()
    expected |= {"422"} if "parameters" in operation else set()
    expected |= {"400", "422"} if "requestBody" in operation else set()
    assert set(answers) - good >= expected
    for status in set(answers) - good:
        schema = answers[status]["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
        assert list(answers[status]["content"]) == ["application/problem+json"]
    if path.endswith("/package"):
        assert list(answers["200"]["content"]) == ["application/zip"]
    elif path.endswith("/report"):
        assert list(answers["200"]["content"]) == ["text/html", "application/json"]
    elif method != "delete":
        schema = answers[str(ROUTES[route])]["content"]["application/json"]["schema"]
        assert "$ref" in schema or "$ref" in schema["items"]


def test_the_problems_of_the_table_are_the_documented_ones(document):
    assert document["components"]["schemas"]["Problem"]["required"] == ["type", "title", "status", "detail", "instance"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_requests_and_problems_come_with_examples(document):
    schemas = document["components"]["schemas"]
    assert all(schemas[name]["examples"] for name in ("SearchRequest", "Problem"))


def test_the_service_loads_nothing_heavy(tmp_path):
    """Asked of a fresh interpreter that also opens the database and answers."""
    code = f"""
import sys
import nas.service.serve
from nas.service.app import create_app
from nas.settings import Settings
app = create_app(Settings())
app.openapi()
app.state.database.close()
print([name for name in {HEAVY} if name in sys.modules])
"""
    environment = {"NAS_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
