"""Pickles are read without running anything in them."""

from __future__ import annotations

import builtins
import functools
import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimo_sim.datasets._pickles import read_pickle, text_of

TREE = {
    "array": np.arange(12, dtype=">f4").reshape(3, 4),
    "fortran": np.asfortranarray(np.ones((2, 3))),
    "words": np.array([[b"video", b"0.5"]]),
    "objects": np.array([np.ones(2), "é", None], dtype=object),
    "number": np.float64(3),
    "ordered": OrderedDict(a=[1, 2.5, (True, {4})]),
}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and one.dtype != object:
        return bool(np.array_equal(one, other)) and one.dtype.kind == other.dtype.kind
    if isinstance(one, np.ndarray | list | tuple):
        pairs = zip(one, other, strict=True)
        return type(one) is type(other) and all(same(a, b) for a, b in pairs)
    if isinstance(one, dict):
        return type(one) is type(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_are_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(TREE, protocol))
    found = read_pickle(path)
    assert found.keys() == TREE.keys()
    assert all(same(TREE[key], found[key]) for key in TREE)


def test_pickles_of_numpy_1_and_of_python_2_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    new = pickle.dumps({"x": np.arange(3), "y": np.float32(2)}, 2)
    assert b"numpy._core.multiarray" in new
    path.write_bytes(new.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert read_pickle(path)["x"].tolist() == [0, 1, 2]
    # Python 2 writes text as bytes: the array's numbers, and a name with é in latin-1
    old = (
        b"\x80\x02}q\x00U\x04caf\xe9cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"K\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02i2K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\x01\x00\xff\xfftbs."
    )
    path.write_bytes(old)
    assert read_pickle(path)["café"].tolist() == [1, -1]
    assert text_of(b"v1") == text_of("v1") == "v1"


class Calls:
    """What is pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {}",), "system"),
        (builtins.eval, ("open('{}', 'w')",), "eval"),
        (getattr, (os, "remove"), "getattr"),
        (subprocess.Popen, (["touch", "{}"],), "Popen"),
        (np.load, ("{}",), "load"),
        (functools.partial, (print,), "partial"),
        (np.zeros(1).tofile, ("{}",), "getattr"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_everything_else_is_refused_by_name(
    tmp_path: Path, function: Any, arguments: tuple[Any, ...], name: str, protocol: int
) -> None:
    mark, path = tmp_path / "mark", tmp_path / "bad.pkl"
    filled = [
        each.format(mark)
        if isinstance(each, str)
        else [w.format(mark) for w in each]
        if isinstance(each, list)
        else each
        for each in arguments
    ]
    filled = ["os" if each is os else each for each in filled]
    path.write_bytes(pickle.dumps({"x": [np.ones(2), Calls(function, *filled)]}, protocol))
    with pytest.raises(ValueError, match=rf"bad\.pkl must be a pickle of .*asks for \S+\.{name}\."):
        read_pickle(path)
    assert not mark.exists()


def test_a_cut_pickle_and_other_bytes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    whole = pickle.dumps(TREE)
    for content in (whole[:60], whole[:-1], b"", b"PK\x03\x04zip", b"version https://git-lfs"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.pkl is damaged or no pickle"):
            read_pickle(path)
    with pytest.raises(FileNotFoundError):
        read_pickle(tmp_path / "b.pkl")
