"""The small training and the networks of windows are those of their own tests."""

import sys
from pathlib import Path

for room in ("training", "engine"):
    sys.path.append(str(Path(__file__).resolve().parents[1] / room))
