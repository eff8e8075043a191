"""Training, validation and predictions on the pretended GPU."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
from pretended import GPU, pretended_gpu

sys.path.append(str(Path(__file__).parents[1] / "training"))
from toy_training import OPTIONS, fit_toy, toy_data, toy_model
