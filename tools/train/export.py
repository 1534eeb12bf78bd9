#!/usr/bin/env python3
"""Writes a checkpoint of train.py as a model folder: config.json and model.safetensors.

Matrices and norms are rounded to F16. The router stays F32: a rounding there could change which
experts a token runs.
"""
import argparse
import json
import pathlib

import numpy as np
import torch

import safetensors_io


def rounded(name, tensor):
    array = tensor.detach().contiguous().numpy().astype(np.float32)
    return array if ".router." in name else array.astype(np.float16)


def export(checkpoint, folder, whole=False):
    """`checkpoint`: what train.py saved. `whole` keeps every tensor in F32."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(checkpoint["config"], indent=1) + "\n")
    safetensors_io.save(folder / "model.safetensors", {
        name: t.contiguous().numpy() if whole else rounded(name, t) for name, t in checkpoint["tensors"].items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path, help="checkpoint.pt")
    parser.add_argument("folder", type=pathlib.Path, help="where the model goes")
    parser.add_argument("--f32", action="store_true", help="keep every tensor in F32")
    args = parser.parse_args()
    export(torch.load(args.checkpoint), args.folder, args.f32)


if __name__ == "__main__":
    main()
