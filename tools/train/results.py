#!/usr/bin/env python3
"""Collects what training gave: results.json and the training curves, from the checkpoints of a folder."""
import argparse
import json
import pathlib

import numpy as np
import torch

from evaluate import evaluate
from export import rounded
from model import Model
from train import VARIANTS

WINDOW = 1024


def measure(checkpoint, text):
    """-> results of one variant, with the weights as trained and as a model folder holds them."""
    model = Model(checkpoint["config"])
    model.load(checkpoint["tensors"])
    result = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "bytes_seen": checkpoint["step"] * checkpoint["settings"]["step_bytes"],
        "seconds": round(checkpoint["seconds"]),
        "float32": evaluate(model, text, WINDOW),
    }
    model.load({name: rounded(name, t) for name, t in checkpoint["tensors"].items()})
    result["float16"] = evaluate(model, text, WINDOW)
    return {**result, "settings": checkpoint["settings"], "config": checkpoint["config"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=pathlib.Path, help="folder with heldout.txt and a folder for each variant")
    parser.add_argument("output", type=pathlib.Path, help="folder for results.json and curves.csv")
    args = parser.parse_args()

    text = np.fromfile(args.runs / "heldout.txt", np.uint8)
    results, curves = {}, {}
    for variant in VARIANTS:
        path = args.runs / variant / "checkpoint.pt"
        checkpoint = torch.load(path) if path.exists() else {"step": 0, "steps": 1}
        if checkpoint["step"] < checkpoint["steps"]:
            print(f"{variant}: not trained to the end, left out")
            continue
        results[variant] = measure(checkpoint, text)
        curves[variant] = checkpoint["curve"]
        print(variant, json.dumps({k: v for k, v in results[variant].items() if k not in ("settings", "config")}))
    (args.output / "results.json").write_text(json.dumps(
        {"measure": f"bits per byte of heldout.txt, independent windows of {WINDOW} bytes, float32 arithmetic",
         "variants": results}, indent=1) + "\n")
    with open(args.output / "curves.csv", "w") as file:
        file.write("variant,bytes,train_bits_per_byte,balance\n")
        for variant, curve in curves.items():
            file.writelines(f"{variant},{seen},{bits},{balance}\n" for seen, bits, balance in curve)


if __name__ == "__main__":
    main()
