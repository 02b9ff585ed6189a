"""The exported graph is the net, and the net can be had back from it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from stemwright.errors import BadStart
from stemwright.nets.bandsplit import BandSplit, BandSplitConfig
from stemwright.train.learning.graph import band_split_graph, read_weights
from stemwright.train.learning.recipe import load_recipe
from stemwright.zoo import catalog

SMALL = BandSplitConfig(width=16, head=8, expansion=2, squeezed=2, hidden=8, dilations=(1, 2))


@pytest.fixture(scope="module", params=[SMALL, replace(SMALL, details=4, learned=3)], ids=["plain", "details"])
def both(request: pytest.FixtureRequest) -> tuple[BandSplit, ort.InferenceSession]:
    torch.manual_seed(1)
    net = BandSplit(request.param).eval()
    for parameter in net.parameters():
        filled = parameter + 0.05 * torch.randn_like(parameter)  # layers that start at zero would hide an error
        parameter.data = filled.half().float()
    content = band_split_graph(net).SerializeToString()
    return net, ort.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("batch", "frames"), [(1, 12), (2, 7), (3, 1)])
def test_graph_equals_net(both: tuple[BandSplit, ort.InferenceSession], batch: int, frames: int) -> None:
    net, session = both
    spectrum = torch.randn(batch, 2, frames, 2049, 2)
    with torch.no_grad():
        expected = net(spectrum).numpy()
    found = np.asarray(session.run(["masks"], {"spectrum": spectrum.numpy()})[0])
    assert found.shape == expected.shape
    assert 10 * np.log10(np.mean(expected**2) / np.mean((found - expected) ** 2)) > 80


def test_a_graph_gives_its_weights_back(both: tuple[BandSplit, ort.InferenceSession], tmp_path: Path) -> None:
    onnx.save(band_split_graph(both[0]), str(tmp_path / "net.onnx"))
    other = BandSplit(both[0].config)
    read_weights(other, tmp_path / "net.onnx")
    for one, same in zip(both[0].parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, same)
    with pytest.raises(BadStart, match="these sizes"):
        read_weights(BandSplit(BandSplitConfig(width=24, head=8, hidden=8)), tmp_path / "net.onnx")


@pytest.mark.parametrize("content", [None, b"<html>not found</html>"], ids=["missing", "a web page"])
def test_what_is_no_graph_is_told(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(BadStart, match=r"net\.onnx"):
        read_weights(BandSplit(SMALL), tmp_path / "net.onnx")


@pytest.mark.parametrize(
    "more",
    [{"details": 4, "learned": 3}, {"dilations": (1, 4, 8, 2)}, {"dilations": (1, 4, 2), "details": 4, "learned": 3}],
    ids=["learned cues", "blocks", "both"],
)
def test_a_graph_begins_a_net_that_has_more(more: dict[str, Any], tmp_path: Path) -> None:
    small, grown = BandSplit(SMALL), BandSplit(replace(SMALL, **more)).eval()
    for weight in small.parameters():
        nn.init.normal_(weight, std=0.2)  # also where a new net has zeros: its last block must be told from the others
    onnx.save(band_split_graph(small.eval()), str(tmp_path / "net.onnx"))
    read_weights(grown, tmp_path / "net.onnx")
    spectrum = torch.randn(1, 2, 9, 2049, 2)
    with torch.no_grad():
        torch.testing.assert_close(grown(spectrum), small(spectrum), atol=1e-2, rtol=1e-2)


def test_a_training_can_begin_with_what_is_shipped() -> None:
    card, net = catalog.card(catalog.BUNDLED), BandSplit(load_recipe("twelve").net).eval()
    read_weights(net, card.weights_path)
    spectrum = torch.randn(1, 2, 9, 2049, 2)
    session = ort.InferenceSession(card.weights_path, providers=["CPUExecutionProvider"])
    expected = np.asarray(session.run(["masks"], {"spectrum": spectrum.numpy()})[0])
    with torch.no_grad():
        found = net(spectrum).numpy()
    assert 10 * np.log10(np.mean(expected**2) / np.mean((found - expected) ** 2)) > 80
