#!/usr/bin/env python3
"""Makes the training text and the held-out text from Debian's `bible-kjv` (the King James Bible).

The program `bible` prints the text it keeps compressed in `bible-kjv-text`. Each chapter becomes

    Genesis 1

    1 In the beginning God created the heaven and the earth.
    2 And the earth was without form, and void; ...

with one verse a line and a blank line between chapters. Whole chapters, one in 48 and so spread over
the book, are held out: they go to heldout.txt and nowhere else.
"""
import argparse
import hashlib
import pathlib
import re
import subprocess

HELDOUT_EVERY, HELDOUT_AT = 48, 24
SHA256 = {
    "train.txt": "b15f3605a039a7a3c0c7cb8fbfea26bfee2f06ae5b9fdd5e02dd5f237612335e",
    "heldout.txt": "4f89293eb8abbccf0a938ec7030966d6f05912e8b4adee073367bd87575b45e5",
}


def read_chapters(bible):
    """-> [text of a chapter]; `bible` is the program to run."""
    raw = subprocess.run([bible, "-l", "100000", "Gen1:1-Rev22:21"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, check=True).stdout.decode("ascii")
    chapters = []
    for line in raw.splitlines():
        verse = re.fullmatch(r" +(\d+ .*)", line)
        if verse:
            chapters[-1].append(verse.group(1).rstrip())
        elif line.strip():
            chapters.append([line.strip(), ""])
    return ["\n".join(lines) + "\n" for lines in chapters]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="folder for train.txt and heldout.txt")
    parser.add_argument("--bible", default="bible", help="the program (default: bible)")
    args = parser.parse_args()

    chapters = read_chapters(args.bible)
    held = [i % HELDOUT_EVERY == HELDOUT_AT for i in range(len(chapters))]
    texts = {
        "train.txt": "\n".join(c for c, h in zip(chapters, held) if not h),
        "heldout.txt": "\n".join(c for c, h in zip(chapters, held) if h),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        data = text.encode("ascii")
        digest = hashlib.sha256(data).hexdigest()
        same = "as published" if digest == SHA256[name] else "DIFFERS from the text of the published models"
        (args.out / name).write_bytes(data)
        print(f"{name}: {len(data)} bytes, sha256 {digest} ({same})")
    print(f"{len(chapters)} chapters, {sum(held)} held out")


if __name__ == "__main__":
    main()
