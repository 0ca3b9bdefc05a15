"""Files that somebody made in order to harm, for `tests.fuzz`: what they would do leaves a mark at the path `evil`.

Every one must be refused, but for those whose name ends in "?": harmless oddities that may be read.
"""

import io
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from functools import cache

import numpy as np

KINDS = ("pickle", "npz", "mat", "hdf5", "yaml", "json", "zip", "tar", "cdf", "calibration")
MANY = 120  # members; the fuzzer allows 100
BOMB = bytes(80 << 20)


class Evil:
    """Its pickle runs a command."""

    def __init__(self, evil: str):
        self.evil = evil

    def __reduce__(self):
        return os.system, (f"touch {self.evil}",)


@cache
def hostile(kind: str, evil: str) -> dict[str, bytes]:
    """Name to contents of the hostile files of a kind; the first few are for every kind."""
    found = {
        "empty": b"",
        "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
        "git annex": b"/annex/objects/SHA256E-s12345--" + b"0" * 64 + b".mat\n",
        "zeros": bytes(5000),
        "deep [": b"[" * 100_000,
        "deep {": b'{"a":' * 100_000,
        "a web page": b"<!DOCTYPE html><html><body>Please log in</body></html>",
    }
    more = {
        "pickle": pickles,
        "npz": npz,
        "mat": mat,
        "hdf5": hdf5,
        "yaml": yaml,
        "json": json,
        "zip": zips,
        "tar": tars,
    }
    return found | (more[kind](evil) if kind in more else {})


def json(_: str) -> dict[str, bytes]:
    return {
        "4,000 digits": b'{"images": [{"id": ' + b"9" * 4000 + b', "annotations": []}]}',
        "100,000 digits": b'[{"image_id": ' + b"9" * 100_000 + b"}]",
        "NaN": b'{"images": [NaN], "annotations": [Infinity], "bodies": [NaN], "cameras": [-Infinity]}',
        "a key twice": b'{"images": [], "images": [{}], "annotations": 1, "annotations": [{}], "bodies": 1}',
        "half a surrogate": b'[["\\ud800", "\\ud800"]]',
        "UTF-16": '{"images": [{"id": 1}]}'.encode("utf-16"),
        "deep in a record": b'{"images": [{"id":' + b"[" * 3000 + b"]" * 3000 + b"}]}",
    }


def pickles(evil: str) -> dict[str, bytes]:
    twice = b"\x80\x02]q\x00" + b"".join(b"(h%ch%cleq%c" % (i, i, i + 1) for i in range(28)).replace(b"le", b"l") + b"."
    return {
        "os.system": b"cos\nsystem\n(S'touch " + evil.encode() + b"'\ntR.",
        "os.system within": pickle.dumps({"cam_poses": Evil(evil)}, 2),
        "os.system, protocol 5": pickle.dumps([Evil(evil)], 5),
        "eval": b"cbuiltins\neval\n(S'open(\"" + evil.encode() + b'", "w")\'\ntR.',
        "getattr": b"cbuiltins\ngetattr\n(cos\nS'system'\ntR.",
        "numpy's own": b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR.",
        "runstring": b"cnumpy.testing._private.utils\nrunstring\n(S'import os'\n}tR.",
        "INST": b"(S'touch " + evil.encode() + b"'\nios\nsystem\n.",
        "persistent": b"Pevil\n.",
        "extension": b"\x80\x02\x82\x01.",
        "2 GB number": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "exabytes": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
        "a long number": b"L" + b"9" * 100_000 + b"L\n.",
        "laughs": twice,
        "deep": b"]" * 100_000 + b"a" * 99_999 + b".",
        "a key of keys": b"\x80\x02}" + b")" + b"\x85" * 50_000 + b"K\x01s.",
        "itself": b"\x80\x02]q\x00h\x00a.",
        "no stop": b"\x80\x02]",
        "memo": b"\x80\x02]r\xff\xff\xff\x7fj\xff\xff\xff\x7e.",
    }


def _zip(members: list[tuple[str, bytes]], mode: int = 0, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as file:
        for name, data in members:
            info = zipfile.ZipInfo("x")
            info.filename, info.external_attr, info.compress_type = name, mode << 16, how
            file.writestr(info, data)
    return out.getvalue()


def _npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npz(evil: str) -> dict[str, bytes]:
    objects = io.BytesIO()
    np.save(objects, np.array([Evil(evil)], object), allow_pickle=True)
    members = {
        "objects": objects.getvalue(),
        "a huge shape": _npy("<f8", f"({2**40},)"),
        "a huge item": _npy("<U500000000", "(1,)", bytes(100)),
        "a negative shape": _npy("<f8", "(-1, 17, 3)", bytes(80)),
        "a call": _npy("<f8", "(__import__('os').system('touch " + evil + "'),)"),
        "a bomb": _npy("<U1000", "(20000,)", BOMB[:80_000_000]),
        "version 3": b"\x93NUMPY\x03\x00" + bytes(100),
    }
    found = {what: _zip([(f"{name}.npy", data) for name in ("imgname", "part", "S")]) for what, data in members.items()}
    one = _zip([("imgname.npy", _npy("<f8", "(1,)", bytes(8)))])
    return found | {"cut": one[:-30], "nothing": _zip([]), "bzip2": _zip([("S.npy", bytes(9))], how=zipfile.ZIP_BZIP2)}


def mat(_: str) -> dict[str, bytes]:
    def element(kind: int, data: bytes) -> bytes:
        return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)

    def matrix(what: int, shape: tuple[int, ...], *rest: bytes, name: bytes = b"annotations") -> bytes:
        dims = element(5, struct.pack(f"<{len(shape)}i", *shape))
        return element(14, element(6, struct.pack("<II", what, 0)) + dims + element(1, name) + b"".join(rest))

    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    deep = b""
    for _ in range(500):
        deep = matrix(1, (1, 1), deep, name=b"")
    found = {
        "a huge matrix": matrix(6, (2**31 - 1, 2**31 - 1), element(9, bytes(8))),
        "a huge cell": matrix(1, (2**31 - 1, 1)),
        "a negative size": matrix(6, (-1, -8), element(9, bytes(64))),
        "a function": matrix(16, (1, 1), element(9, bytes(8))),
        "an object": matrix(17, (1, 1), element(1, b"MCOS"), element(1, b"FileWrapper__")),
        "sparse": matrix(5, (4, 4), element(5, bytes(16)), element(5, bytes(20)), element(9, bytes(32))),
        "deep cells": matrix(1, (1, 1), deep),
        "twice": 2 * matrix(6, (1, 1), element(9, bytes(8))),
        "a struct of no fields": matrix(2, (10**9, 1), element(5, struct.pack("<i", 32)), element(1, b"")),
    }
    found["a bomb"] = struct.pack("<II", 15, len(zlib.compress(BOMB))) + zlib.compress(BOMB)
    return {what: head + data for what, data in found.items()} | {"v4": bytes(20) + b"annotations\0" + bytes(800)}


def hdf5(evil: str) -> dict[str, bytes]:
    import h5py

    names = ("annot2", "annot3", "univ_annot3", "valid_frame", "activity_annotation")
    layout = h5py.VirtualLayout((6, 1), "f8")
    layout[:] = h5py.VirtualSource(evil, "valid_frame", (6, 1))
    ways = {
        "an external link": lambda file, name: file.__setitem__(name, h5py.ExternalLink(evil, "/" + name)),
        "a soft link": lambda file, name: file.__setitem__(name, h5py.SoftLink("/" + name + "2")),
        "a soft link to itself": lambda file, name: file.__setitem__(name, h5py.SoftLink("/" + name)),
        "external storage": lambda file, name: file.create_dataset(name, (6, 1), "f8", external=[(evil, 0, 48)]),
        "virtual": lambda file, name: file.create_virtual_dataset(name, layout),
        "a huge shape": lambda file, name: file.create_dataset(name, (2**40, 1, 17, 2), "f8", chunks=(64, 1, 17, 2)),
        "a large shape": lambda file, name: file.create_dataset(name, (10**6, 1, 17, 3), "f8", chunks=(64, 1, 17, 3)),
        "a bomb": lambda file, name: file.create_dataset(name, data=np.zeros((30_000, 1, 17, 3)), compression=9),
        "texts": lambda file, name: file.create_dataset(name, data=["x"], dtype=h5py.string_dtype()),
        "a group": lambda file, name: file.create_group(name),
        "a type": lambda file, name: file.__setitem__(name, np.dtype("f8")),
        "references": lambda file, name: file.create_dataset(name, (1, 1), dtype=h5py.ref_dtype),
        "compound": lambda file, name: file.create_dataset(name, (6, 1), dtype=[("x", "f8")]),
        "empty": lambda file, name: file.create_dataset(name, data=h5py.Empty("f8")),
        "scalar": lambda file, name: file.create_dataset(name, data=1.0),
    }
    found = {}
    for what, way in ways.items():
        out = io.BytesIO()
        with h5py.File(out, "w", userblock_size=512) as file:
            for name in names:
                way(file, name)
        found[f"hdf5: {what}"] = out.getvalue()
    return found


def yaml(evil: str) -> dict[str, bytes]:
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    texts = {
        "apply": f"!!python/object/apply:os.system ['touch {evil}']",
        "new": f"schema: !!python/object/new:os.system ['touch {evil}']",
        "name": "schema: !!python/name:os.system",
        "laughs": laughs,
        "merge": "a: &a {x: 1}\nb: {<<: *a}",
        "a set": "schema: mp3d.data_manifest/1\ndatasets: !!set {duet, jta}",
        "pairs": "schema: mp3d.data_manifest/1\ndatasets: !!pairs [duet: 1, duet: 2]",
        "an ordered map": "schema: mp3d.data_manifest/1\ndatasets: !!omap [duet: {}]",
        "binary": "schema: !!binary AAAA\ndatasets: !!binary AAAA",
        "a key twice": "schema: mp3d.data_manifest/1\ndatasets: []\ndatasets: []",
        "a list as key": "? [1, 2]\n: 3",
        "a map as key": "{{a: 1}: 2}",
        "many digits": "schema: " + "9" * 10_000,
        "sexagesimal": "schema: 1" + ":59" * 2_000,
        "a date": "schema: 2024-13-45",
        "two documents": "a: 1\n---\nb: 2",
        "tabs": "a:\n\t- 1",
        "numbers as keys": "1: 2\n.nan: 3\ndatasets: [{1: 2}]",
    }
    return {what: text.encode() for what, text in texts.items()}


def zips(evil: str) -> dict[str, bytes]:
    good, up = ("good.txt", b"good"), "../" * 16 + evil.lstrip("/")
    size = b"A" * 5000
    plain = _zip([("a.txt", size)])
    at = plain.index(b"PK\x01\x02")
    link = _zip([("link", evil.rpartition("/")[0].encode())], 0o120777)
    return {
        "..": _zip([good, (up, b"evil")]),
        "within": _zip([good, ("a/../../evil", b"evil")]),
        "absolute": _zip([good, (evil, b"evil")]),
        "backslash": _zip([good, ("..\\evil", b"evil")]),
        "drive": _zip([good, ("C:/evil", b"evil")]),
        "NUL": _zip([good, ("evil\0.txt", b"evil")]),
        "newline": _zip([good, ("evil\n.txt", b"evil")]),
        "link": link,
        "device": _zip([("null", b"")], 0o020666),
        "pipe": _zip([("pipe", b"")], 0o010666),
        "case": _zip([("A.txt", b"1"), ("a.txt", b"2")]),
        "composed": _zip([("\u00e9", b"1"), ("e\u0301", b"2")]),
        "twice": _zip([good, good]),
        "file and folder": _zip([("a", b"1"), ("a/b", b"2")]),
        "many": _zip([(f"{i}.txt", b"") for i in range(MANY)]),
        "bomb": _zip([("a.txt", BOMB)]),
        "bombs": _zip([(f"{i}.txt", BOMB[: 3 << 20]) for i in range(8)]),
        "smaller than said": plain[: at + 24] + struct.pack("<I", 6000) + plain[at + 28 :],
        "larger than said": plain[: at + 24] + struct.pack("<I", 10) + plain[at + 28 :],
        "encrypted": plain[: at + 8] + struct.pack("<H", 1) + plain[at + 10 :],
        "a long name": _zip([("a" * 2000, b"1")]),
        "deep?": _zip([("a/" * 400 + "b", b"1")]),
        "odd names?": _zip([("CON", b"1"), ("-rf", b"2"), ("\u202etxt.exe", b"3")]),
    }


def _tar(*members: tuple, end: bytes = bytes(1024), pax: dict[str, str] | None = None) -> bytes:
    out = []
    for name, data, *more in members:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        for key, value in (more[0] if more else {}).items():
            setattr(info, key, value)
        info.pax_headers = pax or {}
        out.append(info.tobuf(tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512))
    return b"".join(out) + end


def tars(evil: str) -> dict[str, bytes]:
    good, up, folder = ("good.txt", b"good"), "../" * 16 + evil.lstrip("/"), evil.rpartition("/")[0]
    kinds = {"a pipe": tarfile.FIFOTYPE, "a device": tarfile.CHRTYPE, "a disk": tarfile.BLKTYPE}
    links = {"a link": tarfile.SYMTYPE, "a hard link": tarfile.LNKTYPE}
    plain = {
        "..": _tar(good, (up, b"evil")),
        "absolute": _tar(good, (evil, b"evil")),
        "backslash": _tar(good, ("..\\evil", b"evil")),
        "case": _tar(("A", b"1"), ("a", b"2")),
        "twice": _tar(good, good),
        "file and folder": _tar(("a", b"1"), ("a/b", b"2")),
        "many": _tar(*((f"{i}.txt", b"") for i in range(MANY))),
        "bomb": _tar(("a.txt", BOMB)),
        "8 GiB, it says": _tar(("a.txt", b"1", {"size": 8 << 30})),
        "exabytes, it says": _tar(("a.txt", b"1", {"size": 1 << 62})),
        "a long name's size": _tar(("x", b"1", {"type": tarfile.GNUTYPE_LONGNAME, "size": 1 << 40})),
        "a header's size": _tar(("x", b"1", {"type": tarfile.XHDTYPE, "size": 1 << 40})),
        "another path": _tar(good, pax={"path": up}),
        "another size": _tar(good, pax={"size": str(1 << 50)}),
        "a negative size": _tar(good, pax={"size": "-1024"}),
        "sparse": _tar(good, pax={"GNU.sparse.map": "0,1,99999999999,1", "GNU.sparse.size": "99999999999"}),
        "sparse 1.0": _tar(good, pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": up}),
        "no end?": _tar(good, end=b""),
    }
    plain |= {what: _tar(("x", b"", {"type": kind, "devmajor": 1, "devminor": 3})) for what, kind in kinds.items()}
    for what, kind in links.items():
        plain[what] = _tar(("x", b"", {"type": kind, "linkname": evil}))
        plain[what + ", then through it"] = _tar(("x", b"", {"type": kind, "linkname": folder}), ("x/evil", b"evil"))
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    return plain | {"a packed bomb": bomb.compress(_tar(("a.txt", BOMB))) + bomb.flush()}
