#!/usr/bin/python3
"""The corpora as text, a line of hex an input: `corpus.py unpack FILE FOLDER`, `corpus.py pack FOLDER FILE`.

What is packed stays small: the shortest inputs first, at most LINES of them and LONGEST bytes each."""
import hashlib
import pathlib
import sys

LINES, LONGEST = 150, 2048


def unpack(file, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for line in file.read_text().split():
        data = bytes.fromhex(line)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def pack(folder, file):
    inputs = sorted((p.read_bytes() for p in folder.iterdir()), key=lambda d: (len(d), d))
    kept = [d for d in inputs if 0 < len(d) <= LONGEST][:LINES]
    file.write_text("".join(d.hex() + "\n" for d in kept))



if __name__ == "__main__":
    {"unpack": unpack, "pack": pack}[sys.argv[1]](pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
