"""Reading of S3 objects as files, block by block."""

import io
from collections import OrderedDict
from typing import Any, Protocol, runtime_checkable

BLOCK_BYTES = 2**18
"""Size of a block. Objects are read in blocks."""

MAX_CACHED_BLOCKS = 256
"""Maximum number of blocks that are kept for each open object."""

MAX_BLOCKS_AHEAD = 64
"""Maximum number of blocks that are read ahead."""


@runtime_checkable
class RangeStore(Protocol):
    """A store that can read ranges of its objects."""

    def info(self, path: str) -> dict[str, Any]:
        """Type, size and tag of an object."""

    def read_range(self, path: str, start: int, stop: int, etag: str) -> bytes:
        """Read the bytes from ``start`` to ``stop``, exclusive, of the object with a tag."""


class ObjectReader(io.RawIOBase):
    """Readable file of an object. It caches recent blocks, and reads ahead when access is sequential.

    Args:
        store: Store of the object.
        path: Bucket and key.
    """

    def __init__(self, store: RangeStore, path: str) -> None:
        super().__init__()
        about = store.info(path)
        if about["type"] != "file":
            raise IsADirectoryError(path)
        self.store, self.path = store, path
        self.size, self.etag = int(about["size"]), str(about["ETag"]).strip('"')
        self._position, self._expected, self._ahead = 0, -1, 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Current position, bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position.

        Args:
            offset: Offset, bytes.
            whence: Reference of the offset: start, current position or end.

        Returns:
            New position, bytes.
        """
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        return self._position

    def readall(self) -> bytes:
        """Read from the current position to the end."""
        return self.read(max(0, self.size - self._position)) or b""

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer.

        Args:
            buffer: The buffer.

        Returns:
            Number of bytes; less than the buffer holds at the end of the object.
        """
        view = memoryview(buffer).cast("B")
        start, stop = self._position, min(self.size, self._position + len(view))
        block = start // BLOCK_BYTES
        while block * BLOCK_BYTES < stop:
            if block in self._blocks:
                self._blocks.move_to_end(block)
                run, data = 1, self._blocks[block]
            else:
                run, data = self._fetch(block, -(-stop // BLOCK_BYTES))
            first, last = max(start, block * BLOCK_BYTES), min(stop, block * BLOCK_BYTES + len(data))
            view[first - start : last - start] = data[first - block * BLOCK_BYTES : last - block * BLOCK_BYTES]
            block += run
        self._position = max(start, stop)
        return max(0, stop - start)

    def _fetch(self, block: int, end: int) -> tuple[int, bytes]:
        """Read consecutive missing blocks in one request, with more blocks ahead if access is sequential.

        Args:
            block: First block.
            end: End of the blocks that the caller needs, exclusive.

        Returns:
            Number of blocks, and their bytes.
        """
        self._ahead = min(max(1, 2 * self._ahead), MAX_BLOCKS_AHEAD) if block == self._expected else 0
        last = block + 1
        while last < min(end + self._ahead, block + MAX_CACHED_BLOCKS) and last not in self._blocks:
            last += 1
        start, stop = block * BLOCK_BYTES, min(self.size, last * BLOCK_BYTES)
        data = self.store.read_range(self.path, start, stop, self.etag)
        for index in range(block, -(-stop // BLOCK_BYTES)):
            self._blocks[index] = data[(index - block) * BLOCK_BYTES :][:BLOCK_BYTES]
        while len(self._blocks) > MAX_CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        self._expected = last
        return last - block, data
