"""Leuko: continuous deployment with an immune system, for fleets of plain Linux servers."""

__version__ = "0.1.0"
