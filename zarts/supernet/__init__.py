"""Supernets of the DARTS family: spaces, operations, the network, genotypes."""
