"""Counts the words of one text: words.py TEXT OUT. Writes "count<TAB>word", the most frequent first, equal ones by name."""
import collections
import re
import sys

source, target = sys.argv[1:]
with open(source, encoding="utf-8") as text:
    counts = collections.Counter(re.findall(r"[a-z]+(?:'[a-z]+)?", text.read().lower()))
with open(target, "w", encoding="utf-8", newline="\n") as out:
    for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        out.write(f"{count}\t{word}\n")
