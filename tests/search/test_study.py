"""What the sampler proposes, and in which order."""

from nas.request import SearchRequest
from nas.search.study import Study
from nas.space import SearchSpace

SPACE = {
    "name": "mine",
    "parameters": {"hidden": [8, 16, 32], "layers": {"low": 1, "high": 3}, "precision": ["fp32", "int8"]},
    "first": [
        {"hidden": 16, "layers": 2, "precision": "int8", "features": ["promotion", "calendar", "discount", "profile"]},
        {"layers": 3},
    ],
}


def study(url=None):
    request = SearchRequest.model_validate({"devices": ["pi"], "objectives": ["wape"]})
    return Study(1, request, SearchSpace.from_mapping(SPACE), url)


def test_a_search_begins_with_what_its_space_names_first():
    drawn = study()
    found = []
    for _ in range(12):
        proposal = drawn.ask()
        found.append(proposal.architecture)
        drawn.tell(proposal.number, {"wape": 0.5}, {})
    assert (found[0].hidden, found[0].layers, found[0].precision) == (16, 2, "int8")
    assert found[1].layers == 3
    assert len({architecture.layers for architecture in found[2:]}) > 1


def test_what_was_named_first_is_proposed_again_after_a_kill(tmp_path):
    url = f"sqlite:///{tmp_path}/study.sqlite"
    begun = study(url).ask()
    again = list(study(url).unfinished())
    assert [proposal.architecture for proposal in again] == [begun.architecture]
    assert study(url).ask().architecture.layers == 3
