// zip: an archive of a few small text files, stored as they are. The server unpacks it like any other.
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(data: Uint8Array) {
  let c = 0xffffffff;
  for (const b of data) c = TABLE[(c ^ b) & 255]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

// Little-endian fields of 2 or 4 bytes.
function fields(...of: [size: 2 | 4, value: number][]) {
  const out = new Uint8Array(of.reduce((n, [size]) => n + size, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const [size, v] of of) {
    if (size === 2) view.setUint16(at, v, true);
    else view.setUint32(at, v, true);
    at += size;
  }
  return out;
}

export async function zip(files: Record<string, string>): Promise<Blob> {
  const body: Uint8Array<ArrayBuffer>[] = [];
  const index: Uint8Array<ArrayBuffer>[] = [];
  const length = (list: Uint8Array[]) => list.reduce((n, p) => n + p.length, 0);
  for (const [path, text] of Object.entries(files)) {
    const name = new TextEncoder().encode(path);
    const data = new TextEncoder().encode(text);
    const common: [2 | 4, number][] = [
      [2, 20], [2, 0x800], [2, 0], [2, 0], [2, 0x21], // version, UTF-8 names, stored, 1980-01-01
      [4, crc32(data)], [4, data.length], [4, data.length], [2, name.length], [2, 0],
    ];
    const at = length(body);
    body.push(fields([4, 0x04034b50], ...common), name, data);
    index.push(fields([4, 0x02014b50], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]), name);
  }
  const n = Object.keys(files).length;
  const end = fields([4, 0x06054b50], [2, 0], [2, 0], [2, n], [2, n], [4, length(index)], [4, length(body)], [2, 0]);
  return new Blob([...body, ...index, end]);
}

export async function base64(data: Blob): Promise<string> {
  const raw = new Uint8Array(await data.arrayBuffer());
  let text = "";
  for (let at = 0; at < raw.length; at += 8192) text += String.fromCharCode(...raw.subarray(at, at + 8192));
  return btoa(text);
}
