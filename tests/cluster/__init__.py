"""Clusters of processes that lose workers, clients and schedulers in mid-run."""
