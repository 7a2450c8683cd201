"""LitServe in a folder of its own: `make bench` installs it, and no environment of the service changes."""

from bench.prevalence import ROOT

FOLDER = ROOT / "build" / "litserve"
