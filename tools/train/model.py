"""The transformer with Grouped Query Experts attention in PyTorch, as the specification states it.

Shapes: B sequences, T tokens, d hidden, N query-head experts, G key/value heads, M = N/G, k chosen in
a group, D head size, S slots that run attention (k*G, plus one for the shared head; N for "gqa").

Matrices that read the same input are one parameter here, so that training runs few large products;
`tensors()` gives them under the names and shapes of the files, as views.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

BLOCK = 128  # queries of one attention step: its scores stay in the second-level cache


class CausalAttention(torch.autograd.Function):
    """softmax(q kᵀ) v over q [B,S,T,D] (already scaled) and k, v [B,H,T,D]; slot s reads head heads[s]."""

    @staticmethod
    def forward(ctx, q, k, v, heads):
        length = q.shape[2]
        out = torch.empty_like(q)
        hidden = torch.full((BLOCK, BLOCK), -math.inf, dtype=q.dtype).triu_(1)
        weights = []
        for b in range(q.shape[0]):
            kb, vb = k[b][heads].transpose(1, 2), v[b][heads]
            for i in range(0, length, BLOCK):
                end = min(i + BLOCK, length)
                scores = torch.bmm(q[b, :, i:end], kb[:, :, :end])
                scores[:, :, i:] += hidden[:end - i, :end - i]
                p = torch.softmax(scores, -1)
                torch.bmm(p, vb[:, :end], out=out[b, :, i:end])
                weights.append(p)
        ctx.save_for_backward(q, k, v)
        ctx.heads, ctx.weights = heads, weights
        return out

    @staticmethod
    def backward(ctx, dout):
        q, k, v = ctx.saved_tensors
        heads, weights = ctx.heads, iter(ctx.weights)
        length = q.shape[2]
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for b in range(q.shape[0]):
            kb, vb = k[b][heads], v[b][heads].transpose(1, 2)
            dks, dvs = torch.zeros_like(kb), torch.zeros_like(kb)
            for i in range(0, length, BLOCK):
                end = min(i + BLOCK, length)
                p, do = next(weights), dout[b, :, i:end]
                dp = torch.bmm(do, vb[:, :, :end])
                ds = torch._softmax_backward_data(dp, p, -1, p.dtype)
                torch.bmm(ds, kb[:, :end], out=dq[b, :, i:end])
                dks[:, :end] += torch.bmm(ds.transpose(1, 2), q[b, :, i:end])
                dvs[:, :end] += torch.bmm(p.transpose(1, 2), do)
            dk[b].index_add_(0, heads, dks)
            dv[b].index_add_(0, heads, dvs)
        return dq, dk, dv, None


def rope_tables(length, head_dim, theta, dtype):
    """-> cos, sin [length, head_dim/2], the angles in float64."""
    frequencies = theta ** (-2.0 * torch.arange(head_dim // 2, dtype=torch.float64) / head_dim)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * frequencies
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x, style, cos, sin):
    """RoPE on x [B,T,heads,D]."""
    if style == "none":
        return x
    cos, sin = cos[:, None], sin[:, None]
    if style == "half":
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)


class Attention(nn.Module):
    """One attention layer. After a call with `attention: "gqe"`: `balance` [G] (with gradient),
    `experts` and `gate` [B,T,G,k] in slot order, `margin` [B,T,G] (how far the last expert chosen
    is, in probability, ahead of the first one not chosen)."""

    def __init__(self, config, bias=False):
        super().__init__()
        self.N, self.G = config["num_attention_heads"], config["num_key_value_heads"]
        self.M, self.D = self.N // self.G, config["head_dim"]
        self.rope_style, self.rope_theta = config["rope_style"], config["rope_theta"]
        d = config["hidden_size"]
        gqe = config["gqe"] if config["attention"] == "gqe" else {}
        self.k = gqe.get("top_k", 0)
        self.routed, self.shared = bool(gqe), gqe.get("shared_head", False)
        self.shared_kv = gqe.get("shared_kv") if self.shared else None
        self.sum_slot, self.scaled = gqe.get("weighted_sum_slot", False), gqe.get("scale_expert_slots", False)
        self.by_expert = gqe.get("slot_order") == "expert"
        dedicated = self.shared_kv == "dedicated"
        self.rows = {"q_proj": (self.N + self.shared) * self.D, "k_proj": self.G * self.D, "v_proj": self.G * self.D,
                     "k_shared_proj": dedicated * self.D, "v_shared_proj": dedicated * self.D,
                     "router": self.routed * self.N}
        slots = self.k * self.G + self.sum_slot + self.shared if self.routed else self.N
        self.input = nn.Linear(d, sum(self.rows.values()), bias)
        self.o_proj = nn.Linear(slots * self.D, d, bias)

        hard = self.G * self.k if self.routed else self.N
        heads = [s * self.G // hard for s in range(hard)]
        if self.shared:
            heads.append(int(self.shared_kv[6:]) if self.shared_kv.startswith("group_") else self.G)
        self.register_buffer("heads", torch.tensor(heads), persistent=False)
        self.tables = (torch.empty(0, 0),) * 2

    def tensors(self):
        """-> {name in the file: view of the parameter}."""
        named = {}
        for part in ["weight"] + ["bias"] * (self.input.bias is not None):
            pieces = getattr(self.input, part).data.split(list(self.rows.values()))
            named.update({f"{name}.{part}": p for name, p in zip(self.rows, pieces) if len(p)})
            named[f"o_proj.{part}"] = getattr(self.o_proj, part).data
        return named

    def route(self, logits):
        """logits [B,T,G,M] -> experts [B,T,G,k] in slot order, their probabilities."""
        p = logits.softmax(-1)
        ranked = p.sort(stable=True, dim=-1, descending=True)
        experts = ranked.indices[..., :self.k]
        if self.by_expert:
            experts = experts.sort(-1).values
        chosen = torch.zeros_like(p).scatter_(-1, experts, 1.0)
        self.balance = self.M * (chosen.mean((0, 1)) * p.mean((0, 1))).sum(-1)
        if self.k < self.M:
            self.margin = (ranked.values[..., self.k - 1] - ranked.values[..., self.k]).detach()
        return experts, p.gather(-1, experts)

    def forward(self, x):
        B, T, _ = x.shape
        G, D = self.G, self.D
        if self.tables[0].shape[0] < T or self.tables[0].dtype != x.dtype:
            self.tables = rope_tables(T, D, self.rope_theta, x.dtype)
        q, k, v, k_shared, v_shared, logits = self.input(x).split(list(self.rows.values()), -1)
        q, v = q.view(B, T, -1, D), v.view(B, T, G, D)
        k = torch.cat((k, k_shared), -1).view(B, T, -1, D)
        if self.routed:
            self.experts, p = self.route(logits.view(B, T, G, self.M))
            self.gate = p / p.sum((-2, -1), keepdim=True)
            index = self.experts[..., None].expand(-1, -1, -1, -1, D)
            hard = q[:, :, :self.N].view(B, T, G, self.M, D).gather(3, index).view(B, T, -1, D)
            q = torch.cat((hard, q[:, :, self.N:]), 2)

        slots = q.shape[2]
        turned = rotate(torch.cat((q * D ** -0.5, k), 2), self.rope_style, *(t[:T] for t in self.tables))
        q, k = turned[:, :, :slots], turned[:, :, slots:]
        if self.shared_kv == "dedicated":
            v = torch.cat((v, v_shared.view(B, T, 1, D)), 2)
        elif self.shared_kv == "mean":
            k, v = (torch.cat((t, t.mean(2, keepdim=True)), 2) for t in (k, v))
        o = CausalAttention.apply(*(t.transpose(1, 2).contiguous() for t in (q, k, v)), self.heads).transpose(1, 2)

        if self.routed:
            hard, shared = o[:, :, :self.k * G], o[:, :, self.k * G:]
            out = [hard * p.reshape(B, T, -1, 1) if self.scaled else hard]
            if self.sum_slot:
                out.append((hard * self.gate.reshape(B, T, -1, 1)).sum(2, keepdim=True))
            o = torch.cat(out + [shared], 2)
        return self.o_proj(o.reshape(B, T, -1))


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        return x * (x.square().mean(-1, keepdim=True) + self.eps).rsqrt() * self.weight


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        d, inner = config["hidden_size"], config["intermediate_size"]
        self.input_layernorm = RMSNorm(d, config["norm_eps"])
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(d, config["norm_eps"])
        self.gate_up = nn.Linear(d, 2 * inner, bias=False)
        self.down_proj = nn.Linear(inner, d, bias=False)

    def tensors(self):
        gate, up = self.gate_up.weight.data.chunk(2)
        return {"input_layernorm.weight": self.input_layernorm.weight.data,
                **{"self_attn." + name: t for name, t in self.self_attn.tensors().items()},
                "post_attention_layernorm.weight": self.post_attention_layernorm.weight.data,
                "mlp.gate_proj.weight": gate, "mlp.up_proj.weight": up, "mlp.down_proj.weight": self.down_proj.weight.data}

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        gate, up = self.gate_up(self.post_attention_layernorm(x)).chunk(2, -1)
        return x + self.down_proj(F.silu(gate) * up)


class Model(nn.Module):
    """tokens [B,T] -> logits [B,T,vocabulary]. Pre-norm RMSNorm, SwiGLU, tied embeddings, no biases."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Block(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config["norm_eps"])

    def initialise(self, seed):
        generator = torch.Generator().manual_seed(seed)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                into_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                std = 0.03 / math.sqrt(2 * len(self.layers)) if into_residual else 0.03
                with torch.no_grad():
                    p.normal_(0.0, std, generator=generator)

    def tensors(self):
        """-> {name in the file: view of the parameter}, in file order."""
        named = {"model.embed_tokens.weight": self.embed_tokens.weight.data}
        for i, layer in enumerate(self.layers):
            named.update({f"model.layers.{i}.{name}": t for name, t in layer.tensors().items()})
        named["model.norm.weight"] = self.norm.weight.data
        return named

    def load(self, tensors):
        """Copies the tensors of a file; exactly the names of tensors() have to be there."""
        own = self.tensors()
        if own.keys() != tensors.keys():
            raise ValueError(f"tensor names differ: {sorted(own.keys() ^ tensors.keys())}")
        for name, t in own.items():
            t.copy_(torch.as_tensor(tensors[name]).view_as(t))

    def attentions(self):
        return [layer.self_attn for layer in self.layers]

    def forward(self, tokens):
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return F.linear(self.norm(x), self.embed_tokens.weight)
