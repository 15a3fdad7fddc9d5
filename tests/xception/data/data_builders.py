"""Tiny data sets in every layout, for the tests of data."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from xception.data import Source
from xception.data.cifar import CIFAR10, CifarLayout

NAMES = ("ant", "bee", "cat")


def pixels(num: int, seed: int = 0, size: tuple[int, int] = (32, 32)) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Random images (num, H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (num, *size, 3), dtype=np.uint8)


def encoded(image: np.ndarray[Any, np.dtype[np.uint8]], kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, **options)
    return out.getvalue()


def examples(num: int, seed: int = 0, kind: str = "PNG", size: tuple[int, int] = (32, 32)) -> list[tuple[bytes, int]]:
    """Encoded images and labels, sorted by label as in folders."""
    return sorted(
        ((encoded(image, kind), i % len(NAMES)) for i, image in enumerate(pixels(num, seed, size))), key=lambda e: e[1]
    )


def write_parquet(
    path: Path, rows: list[tuple[Any, Any]], *, image: str = "image", label: str = "label", names: Any = NAMES
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [None if content is None else {"bytes": content, "path": f"{i}.png"} for i, (content, _) in enumerate(rows)]
    metadata = None
    if names is not None:
        features = {image: {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([(image, image_type), (label, pa.int64())], metadata=metadata)
    pq.write_table(
        pa.table([pa.array(cells, image_type), pa.array([y for _, y in rows], pa.int64())], schema=schema), path
    )
    return path


def parquet_folder(path: Path, num_train: int = 12, num_test: int = 6, kind: str = "PNG", **options: Any) -> Path:
    write_parquet(path / "train-00000-of-00001.parquet", examples(num_train, 0, kind), **options)
    write_parquet(path / "test-00000-of-00001.parquet", examples(num_test, 1, kind), **options)
    return path


def image_folder(path: Path, num_train: int = 12, num_test: int = 6, test: str = "test") -> Path:
    for split, rows in (("train", examples(num_train, 0)), (test, examples(num_test, 1))):
        for i, (content, label) in enumerate(rows):
            file = path / split / NAMES[label] / f"{i:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return path


def decoded_checksum(source: Source) -> str:
    """Decode a source and return the checksum of its training images; imports no torch."""
    from xception.data.decoded import decoded

    return str(decoded(source, 32)[1]["files"]["train-images"][1])


# The real layout, with arbitrary content.
TINY_CIFAR: CifarLayout = dataclasses.replace(
    CIFAR10,
    train=tuple((name, None) for name, _ in CIFAR10.train),
    test=(("test_batch", None),),
    meta=("batches.meta", None),
)


def cifar_files(path: Path, per_file: int = 4, protocol: int = 2, as_text: bool = False) -> Path:
    """The files of CIFAR-10, small; `as_text`: keys and pixels written as Python 2 wrote them."""
    folder = path / "cifar-10-batches-py"
    folder.mkdir(parents=True, exist_ok=True)
    for i, (name, _) in enumerate((*TINY_CIFAR.train, *TINY_CIFAR.test)):
        data = pixels(per_file, i).transpose(0, 3, 1, 2).reshape(per_file, -1)
        content = {
            "batch_label": name,
            "labels": [(2 * i + j) % 10 for j in range(per_file)],
            "data": np.ascontiguousarray(data),
        }
        raw = python2_pickle(content) if as_text else pickle.dumps(content, protocol=protocol)
        (folder / name).write_bytes(raw)
    (folder / "batches.meta").write_bytes(
        pickle.dumps({"label_names": [f"class {i}" for i in range(10)]}, protocol=protocol)
    )
    return folder


def python2_pickle(content: dict[str, Any]) -> bytes:
    """The bytes that Python 2 wrote for such a dict at protocol 2: texts as byte strings (opcodes U and T), the old
    path of numpy.
    """

    def text(value: bytes) -> bytes:
        return (
            b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + len(value).to_bytes(4, "little") + value
        )

    def whole(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    data = content["data"]
    shape = whole(data.shape[0]) + whole(data.shape[1]) + b"\x86"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n"
        + b"cnumpy\nndarray\n"
        + whole(0)
        + b"\x85"
        + text(b"b")
        + b"\x87R"
        + b"("
        + whole(1)
        + shape
        + b"cnumpy\ndtype\n"
        + text(b"u1")
        + whole(0)
        + whole(1)
        + b"\x87R"
        + b"("
        + whole(3)
        + text(b"|")
        + b"NNN"
        + whole(-1)
        + whole(-1)
        + whole(0)
        + b"tb"
        + b"\x89"
        + text(data.tobytes())
        + b"tb"
    )
    labels = b"](" + b"".join(whole(n) for n in content["labels"]) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + labels + text(b"batch_label") + text(b"x") + b"u."
