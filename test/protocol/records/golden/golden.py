# Prints golden compressed blocks made by other implementations, one "name base64" a line.
# Needs from PyPI: python-snappy, lz4, zstandard.
import base64
import gzip

import lz4.frame
import snappy
import zstandard

text = b"".join(b"line %d of the golden text\n" % (line % 50) for line in range(8000))
short = text[:200]


def show(name, data):
    print(name, base64.b64encode(data).decode())


show("python-gzip", gzip.compress(short, mtime=0))
show("python-gzip-members", gzip.compress(short[:100], mtime=0) + gzip.compress(short[100:], mtime=0))
show("python-snappy-raw", snappy.compress(short))
for name, options in {
    "linked": {"block_linked": True, "block_size": lz4.frame.BLOCKSIZE_MAX64KB},
    "independent": {"block_linked": False, "block_size": lz4.frame.BLOCKSIZE_MAX64KB},
    "4mb-checksums": {"block_size": lz4.frame.BLOCKSIZE_MAX4MB, "content_checksum": True, "block_checksum": True},
    "size": {"store_size": True},
}.items():
    show("python-lz4-" + name, lz4.frame.compress(text[:80000] if name != "size" else short, **{"store_size": False, "compression_level": 9, **options}))
show("python-zstd-size", zstandard.ZstdCompressor(level=19).compress(text))
stream = zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
show("python-zstd-stream", stream.compress(short[:100]) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) + stream.compress(short[100:]) + stream.flush())
stream = zstandard.ZstdCompressor(level=22).compressobj()
show("python-zstd-window", stream.compress(short) + stream.flush())
