#!/usr/bin/env python3
"""Trains one variant of the demo model. Stops and resumes at any point: run it again with the same --out.

All variants see the same bytes in the same order. The first 90 % of them come as windows of 256
bytes, the rest as windows of 1,024; a step always has the same number of bytes.
"""
import argparse
import csv
import json
import os
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F

from model import Model

GQE = {"top_k": 1, "shared_head": True, "shared_kv": "group_0", "weighted_sum_slot": True,
       "scale_expert_slots": False, "slot_order": "rank"}
BARE = {"top_k": 1, "shared_head": False, "shared_kv": "group_0", "weighted_sum_slot": False,
        "scale_expert_slots": False, "slot_order": "rank"}
VARIANTS = {  # the rows of the paper's Table 2
    "gqa": None,
    "gqe": GQE,
    "weighted_concat": {**BARE, "scale_expert_slots": True},
    "hard_concat": BARE,
}
SHORT, LONG = 256, 1024
LONG_SHARE = 0.1
SEED = 1


def model_config(variant):
    gqe = VARIANTS[variant]
    return {
        "hidden_size": 256, "num_hidden_layers": 4, "intermediate_size": 448, "vocab_size": 256,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32, "attention": "gqe" if gqe else "gqa",
        "rope_style": "half", "rope_theta": 10000.0, **({"gqe": gqe} if gqe else {}),
        "norm": "rmsnorm", "norm_eps": 1e-5, "mlp": "swiglu", "tie_word_embeddings": True,
        "max_position_embeddings": LONG, "tokenizer": "bytes",
    }


class Windows:
    """Endless windows of `length` bytes and the byte after each, every epoch in a new order and at a new offset."""

    def __init__(self, text, length):
        self.text, self.length, self.count = text, length, len(text) // length - 1
        self.epoch = None

    def batch(self, index, size):
        """Batch number `index` -> int64 [size, length+1]."""
        starts = []
        for i in range(index * size, (index + 1) * size):
            if i // self.count != self.epoch:
                self.epoch = i // self.count
                random = np.random.default_rng((SEED, self.length, self.epoch))
                self.starts = random.permutation(self.count) * self.length + random.integers(self.length)
            starts.append(self.starts[i % self.count])
        return torch.from_numpy(np.stack([self.text[s:s + self.length + 1] for s in starts]).astype(np.int64))


class Trainer:
    def __init__(self, args):
        self.args = args
        self.model = Model(model_config(args.variant))
        self.model.initialise(SEED)
        text = np.fromfile(args.text, np.uint8)
        self.steps = -(-args.bytes // args.step_bytes)
        self.long_from = round(self.steps * (1 - LONG_SHARE))
        self.short, self.long = Windows(text, SHORT), Windows(text, LONG)

        # One flat tensor for the matrices (with weight decay), one for the norms: the optimizer's passes stay few.
        parameters = list(self.model.parameters())
        self.flat = [self.flatten([p for p in parameters if p.dim() == 2]),
                     self.flatten([p for p in parameters if p.dim() == 1])]
        self.optimizer = torch.optim.AdamW(
            [{"params": [self.flat[0]], "weight_decay": args.weight_decay},
             {"params": [self.flat[1]], "weight_decay": 0.0}], betas=(0.9, 0.95), eps=1e-8)
        self.step, self.seconds, self.curve = 0, 0.0, []

    @staticmethod
    def flatten(parameters):
        flat = torch.nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
        flat.grad = torch.zeros_like(flat)
        offset = 0
        for p in parameters:
            p.data = flat.data[offset:offset + p.numel()].view_as(p)
            p.grad = flat.grad[offset:offset + p.numel()].view_as(p)
            offset += p.numel()
        return flat

    def learning_rate(self):
        """Warmup, stable, then linear decay to a hundredth."""
        warm = min(1.0, (self.step + 1) / self.args.warmup)
        left = (self.steps - self.step) / (self.steps * self.args.decay)
        return self.args.lr * warm * min(1.0, max(left, 0.01))

    def batch(self):
        if self.step < self.long_from:
            return self.short.batch(self.step, self.args.step_bytes // SHORT)
        return self.long.batch(self.step - self.long_from, self.args.step_bytes // LONG)

    def train_step(self):
        """-> cross-entropy in bits per byte, balance [layers]."""
        tokens = self.batch()
        for flat in self.flat:
            flat.grad.zero_()
        logits = self.model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        total, balance = loss, []
        if VARIANTS[self.args.variant]:
            balance = [a.balance.mean() for a in self.model.attentions()]
            total = loss + self.args.balance * sum(balance)
        total.backward()
        norm = torch.stack([flat.grad.norm() for flat in self.flat]).norm()
        for flat in self.flat:
            flat.grad.mul_(torch.clamp(1.0 / (norm + 1e-6), max=1.0))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.step()
        self.step += 1
        return loss.item() / np.log(2), [b.item() for b in balance]

    def save(self):
        """Atomic: a kill leaves the old checkpoint or the new one."""
        path = self.args.out / "checkpoint.pt"
        settings = {name: getattr(self.args, name)
                    for name in ("variant", "bytes", "step_bytes", "lr", "warmup", "decay", "weight_decay", "balance")}
        torch.save({"config": self.model.config, "settings": settings, "step": self.step, "steps": self.steps,
                    "seconds": self.seconds, "curve": self.curve, "flat": [f.data for f in self.flat],
                    "optimizer": self.optimizer.state_dict(), "tensors": self.model.tensors()},
                   path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)
        with open(self.args.out / "curve.csv", "w", newline="") as file:
            csv.writer(file).writerows([("bytes", "train_bits_per_byte", "balance"), *self.curve])

    def resume(self):
        path = self.args.out / "checkpoint.pt"
        if not path.exists():
            return
        saved = torch.load(path)
        for flat, old in zip(self.flat, saved["flat"]):
            flat.data.copy_(old)
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step, self.seconds, self.curve = saved["step"], saved["seconds"], saved["curve"]

    def train(self):
        sums, since = [], time.time()
        saved_at = since
        while self.step < self.steps:
            bits, balance = self.train_step()
            sums.append((bits, np.mean(balance) if balance else 0.0))
            if self.step % self.args.log_every == 0 or self.step == self.steps:
                now = time.time()
                spent, since = now - since, now
                self.seconds += spent
                bits, balance = np.mean(sums, 0)
                seen = self.step * self.args.step_bytes
                self.curve.append((seen, round(float(bits), 4), round(float(balance), 4)))
                print(json.dumps({"step": self.step, "of": self.steps, "bits_per_byte": round(float(bits), 4),
                                  "balance": round(float(balance), 3), "lr": round(self.learning_rate(), 6),
                                  "bytes_per_s": round(len(sums) * self.args.step_bytes / spent)}), flush=True)
                sums = []
                if now - saved_at > self.args.save_seconds or self.step == self.steps:
                    self.save()
                    saved_at = now


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--text", type=pathlib.Path, required=True, help="train.txt of corpus.py")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the checkpoint and the curve")
    parser.add_argument("--bytes", type=int, default=8_200_000, help="bytes to see")
    parser.add_argument("--step-bytes", type=int, default=2048, help="bytes of a step")
    parser.add_argument("--lr", type=float, default=8e-4, help="peak learning rate")
    parser.add_argument("--warmup", type=int, default=100, help="steps")
    parser.add_argument("--decay", type=float, default=0.38, help="part of the steps in which the rate falls")
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--balance", type=float, default=0.01, help="factor of the load-balancing loss, per layer")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log-every", type=int, default=50, help="steps")
    parser.add_argument("--save-seconds", type=float, default=60)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    args.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(args)
    trainer.resume()
    print(f"{args.variant}: {sum(p.numel() for p in trainer.model.parameters())} parameters, "
          f"step {trainer.step} of {trainer.steps}", flush=True)
    trainer.train()


if __name__ == "__main__":
    main()
