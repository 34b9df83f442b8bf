"""Forecasters and their training; the room where torch lives."""
