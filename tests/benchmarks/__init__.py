"""Benchmarks: `make bench-NAME`, figures in results/benchmarks."""
