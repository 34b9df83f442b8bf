"""The search: propose, measure on the device, train what can be feasible, keep the front."""
