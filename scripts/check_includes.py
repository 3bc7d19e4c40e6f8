#!/usr/bin/env python3
"""Checks the rule of docs/architecture.md: an include points down the list of rooms, or sideways
within one, never up. Prints what breaks it."""

import re
import sys
from pathlib import Path

# From the top; rooms of one line do not include each other.
LEVELS = [["cli"], ["serve"], ["plan"], ["evaluate", "loadtest"], ["compress"], ["engine", "hub", "route"], ["models"], ["layers"], ["kernels"],
          ["text"], ["checkpoint"], ["tensor"], ["storage"], ["base"], ["fathom"]]
RANK = {room: rank for rank, rooms in enumerate(LEVELS) for room in rooms}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z_]+)/', re.MULTILINE)


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    files = [(path, path.relative_to(root / "src").parts[0]) for path in root.glob("src/*/**/*")]
    files += [(path, "fathom") for path in root.glob("include/fathom/*.h")]
    broken = 0
    for path, room in sorted(files):
        if path.suffix not in (".h", ".cpp"):
            continue
        for included in INCLUDE.findall(path.read_text(encoding="utf-8")):
            if included == room:
                continue
            if included not in RANK or room not in RANK or RANK[included] <= RANK[room]:
                print(f"{path.relative_to(root)}: {room}/ may not include {included}/")
                broken += 1
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
