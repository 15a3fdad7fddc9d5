"""Weights from files: matching tensors are loaded exactly, others are refused by name, and no code in a file runs.

One module, since every case loads files made by the same few helpers.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.networks import part, xception_preset
from xception.network import presets
from xception.network.config import XceptionConfig
from xception.network.key_maps import keras_layers, keras_name, timm_aligned_name, timm_legacy_name
from xception.network.model import Xception, build
from xception.network.weights import convert, load_pretrained, save

pytestmark = pytest.mark.numeric

TINY = xception_preset("cifar_tiny")


def trained(config: XceptionConfig = TINY, seed: int = 0) -> Xception:
    """A network with random parameters and statistics."""
    torch.manual_seed(seed)
    model = Xception(config)
    for value in (*model.parameters(), *model.buffers()):
        if value.is_floating_point():
            value.detach().uniform_(0.1, 1)
    return model.eval()


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Whether all parameters and statistics are equal; batch counts, which are unused, may differ."""
    pairs = zip(a.state_dict().items(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for (name, x), y in pairs if not name.endswith("num_batches_tracked"))


def refusal(source: Any, model: Any = None, **options: Any) -> str:
    """The line with which a source is refused; the network is unchanged."""
    model = model or Xception(TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError) as caught:
        load_pretrained(model, source, **options)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    return str(caught.value)


def test_save_and_load_round_trip(tmp_path: Path) -> None:
    model, other = trained(), Xception(TINY).eval()
    save(model, tmp_path / "tiny.safetensors")
    load_pretrained(other, tmp_path / "tiny.safetensors")
    assert same(model, other)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(x), other(x))
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        save(model, tmp_path / "tiny.pth")


def test_torchvision_networks_keep_or_take_the_head(tmp_path: Path) -> None:
    config = presets.get("torchvision:resnet18").for_data(num_classes=5, in_channels=3, input_size=32)
    model = build(config)
    save(model, tmp_path / "resnet.safetensors")
    wider = build(config.replace(num_classes=9))
    head = part(wider, "fc").weight.detach().clone()
    assert "fc.weight is 5×512 in the file and 9×512" in refusal(tmp_path / "resnet.safetensors", wider)
    load_pretrained(wider, tmp_path / "resnet.safetensors", replace_head=True)
    assert torch.equal(part(wider, "fc").weight, head)
    wider.fc = model.fc
    assert same(wider, model)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s}])
def test_pth_files(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    model, other = trained(), Xception(TINY)
    torch.save(wrap(model.state_dict()), tmp_path / "tiny.pth")
    load_pretrained(other, tmp_path / "tiny.pth")
    assert same(model, other)


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "save_as", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))], ids=["torch", "pickle"]
)
def test_a_pickle_that_does_more_is_refused_and_not_run(tmp_path: Path, save_as: Callable[[Any, Path], None]) -> None:
    save_as({"weight": torch.ones(1), "extra": Malicious(tmp_path / "ran")}, tmp_path / "bad.pth")
    assert "is refused: it holds more than tensors" in refusal(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()


def test_wrong_files(tmp_path: Path) -> None:
    assert "is not allowed; a file that ends in .safetensors, .pth" in refusal(tmp_path / "weights.txt")
    assert "no file" in refusal(tmp_path / "none.safetensors")
    for name in ("a.safetensors", "a.pth", "a.h5", "a.weights.h5"):
        (tmp_path / name).write_bytes(b"not weights at all")
        assert "weights:" in refusal(tmp_path / name)
        (tmp_path / name).write_bytes(b"")
        assert "weights:" in refusal(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    assert "holds tensors by name" in refusal(tmp_path / "list.pth")
    save(trained(), tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "not a readable safetensors file" in refusal(tmp_path / "cut.safetensors")


def test_missing_unexpected_misshapen_and_not_finite_are_named(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    state = dict(trained().state_dict())
    name = "middle.1.branch.2.convolution.pointwise.weight"

    def refusal_of(changed: dict[str, Tensor]) -> str:
        save_file(changed, path)
        return refusal(path)

    assert refusal_of({k: v for k, v in state.items() if k != name}) == f"weights: {name} missing in the file"
    assert f"weights: {'extra.weight'} unexpected" in refusal_of({**state, "extra.weight": torch.ones(1)})
    assert f"{name} is 64×32×1×1 in the file and 64×64×1×1" in refusal_of({**state, name: torch.ones(64, 32, 1, 1)})
    assert f"{name} holds values that are not finite" in refusal_of(
        {**state, name: torch.full((64, 64, 1, 1), torch.nan)}
    )
    assert "replace_head=True" in refusal_of({k: v for k, v in state.items() if not k.startswith("head")})
    assert " and more (15 tensors) missing" in refusal_of({k: v for k, v in state.items() if "shortcut" not in k})


def test_the_head_is_replaced_only_on_request(tmp_path: Path) -> None:
    source = trained(TINY.replace(num_classes=100))
    save(source, tmp_path / "source.safetensors")
    model = Xception(TINY)
    head = part(model, "head.classifier").weight.detach().clone()
    assert "head.classifier.weight is 100×192 in the file and 10×192" in refusal(tmp_path / "source.safetensors", model)
    load_pretrained(model, tmp_path / "source.safetensors", replace_head=True)
    assert torch.equal(part(model, "head.classifier").weight, head)
    assert torch.equal(part(model, "stem.0.convolution").weight, part(source, "stem.0.convolution").weight)


LAYOUTS = {"timm_legacy": timm_legacy_name, "aligned41": timm_aligned_name, "keras": keras_name}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_name_has_one_counterpart(name: str) -> None:
    config = xception_preset(name)
    with torch.device("meta"):
        names = [n for n in Xception(config).state_dict() if not n.endswith("num_batches_tracked")]
    theirs = [LAYOUTS[name](n, config) for n in names]
    assert None not in theirs
    assert len(set(theirs)) == len(names)
    assert all(
        LAYOUTS[name](n, config) is None
        for n in ("other.weight", "entry.0.branch.0.other.weight", "exit.tail.0.other.weight")
    )


def test_a_public_head_is_replaced_on_request() -> None:
    config = xception_preset("timm_legacy").replace(width_multiplier=0.1)
    source = trained(config)
    theirs = {
        named: value
        for name, value in source.state_dict().items()
        if "num_batches" not in name and (named := timm_legacy_name(name, config)) is not None
    }
    assert len(theirs) == sum("num_batches" not in name for name in source.state_dict())
    model = Xception(config.replace(num_classes=4))
    with pytest.raises(ValueError, match=r"fc\.weight is 1000×205 in the file and 4×205"):
        convert(theirs, model)
    mapped = convert(theirs, model, replace_head=True)
    assert not any(name.startswith("head.") for name in mapped)
    assert torch.equal(mapped["exit.tail.1.norm.weight"], part(source, "exit.tail.1.norm").weight)
    without = {name: value for name, value in theirs.items() if not name.startswith("fc.")}
    assert set(convert(without, model, replace_head=True)) == set(mapped)


def keras_arrays(model: Xception) -> dict[str, list[np.ndarray]]:
    """A network's weights as Keras's layers hold them."""
    out: dict[str, dict[int, np.ndarray]] = {}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        named = keras_name(name, model.config)
        assert named is not None
        layer, _, position = named.partition("/")
        if name.endswith("depthwise.weight"):
            value = value.permute(2, 3, 0, 1)
        elif value.ndim == 4:
            value = value.permute(2, 3, 1, 0)
        elif value.ndim == 2:
            value = value.T
        out.setdefault(layer, {})[int(position)] = value.numpy()
    return {layer: [arrays[i] for i in sorted(arrays)] for layer, arrays in out.items()}


def write_keras_2(path: Path, model: Xception, *, with_head: bool = True) -> None:
    """A weights file as Keras 2 wrote it: layers by name in the root, unnamed ones numbered from anywhere."""
    kinds = {"residual": "conv2d_{}", "bn": "batch_normalization_{}"}
    with h5py.File(path, "w") as file:
        names = []
        for layer, arrays in keras_arrays(model).items():
            if layer == "predictions" and not with_head:
                continue
            name = layer
            if layer.startswith("residual"):
                number = int(layer.removeprefix("residual").removesuffix("_bn"))
                name = kinds["bn" if layer.endswith("_bn") else "residual"].format(number + 4)
            names.append(name.encode())
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/weight_{i}:0".encode() for i in range(len(arrays))]
            for i, array in enumerate(arrays):
                group[f"{name}/weight_{i}:0"] = array
        file.attrs["layer_names"] = names


@pytest.fixture(scope="module")
def narrow() -> XceptionConfig:
    """Keras's network, narrow."""
    return xception_preset("keras").replace(width_multiplier=0.05, num_classes=7)


def test_keras_2_files(tmp_path: Path, narrow: XceptionConfig) -> None:
    model, other = trained(narrow), Xception(narrow)
    write_keras_2(tmp_path / "tf_kernels.h5", model)
    load_pretrained(other, tmp_path / "tf_kernels.h5")
    assert same(model, other)


def test_keras_files_without_top(tmp_path: Path, narrow: XceptionConfig) -> None:
    model, other = trained(narrow), Xception(narrow.replace(num_classes=3))
    write_keras_2(tmp_path / "notop.h5", model, with_head=False)
    assert "predictions/0, predictions/1 (2 tensors) missing in the file; replace_head=True" in refusal(
        tmp_path / "notop.h5", other
    )
    load_pretrained(other, tmp_path / "notop.h5", replace_head=True)
    assert torch.equal(
        part(other, "exit.tail.0.convolution").depthwise.weight, part(model, "exit.tail.0.convolution").depthwise.weight
    )


def test_keras_3_files(tmp_path: Path, narrow: XceptionConfig) -> None:
    model, other = trained(narrow), Xception(narrow)
    arrays = keras_arrays(model)
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        for kind, layers in keras_layers(narrow).items():
            for number, layer in enumerate(layers):
                for i, array in enumerate(arrays[layer]):
                    file[f"layers/{kind}{f'_{number}' if number else ''}/vars/{i}"] = array
    load_pretrained(other, tmp_path / "a.weights.h5")
    assert same(model, other)
    with h5py.File(tmp_path / "a.weights.h5", "a") as file:
        del file["layers/separable_conv2d_3/vars/1"]
        file["layers/dense_1/vars/0"] = np.ones(3)
    assert "block3_sepconv2/1 missing" in refusal(tmp_path / "a.weights.h5", Xception(narrow))


def test_other_hdf5_files(tmp_path: Path, narrow: XceptionConfig) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.ones(3)
    assert "one that Keras wrote" in refusal(tmp_path / "other.h5", Xception(narrow))
    config = presets.get("torchvision:resnet18").replace(num_classes=2)
    assert "Keras files are for networks of ours" in refusal(tmp_path / "other.h5", build(config))


def test_the_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    assert "cannot be downloaded: Network is unreachable" in refusal("xception41.tf_in1k")
    assert "one of legacy_xception.tf_in1k" in refusal("xception41.unknown")


def test_files_hold_the_tensors_under_our_names(tmp_path: Path) -> None:
    model = trained()
    save(model, tmp_path / "tiny.safetensors")
    assert set(load_file(tmp_path / "tiny.safetensors")) == set(model.state_dict())


def cadene(model: Xception) -> dict[str, Tensor]:
    """A network's weights under the names of timm's legacy layout."""
    names = {name: timm_legacy_name(name, model.config) for name in model.state_dict()}
    return {str(names[name]): value for name, value in model.state_dict().items() if "num_batches" not in name}


@pytest.fixture(scope="module")
def legacy() -> tuple[Xception, dict[str, Tensor]]:
    model = trained(xception_preset("timm_legacy").replace(num_classes=5, width_multiplier=0.125))
    return model, cadene(model)


FORMS: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "Cadene": (
        lambda w: {name.replace("fc.", "last_linear."): value for name, value in w.items()},
        "'last_linear' of Cadene's port read as 'fc'",
    ),
    "DataParallel": (
        lambda w: {f"module.{name}": value for name, value in w.items()},
        "prefix 'module.' of DataParallel removed",
    ),
    "nested": (lambda w: {"epoch": 3, "state_dict": {"model": w}}, "weights under 'state_dict'; weights under 'model'"),
    "ema": (lambda w: {"ema": w}, "weights under 'ema'"),
    "2-D": (
        lambda w: {name: v[:, :, 0, 0] if name.endswith("pointwise.weight") else v for name, v in w.items()},
        "2-D pointwise kernels given two dimensions of 1",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_as_people_have_them(legacy: tuple[Xception, dict[str, Tensor]], tmp_path: Path, form: str) -> None:
    model, weights = legacy
    change, rule = FORMS[form]
    torch.save(change(weights), tmp_path / "w.pth")
    other = Xception(model.config)
    done = load_pretrained(other, tmp_path / "w.pth")
    assert same(model, other)
    assert str(done) == f"{len(weights)} tensors in the layout of timm's legacy_xception; {rule}"


def test_half_precision_is_named(legacy: tuple[Xception, dict[str, Tensor]], tmp_path: Path) -> None:
    model, weights = legacy
    save_file({name: value.half().contiguous() for name, value in weights.items()}, tmp_path / "w.safetensors")
    other = Xception(model.config)
    assert load_pretrained(other, tmp_path / "w.safetensors").rules == ("float16 made float32",)
    for value, expected in zip(other.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-3)


def test_several_nests_are_asked_about(legacy: tuple[Xception, dict[str, Tensor]], tmp_path: Path) -> None:
    model, weights = legacy
    zeros = {name: torch.zeros_like(value) for name, value in weights.items()}
    torch.save({"state_dict": zeros, "state_dict_ema": weights}, tmp_path / "w.pth")
    other = Xception(model.config)
    assert refusal(tmp_path / "w.pth", other).endswith("state_dict and state_dict_ema; say which with nested=NAME")
    assert load_pretrained(other, tmp_path / "w.pth", nested="state_dict_ema").rules == (
        "weights under 'state_dict_ema'",
    )
    assert same(model, other)


@pytest.mark.parametrize(("channels", "done"), [(1, "summed"), (4, "repeated")])
def test_other_input_channels_and_classes_say_what_was_done(
    legacy: tuple[Xception, dict[str, Tensor]], tmp_path: Path, channels: int, done: str
) -> None:
    model, weights = legacy
    torch.save(weights, tmp_path / "w.pth")
    other = Xception(model.config.replace(in_channels=channels, num_classes=7))
    assert "adapt_input=True sums or repeats" in refusal(tmp_path / "w.pth", other, replace_head=True)
    rules = load_pretrained(other, tmp_path / "w.pth", replace_head=True, adapt_input=True).rules
    assert rules == ("the network's own head kept", f"conv1.weight {done} from 3 to {channels} input channels")
    kernel, theirs = (part(m, "stem.0.convolution").weight for m in (other, model))
    torch.testing.assert_close(kernel.sum(1), theirs.sum(1) if channels == 1 else kernel.sum(1))


def test_loading_is_offered_by_the_package() -> None:
    import xception

    assert xception.load_pretrained is load_pretrained
