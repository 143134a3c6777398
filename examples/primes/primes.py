"""The primes of one block of numbers: primes.py BLOCK SIZE OUT. Block b is the numbers from b*SIZE up to the next block."""
import sys

block, size = int(sys.argv[1]), int(sys.argv[2])
first, end = block * size, (block + 1) * size

# Small primes up to the root of the block's end, then one sieve over the block alone.
root = 1
while root * root < end:
    root += 1
small = bytearray([1]) * (root + 1)
composite = bytearray(size)
for p in range(2, root + 1):
    if not small[p]:
        continue
    small[p * p :: p] = bytes(len(range(p * p, root + 1, p)))
    start = max(p * p, (first + p - 1) // p * p)
    composite[start - first :: p] = b"\1" * len(range(start - first, size, p))

with open(sys.argv[3], "w", newline="\n") as out:
    out.writelines(f"{n}\n" for n in range(max(first, 2), end) if not composite[n - first])
