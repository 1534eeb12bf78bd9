#!/usr/bin/env python3
"""Checks that the PyTorch layer computes what the specification says: runs every golden case in float64."""
import argparse
import json
import pathlib
import sys

import torch

import safetensors_io
from model import Attention

TOLERANCE = 1e-6  # relative, L2: the expected values are float32


def check(folder):
    """-> relative error of y (and of the gate), with an exception for anything that cannot be compared."""
    config = json.loads((folder / "config.json").read_text())
    weights, given, expected = (
        {name: torch.from_numpy(a) for name, a in safetensors_io.load(folder / f"{part}.safetensors").items()}
        for part in ("weights", "input", "expected"))
    layer = Attention(config, bias=any(name.endswith(".bias") for name in weights)).double()
    own = layer.tensors()
    for name in own.keys() | weights.keys():
        if name.endswith(".bias") and name not in weights:
            own[name].zero_()
        else:
            own[name].copy_(weights[name])
    x = given["x"].double()
    with torch.no_grad():
        y = layer(x)
    errors = {"y": ((y - expected["y"]).norm() / expected["y"].norm()).item()}
    if config["attention"] == "gqe":
        errors["gate"] = ((layer.gate - expected["gate"]).norm() / expected["gate"].norm()).item()
        errors["experts"] = float((layer.experts != expected["experts"]).sum())
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("goldens", type=pathlib.Path, help="folder of the golden cases")
    args = parser.parse_args()
    folders = sorted(path.parent for path in args.goldens.glob("*/config.json"))
    failed = 0
    for folder in folders:
        errors = check(folder)
        good = max(errors.values()) <= TOLERANCE
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {folder.name:24}", *(f"{name} {e:.1e}" for name, e in errors.items()))
    print(f"{len(folders) - failed} of {len(folders)} agree")
    return 1 if failed or not folders else 0


if __name__ == "__main__":
    sys.exit(main())
