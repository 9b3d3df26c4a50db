"""FineMed: build, audit, publish and train on medical instruction datasets.

The command line is the front door: ``finemed demo`` builds a small release from bundled text.
"""

__version__ = "0.1.0"
