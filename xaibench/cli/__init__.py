"""The command line."""

from xaibench.cli.app import main
