"""The methods. Each module has one verb, ``run(task) -> Outcome``, and is imported in its own environment only."""
