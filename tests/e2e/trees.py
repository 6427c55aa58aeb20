"""Trees of files that clients carry to a bucket and back."""
import hashlib
import os
import pathlib
import random


def make_tree(top, count, largest, seed=1):
    """count files below top: sizes from 0 bytes to one of `largest`, names that need care, some folders deep."""
    rng = random.Random(seed)
    folders = ["", "a/", "a/b/", "with space/", "ünïcode/", "q&a=1/", "plus+percent%/", "deep/er/and/er/"]
    pool = rng.randbytes(1 << 20)
    for i in range(count):
        size = (largest if i == 0 else 0 if i % 29 == 1 else rng.randrange(1_000_000, largest // 3) if i % 100 == 99
                else rng.randrange(100_000, 900_000) if i % 25 == 0 else int(10 ** rng.uniform(0, 4.6)))
        name = f"{folders[i % len(folders)]}{rng.choice(['file', 'ä b', 'x(1)', '#h', 'semi;colon'])}-{i:04}.{rng.choice(['txt', 'bin', 'jpg'])}"
        path = pathlib.Path(top, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as f:
            left = size
            while left:
                at = rng.randrange(len(pool) // 2)
                f.write(pool[at:at + min(left, len(pool) // 2)])
                left -= min(left, len(pool) // 2, len(pool) - at)
        os.utime(path, (1_700_000_000 + i, 1_700_000_000 + i))
    return top


def digests(top):
    """{relative name: MD5} of all files below top."""
    found = {}
    for path in pathlib.Path(top).rglob("*"):
        if path.is_file():
            with open(path, "rb") as f:
                found[path.relative_to(top).as_posix()] = hashlib.file_digest(f, "md5").hexdigest()
    return found
