#!/usr/bin/env python3
"""Writes what a model folder has to compute for a stretch of the held-out text, in float64 PyTorch.

tokens I32 [T], logits F32 [T, vocabulary] and, for a routed model, experts I32 [layers, T, G, k] in slot
order. Of all stretches that begin a line, the first is taken in which every choice of experts is clear:
the last expert chosen leads the first one not chosen by at least --margin in probability. float32
arithmetic, which is off by some 1e-6, then chooses the same experts.
"""
import argparse
import pathlib

import numpy as np
import torch

import safetensors_io
from evaluate import load_model


def smallest_margins(model, batch):
    """tokens [B,T] -> the smallest margin of each sequence [B], over layers, tokens and groups."""
    with torch.no_grad():
        model(batch)
    return torch.stack([a.margin.flatten(1).min(1).values for a in model.attentions()]).min(0).values


def choose(model, text, length, margin):
    """-> (start of the stretch in text, its smallest margin); the best one if none reaches `margin`."""
    starts = [0] + [i + 1 for i in range(len(text) - length) if text[i] == ord("\n") != text[i + 1]]
    best = (0, -1.0)
    for at in range(0, len(starts), 16):
        some = starts[at:at + 16]
        batch = torch.from_numpy(np.stack([text[s:s + length] for s in some]).astype(np.int64))
        for start, found in zip(some, smallest_margins(model, batch).tolist()):
            if found > best[1]:
                best = (start, found)
            if found >= margin:
                return best
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="folder with config.json and model.safetensors")
    parser.add_argument("output", type=pathlib.Path, help="the safetensors file to write")
    parser.add_argument("--text", type=pathlib.Path, required=True, help="heldout.txt")
    parser.add_argument("--length", type=int, default=192, help="bytes (default: 192)")
    parser.add_argument("--margin", type=float, default=4e-4, help="default: 4e-4")
    args = parser.parse_args()

    text = np.fromfile(args.text, np.uint8)
    model = load_model(args.model).double()
    routed = model.config["attention"] == "gqe"
    start = 0
    if routed:
        start, margin = choose(model, text, args.length, args.margin)
        print(f"{args.model.name}: smallest margin between experts {margin:.1e}")
    tokens = text[start:start + args.length].astype(np.int32)
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens.astype(np.int64))[None])[0]
    tensors = {"tokens": tokens, "logits": logits.numpy().astype(np.float32)}
    if routed:
        tensors["experts"] = torch.stack([a.experts[0] for a in model.attentions()]).numpy().astype(np.int32)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    safetensors_io.save(args.output, tensors)
    print(f"{args.output}: bytes {start} to {start + args.length} of {args.text.name}")


if __name__ == "__main__":
    main()
