"""The feature maps of segmentation-models-pytorch's Xception encoder, from the same weights, in float64."""

from __future__ import annotations

import torch
from segmentation_models_pytorch.encoders import get_encoder

from benchmarks.peers import draw, images, relative_error, settle_norms, spread
from tests.networks import xception_preset
from xception.network.key_maps import timm_legacy_name
from xception.network.model import Xception

# Their encoder pads the stem, so that each map has half the side of the previous one.
CONFIG = xception_preset("timm_legacy").replace_at("stem.kind", "aligned")
MAPS = ("stem", "entry.0", "entry.1", "middle")


def test_same_feature_maps() -> None:
    theirs = get_encoder("xception", weights=None)
    draw(theirs)
    settle_norms(theirs, images(64))
    ours = Xception(CONFIG).double().eval()
    weights, names = theirs.state_dict(), [name for name in ours.state_dict() if not name.startswith("head.")]
    ours.load_state_dict({name: weights[str(timm_legacy_name(name, CONFIG))] for name in names}, strict=False)
    for size in (64, 96):
        x = images(size)
        with torch.inference_mode():
            expected, found = theirs(x), ours.forward_features(x)
            before_activation = ours.exit(found["middle"].map)
        for theirs_map, name in zip(expected[1:5], MAPS, strict=True):
            assert spread(theirs_map) > 0.05, name
            assert relative_error(found[name].map, theirs_map) <= 1e-9, name
        assert relative_error(torch.relu(before_activation), torch.relu(expected[5])) <= 1e-9
    plain = Xception(xception_preset("timm_legacy")).double().eval()
    plain.load_state_dict(ours.state_dict())
    with torch.inference_mode():  # a negative control: the stem without padding
        assert plain.forward_features(x)["stem"].map.shape != expected[1].shape
