"""Adds up the counts of all texts: merge.py RESULT_FOLDER [HOW_MANY]. Runs where the result is; prints the most frequent words."""
import collections
import pathlib
import sys

if len(sys.argv) < 2:
    sys.exit("usage: merge.py RESULT_FOLDER [HOW_MANY]")
folder = pathlib.Path(sys.argv[1])
shown = int(sys.argv[2]) if len(sys.argv) > 2 else 20
total = collections.Counter()
files = sorted(folder.rglob("*.tsv"))
for path in files:
    for line in path.read_text(encoding="utf-8").splitlines():
        count, word = line.split("\t")
        total[word] += int(count)
if not files:
    sys.exit(f"merge.py: no .tsv files below {folder}")
print(f"{len(files)} texts, {sum(total.values())} words, {len(total)} different")
for word, count in sorted(total.items(), key=lambda item: (-item[1], item[0]))[:shown]:
    print(f"{count:8} {word}")
