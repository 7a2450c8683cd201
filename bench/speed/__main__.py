"""All sections, one after another: `python -m bench.speed --write`."""

from bench.speed.command import main

main()
