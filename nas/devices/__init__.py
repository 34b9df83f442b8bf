"""The controller's side of real devices: how they are reached, measured and shared."""
