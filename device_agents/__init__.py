"""What runs on the device: a zipapp of the standard library only, for Python 3.8 and newer."""
