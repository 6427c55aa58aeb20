"""Small valid pictures of any dimensions, made with the standard library alone.

Each function returns the bytes of one picture of one colour; every decoder shows them. As a program
it writes one: pictures.py KIND WIDTH HEIGHT FILE.
"""
import struct
import sys
import zlib


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\x46\x5a\x96" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def jpeg(width, height, before=()):
    """Grey, baseline. `before`: payloads of APP segments that stand before the frame."""
    def segment(marker, data):
        return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data
    blocks = (width + 7) // 8 * ((height + 7) // 8)
    one_code = bytes((1,)) + bytes(15) + b"\0"  # a table of one code of one bit, for the symbol 0
    # A block is two zero bits: "no difference", "end of block". The last byte is filled with ones.
    bits = 2 * blocks
    data = bytes(bits // 8) + (bytes((0xFF >> bits % 8,)) if bits % 8 else b"")
    return (b"\xff\xd8" + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0") + b"".join(segment(0xE1, b) for b in before)
            + segment(0xDB, b"\0" + b"\x01" * 64) + segment(0xC0, struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0))
            + segment(0xC4, b"\0" + one_code) + segment(0xC4, b"\x10" + one_code) + segment(0xDA, b"\1\1\0\0\x3f\0")
            + data + b"\xff\xd9")


def gif(width, height):
    """Two colours; the codes of its compression stay three bits wide by starting anew in time."""
    clear, end = 4, 5
    codes = []
    for i in range(width * height):
        if i % 2 == 0:
            codes.append(clear)
        codes.append(0)
    codes.append(end)
    codes += [0] * (-len(codes) % 8)
    data = b"".join(sum(c << 3 * n for n, c in enumerate(codes[i:i + 8])).to_bytes(3, "little") for i in range(0, len(codes), 8))
    blocks = b"".join(bytes((len(data[i:i + 255]),)) + data[i:i + 255] for i in range(0, len(data), 255))
    return (b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\x46\x5a\x96\xff\xff\xff"
            + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02" + blocks + b"\0;")


def webp(width, height):
    """Lossless: five prefix codes of one symbol each, so that a pixel takes no bits at all."""
    number, at = 0, 0

    def put(value, bits):
        nonlocal number, at
        number |= value << at
        at += bits
    put(width - 1, 14)
    put(height - 1, 14)
    put(0, 1 + 3 + 1 + 1 + 1)  # no alpha, version 0; no transform, no colour cache, one group of codes
    for symbol in (0x5A, 0x46, 0x96, 0xFF):
        put(1, 1)  # a simple code
        put(0, 1)  # of one symbol
        put(1, 1)  # that is eight bits wide
        put(symbol, 8)
    put(1, 1)
    put(0, 3)  # distances: the symbol 0, one bit wide
    data = b"\x2f" + number.to_bytes((at + 7) // 8, "little")
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


KINDS = {"png": png, "jpeg": jpeg, "gif": gif, "webp": webp}

if __name__ == "__main__":
    kind, width, height, path = sys.argv[1:]
    with open(path, "wb") as f:
        f.write(KINDS[kind](int(width), int(height)))
