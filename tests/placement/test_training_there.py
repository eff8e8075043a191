"""Training, validation and predictions on the pretended GPU."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from pretended import GPU, pretended_gpu
from toy_training import OPTIONS, fit_toy, toy_data, toy_model

from xaibench.training.evaluate import predict_logits

# Without a driver torch says that it leaves its casting out; both devices train in float32 so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:CUDA is not available"),
    pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'"),  # in other releases
]


def trained_there(folder, options, data=None):
    with pretended_gpu() as seen:
        model = toy_model().to(GPU)
        seen.waits.clear()
        weights, trained = fit_toy(folder, model, data, options)
    return weights, trained, Counter((wait.what, wait.where) for wait in seen.waits)


def test_training_gives_the_cpus_weights_and_figures(tmp_path):
    there, trained, _ = trained_there(tmp_path / "there", OPTIONS)
    here, wanted = fit_toy(tmp_path / "here")
    for name, weight in here.items():
        torch.testing.assert_close(there[name].held, weight)
    assert all(value.device == GPU for value in there.values())
    figures = [name for name in wanted.log.columns if name != "seconds"]
    np.testing.assert_allclose(trained.log[figures], wanted.log[figures], rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_no_step_waits_for_the_device(tmp_path, sampling, optimizer):
    changes = {"epochs": 1, "save_every": 1000, "sampling": sampling, "optimizer": optimizer}
    options = OPTIONS.model_copy(update=changes)
    few = trained_there(tmp_path / "few", options)[2]
    assert trained_there(tmp_path / "many", options, toy_data(52))[2] == few
    assert not [where for _, where in few if where.endswith(":_step")]


def test_predictions_wait_once(tmp_path):
    split = toy_data().splits["train"]
    wanted = predict_logits(toy_model(), split)
    with pretended_gpu() as seen:
        model = toy_model().to(GPU)
        seen.waits.clear()
        found = [predict_logits(model, split, batch_size=size) for size in (26, 4)]
    for logits in found:
        assert logits.device.type == "cpu"
        torch.testing.assert_close(logits, wanted)
    assert [(wait.what, wait.numbers) for wait in seen.waits] == [("cpu", 52)] * 2
