#!/usr/bin/env python3
"""Held-out bits per byte of a model folder, in float32 over independent windows.

A window's first byte is not predicted and not counted; the last, partial window counts too.
"""
import argparse
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

import safetensors_io
from model import Model


def load_model(folder):
    """-> Model in float32 from a folder with config.json and model.safetensors."""
    model = Model(json.loads((folder / "config.json").read_text()))
    model.load(safetensors_io.load(folder / "model.safetensors"))
    return model


def evaluate(model, text, window):
    """-> {"bits_per_byte", "predicted_bytes", "balance" [layers] for a routed model}."""
    bits, predicted, balance = 0.0, 0, []
    with torch.no_grad():
        for start in range(0, len(text) - 1, window):
            tokens = torch.from_numpy(text[start:start + window].astype(np.int64))[None]
            logits = model(tokens)[0, :-1]
            bits += F.cross_entropy(logits, tokens[0, 1:], reduction="sum").item() / math.log(2)
            predicted += tokens.shape[1] - 1
            if model.config["attention"] == "gqe":
                balance.append([a.balance.mean().item() for a in model.attentions()])
    result = {"bits_per_byte": round(bits / predicted, 5), "predicted_bytes": predicted}
    if balance:
        result["balance"] = [round(b, 4) for b in np.mean(balance, 0).tolist()]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="folder with config.json and model.safetensors")
    parser.add_argument("--text", type=pathlib.Path, required=True, help="heldout.txt")
    parser.add_argument("--window", type=int, default=1024, help="bytes")
    args = parser.parse_args()
    print(json.dumps(evaluate(load_model(args.model), np.fromfile(args.text, np.uint8), args.window)))


if __name__ == "__main__":
    main()
