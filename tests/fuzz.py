"""Hostile input by properties: for any bytes, the result is a value or a clean error in one line.

python -m tests.fuzz [--inputs 100000]

A tenth of the inputs are drawn by Hypothesis, which finds the smallest one that fails; the rest are valid files with
bytes replaced, removed or inserted at random, which is fast. The short form is `tests/test_fuzz.py`.

One module, since a target is a few lines, and all are listed in one table.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

Check = Callable[[bytes], None]
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=20,
)


def clean(action: Callable[[], Any], *kinds: type[Exception]) -> None:
    """Run an action that may raise one of the errors meant for users, in one line."""
    try:
        action()
    except Exception as error:
        if not isinstance(error, (*kinds, ValueError)):
            raise
        if "\n" in str(error):
            raise AssertionError(f"more than one line: {error}") from None


def damaged(good: bytes) -> st.SearchStrategy[bytes]:
    """A valid file with some bytes replaced, removed or inserted; or random bytes."""
    place = st.integers(0, max(len(good) - 1, 0))
    edits = st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=6)

    def edit(changes: list[tuple[int, int]], end: int, extra: bytes) -> bytes:
        content = bytearray(good)
        for at, value in changes:
            content[at] = value
        return bytes(content[: end + 1]) + extra

    whole = st.builds(lambda changes: edit(changes, len(good), b""), edits)
    cut = st.builds(edit, edits, place, st.binary(max_size=20))
    return whole | cut | st.binary(max_size=200)


# Configs and trials


def config_files() -> list[bytes]:
    from tests.trials import small_trial

    return [small_trial(0).to_json().encode()]


def config_inputs() -> st.SearchStrategy[bytes]:
    plain = json.loads(config_files()[0])
    paths = list(_paths(plain))

    def replaced(path: tuple[str, ...], value: Any) -> bytes:
        copy = json.loads(json.dumps(plain))
        place = copy
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        return json.dumps(copy).encode()

    texts = st.builds(replaced, st.sampled_from(paths), _JSON | st.integers(-(10**30), 10**30) | st.floats())
    return texts | damaged(json.dumps(plain).encode()) | st.builds(lambda v: json.dumps(v).encode(), _JSON)


def _paths(plain: Any, path: tuple[str, ...] = ()) -> Any:
    for name, value in plain.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from _paths(value, (*path, name))


def check_config(content: bytes) -> None:
    from ablations.design.trial import read_trial

    def read() -> None:
        trial = read_trial(content)  # type: ignore[arg-type]
        assert read_trial(trial.to_json()) == trial

    clean(read)


# Records and exported files


def record_files() -> list[bytes]:
    from ablations.records.record import record_to_plain
    from tests.faults.stores import record

    return [json.dumps(record_to_plain(record(0))).encode()]


def check_record(content: bytes) -> None:
    from ablations.records.record import record_from_plain

    try:
        plain = json.loads(content)
    except (ValueError, RecursionError):
        return
    clean(lambda: record_from_plain(plain))


# Command lines


_OPTIONS = [
    *(
        "--study",
        "--scale",
        "--seeds",
        "--epochs",
        "--dataset",
        "--match",
        "--tune",
        "--device",
        "--workers",
        "--threads",
        "--store",
    ),
    *(
        "--json",
        "--list",
        "--report",
        "--dry-run",
        "--executor",
        "--preset",
        "--trial-timeout",
        "smoke",
        "auto",
        "residuals",
        "-1",
        "0",
    ),
    *("1e9", "cuda:9", "--study=../../etc/passwd", "--out=/dev/null/x", "--no-such-option", "--", "-h"),
]
_WORDS = st.sampled_from(_OPTIONS) | st.text(max_size=12)


def command_files() -> list[bytes]:
    return []  # words are not damaged, but drawn


def command_inputs() -> st.SearchStrategy[bytes]:
    return st.builds(lambda words: json.dumps(words).encode(), st.lists(_WORDS, max_size=6))


def check_command(content: bytes) -> None:
    """Wrong use must end with status 2 and one line; correct use is not carried out here."""
    import contextlib

    import run_ablation
    from ablations.design.options import Options, selected
    from xception.base.command_line import parse

    words = json.loads(content)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        try:
            arguments = parse(run_ablation.Arguments, words, prog="run_ablation.py", description="")
            clean(lambda: selected(Options, arguments))
        except SystemExit as end:
            if end.code not in (0, 2) or (end.code == 2 and err.getvalue().count("\n") != 1):
                raise AssertionError(f"status {end.code}: {err.getvalue()}") from None


# Parquet, images, checkpoints, pickles of CIFAR


def parquet_files() -> list[bytes]:
    """Plain numbers, classes described by the schema, text, and rows without bytes."""
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": _image(i), "path": f"{i}.png"} for i in range(4)]
    features = {"photo": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": ["ant", "bee"]}}
    described = pa.table({"photo": pa.array(cells, image_type), "kind": [0, 1, 0, 1]})
    described = described.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    paths = [{"bytes": None, "path": f"{i}.png"} for i in range(4)]
    tables = [
        pa.table({"image": pa.array(cells, image_type), "label": [0, 1, 0, 1]}),
        described,
        pa.table({"image": [cell["bytes"] for cell in cells], "label": ["ant", "bee", "ant", "bee"]}),
        pa.table({"image": pa.array(paths, image_type), "label": [True, False, True, False]}),
    ]
    out = []
    for table in tables:
        file = io.BytesIO()
        pq.write_table(table, file)
        out.append(file.getvalue())
    return out


def check_parquet(content: bytes) -> None:
    from xception.data import find

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for name in ("train", "test"):
            Path(folder, f"{name}-00000-of-00001.parquet").write_bytes(content)
        clean(lambda: find(f"parquet:{folder}", None))
        clean(lambda: find(f"parquet:{folder}/test-00000-of-00001.parquet", None))


def annotation_files() -> list[bytes]:
    return [b"a.png\tant\t0\t0\t7\t7\nb.png\tbee\t0\t0\t7\t7\n"]


def check_annotations(content: bytes) -> None:
    """Tiny ImageNet's file with two images, whose folder has the name in the content."""
    from xception.data import find
    from xception.data.layout import Layout

    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        for place in ("train/ant", "train/bee", "val/images"):
            (folder / place).mkdir(parents=True)
            for number, file in enumerate(("a.png", "b.png")):
                (folder / place / file).write_bytes(_image(number))
        (folder / "val" / "val_annotations.txt").write_bytes(content)
        clean(lambda: find(f"folder:{folder}", None))
        text = content.decode("latin1")
        clean(lambda: find(f"folder:{folder}", None, Layout(splits=Layout.parse_splits(text))))


def _image(seed: int, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(out, kind)
    return out.getvalue()


def image_files() -> list[bytes]:
    """Images of every format, rotated ones, and ones of 16 bits per pixel."""
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray((np.arange(64).reshape(8, 8) * 60).astype(np.uint16))
    more = []
    for image, kind, options in (
        (Image.new("RGB", (8, 6)), "JPEG", {"exif": exif.tobytes()}),
        (Image.new("RGB", (8, 6)), "PNG", {"exif": exif.tobytes()}),
        (deep, "PNG", {}),
        (deep, "TIFF", {}),
    ):
        out = io.BytesIO()
        image.save(out, kind, **options)
        more.append(out.getvalue())
    return [_image(0, kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")] + more


def check_image(content: bytes) -> None:
    from xception.data.images import BrokenImageError, Pixels, decode, is_turned, measure_depth, quiet

    with quiet():
        clean(lambda: decode(content, 8), BrokenImageError)
        clean(lambda: decode(content, 8, Pixels(channels=1, upright=True, deep_bits=12)), BrokenImageError)
        clean(lambda: is_turned(content))
        clean(lambda: measure_depth(content))


def checkpoint_files() -> list[bytes]:
    import safetensors.torch
    import torch

    state = {"format": 1, "training": {}, "epoch": 1}
    return [safetensors.torch.save({"a": torch.zeros(3), "b": torch.ones(2, 2)}, metadata={"state": json.dumps(state)})]


def check_checkpoint(content: bytes) -> None:
    """A checkpoint with a valid hash, as an attacker would write it."""
    from xception.train.checkpoint import Checkpoint, parsed

    name = f"step-{1:012d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    found = parsed(Path(name), content)
    assert isinstance(found, Checkpoint) or "\n" not in found


def pickle_files() -> list[bytes]:
    import pickle

    return [pickle.dumps({b"data": np.zeros((2, 12), np.uint8), b"labels": [0, 1]}, protocol=2)]


def check_pickle(content: bytes) -> None:
    from xception.data.cifar import read_pickle

    clean(lambda: read_pickle(content, "file"))


@dataclass(frozen=True)
class Target:
    """Valid files to damage, the check of the promise, the share of all inputs, and inputs of another kind."""

    files: Callable[[], list[bytes]]
    check: Check
    share: float
    drawn: Callable[[], st.SearchStrategy[bytes]] | None = None


TARGETS = {
    "config JSON": Target(config_files, check_config, 0.20, config_inputs),
    "records": Target(record_files, check_record, 0.14),
    "command lines": Target(command_files, check_command, 0.02, command_inputs),
    "Parquet": Target(parquet_files, check_parquet, 0.08),
    "annotations": Target(annotation_files, check_annotations, 0.02),
    "images": Target(image_files, check_image, 0.18),
    "checkpoints": Target(checkpoint_files, check_checkpoint, 0.18),
    "CIFAR pickles": Target(pickle_files, check_pickle, 0.18),
}


def fuzz(name: str, num_inputs: int, drawn_share: float = 0.1) -> int:
    """Try a number of inputs on a target; return how many were tried. An error that is not clean is raised."""
    target = TARGETS[name]
    files = target.files()
    num_drawn = math.ceil(num_inputs * drawn_share) if files else num_inputs
    num = 0

    @settings(
        max_examples=num_drawn, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(target.drawn() if target.drawn else st.one_of([damaged(good) for good in files]))
    def run(content: bytes) -> None:
        nonlocal num
        num += 1
        target.check(content)

    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="invalid .*escape sequence", category=DeprecationWarning
        )  # of pickle's own readers
        run()
        rng = random.Random(0)
        while files and num < num_inputs:
            content = randomly_damaged(rng.choice(files), rng)
            num += 1
            try:
                target.check(content)
            except Exception:
                print(f"{name}: {content!r}", file=sys.stderr)
                raise
    return num


def randomly_damaged(good: bytes, rng: random.Random) -> bytes:
    """A valid file with up to six bytes replaced, sometimes truncated or with bytes inserted."""
    content = bytearray(good)
    for _ in range(rng.randint(1, 6)):
        content[rng.randrange(len(content))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    place = rng.randrange(len(content))
    match rng.randrange(4):
        case 0:
            return bytes(content[:place])
        case 1:
            return bytes(content[:place] + rng.randbytes(rng.randint(1, 20)) + content[place:])
        case _:
            return bytes(content)


def main() -> int:
    """Try all targets and print the number of inputs of each; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Hostile input by properties.")
    parser.add_argument("--inputs", type=int, default=100_000, help="over all targets")
    parser.add_argument("--only", default="", help="targets whose name holds these words")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        os.environ["XCEPTION_CACHE"] = folder
        total = 0
        for name, target in TARGETS.items():
            if options.only in name:
                began = time.monotonic()
                num = fuzz(name, math.ceil(options.inputs * target.share))
                total += num
                print(
                    f"{name:<16} {num:>8} inputs, {time.monotonic() - began:6.1f} s: values or clean errors", flush=True
                )
    print(f"{total} inputs, nothing but values and clean errors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
