"""Makes tests/data/model: python3 make_model_fixtures.py (needs NumPy, PyTorch and safetensors; the tests need none of them).

Attention layers of every naming scheme with small random weights: the parameters as a checkpoint would hold them, inputs, and
what the layer computes, in float64 from the parameters as they were rounded. nn.MultiheadAttention is PyTorch's own; the other
models are written out below from the definitions of their projections. cases.json lists, for each case, the arguments of
`attn run` and the arrays to compare with.
"""

import json
import math
import pathlib
import shutil

import numpy as np
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "model"
CASES = []
torch.manual_seed(20240611)
torch.set_default_dtype(torch.float64)


def rounded(tensor, dtype=torch.float32):
    """Values that a file of `dtype` can hold, in float64."""
    return tensor.to(dtype).double()


def random(*shape, scale=1.0, dtype=torch.float32):
    return rounded(torch.randn(*shape) * scale, dtype)


def save(name, parameters, dtype=torch.float32, config=None, file="model.safetensors"):
    """A folder with the parameters, and config.json where there is one."""
    folder = OUT / name
    folder.mkdir(parents=True)
    save_file({key: value.to(dtype).contiguous() for key, value in parameters.items()}, folder / file)
    if config:
        (folder / "config.json").write_text(json.dumps(config) + "\n")
    return f"{name}/{file}"


def case(name, arguments, inputs, expected, params, prefix, scheme, heads, kv_heads=None, dtype=np.float32):
    """`inputs` and `arguments` name arrays of NAME/io.npz; what is expected is called by the flag that writes it."""
    (OUT / name).mkdir(parents=True, exist_ok=True)
    arrays = {key: np.asarray(value, dtype=dtype) for key, value in inputs.items()}
    arrays |= {"expected_" + key: np.asarray(value, dtype=np.float64) for key, value in expected.items()}
    np.savez(OUT / name / "io.npz", **arrays)
    CASES.append({"name": name, "arguments": arguments, "params": params, "prefix": prefix, "scheme": scheme, "heads": heads,
                  "kv_heads": kv_heads or heads, "expected": sorted(expected)})


def rope(x, base):
    """Rotary positions in halves: features i and i + dim/2 of row p turn by p * base^(-2i/dim)."""
    length, dim = x.shape[-2:]
    angle = torch.arange(length)[:, None] * base ** (-torch.arange(0, dim, 2) / dim)
    cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
    turned = torch.cat([-x[..., dim // 2:], x[..., :dim // 2]], -1)
    return x * cos + turned * sin


def attend(q, k, v, heads, kv_heads=None, causal=False, lengths=None, rope_base=None):
    """Projected [batch, length, heads * dim] rows -> output rows and weights, head by head."""
    kv_heads = kv_heads or heads
    split = lambda x, n: x.unflatten(-1, (n, -1)).transpose(1, 2)
    q, k, v = split(q, heads), split(k, kv_heads), split(v, kv_heads)
    if rope_base:
        q, k = rope(q, rope_base), rope(k, rope_base)
    k, v = (x.repeat_interleave(heads // kv_heads, 1) for x in (k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    if lengths is not None:
        hidden = torch.arange(scores.shape[-1]) >= torch.tensor(lengths)[:, None]
        scores = scores.masked_fill(hidden[:, None, None], -torch.inf)
    weights = scores.softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2), weights


def linear(x, parameters, name):
    """y = x W^T + b with a checkpoint's [out, in] weight."""
    bias = parameters.get(name + ".bias")
    return x @ parameters[name + ".weight"].T + (0 if bias is None else bias)


def torch_multihead(name, prefix, bias, kdim=None, vdim=None, causal=False, lengths=None):
    """torch.nn.MultiheadAttention itself."""
    module = torch.nn.MultiheadAttention(12, 3, bias=bias, kdim=kdim, vdim=vdim, batch_first=True).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(random(*parameter.shape, scale=0.5))
    x = random(2, 5, 12)
    cross = kdim is not None
    key, value = (random(2, 7, kdim), random(2, 7, vdim)) if cross else (x, x)
    hidden = None if lengths is None else torch.arange(key.shape[1]) >= torch.tensor(lengths)[:, None]
    above = torch.ones(5, 5).triu(1).bool() if causal else None
    with torch.no_grad():
        y, weights = module(x, key, value, key_padding_mask=hidden, attn_mask=above, average_attn_weights=False)
    inputs = {"x": x} | ({"memory": key, "values": value} if cross else {})
    arguments = ["-q", "io.npz:x", "-k", "io.npz:memory", "-v", "io.npz:values"] if cross else ["io.npz:x"]
    arguments += ["--heads", "3"]
    arguments += ["--causal"] if causal else []
    arguments += ["--key-lengths", ",".join(map(str, lengths))] if lengths else []
    parameters = {prefix + key: value for key, value in module.state_dict().items()}
    case(name, arguments, inputs, {"output": y, "weights": weights}, save(name, parameters), prefix,
         "PyTorch, separate" if cross else "PyTorch", 3)


def named_linears(names, widths, bias, dtype=torch.float32):
    """Random weights [out, in] for four layers by name."""
    parameters = {}
    for name, (inputs, outputs) in zip(names, widths):
        parameters[name + ".weight"] = random(outputs, inputs, scale=0.5, dtype=dtype)
        if bias is True or name in (bias or ()):
            parameters[name + ".bias"] = random(outputs, scale=0.5, dtype=dtype)
    return parameters


def checkpoint(name, scheme, prefix, names, bias, heads, width=12, arguments=(), config=None, dtype=torch.float32, head_dim=None,
               kv_heads=None, causal=False, rope_base=None, lengths=None, residual=False, more=None):
    """A model with four matrices of its own."""
    kv_heads = kv_heads or heads
    head_dim = head_dim or width // heads
    widths = [(width, heads * head_dim), (width, kv_heads * head_dim), (width, kv_heads * head_dim), (heads * head_dim, width)]
    parameters = named_linears(names, widths, bias, dtype)
    x = random(2, 6, width)
    q, k, v = (linear(x, parameters, n) for n in names[:3])
    heads_output, weights = attend(q, k, v, heads, kv_heads, causal, lengths, rope_base)
    y = linear(heads_output, parameters, names[3]) + (x if residual else 0)
    expected = {"output": y, "weights": weights}
    # The cache holds keys and values as they are projected: positions are turned when they are used.
    expected["present-key"] = k.unflatten(-1, (kv_heads, -1)).transpose(1, 2)
    expected["present-value"] = v.unflatten(-1, (kv_heads, -1)).transpose(1, 2)
    stored = {prefix + key: value for key, value in parameters.items()} | (more or {})
    flags = ["io.npz:x", *arguments]
    flags += ["--causal"] if causal else []
    flags += ["--key-lengths", ",".join(map(str, lengths))] if lengths else []
    flags += ["--residual"] if residual else []
    case(name, flags, {"x": x}, expected, save(name, stored, dtype, config), prefix, scheme, heads, kv_heads)


def gpt2():
    """Conv1D layers: weights are [in, out], and query, key and value stand side by side in c_attn."""
    prefix = "transformer.h.11.attn."
    width, heads = 12, 4
    joined, joined_bias = random(width, 3 * width, scale=0.5), random(3 * width)
    projection, projection_bias = random(width, width, scale=0.5), random(width)
    x = random(2, 6, width)
    q, k, v = (x @ joined + joined_bias).split(width, -1)
    heads_output, weights = attend(q, k, v, heads, causal=True)
    y = heads_output @ projection + projection_bias
    parameters = {"c_attn.weight": joined, "c_attn.bias": joined_bias, "c_proj.weight": projection, "c_proj.bias": projection_bias}
    stored = {prefix + key: value for key, value in parameters.items()}
    stored[prefix + "bias"] = torch.ones(1, 1, 6, 6).tril()  # the causal mask, which GPT-2's checkpoints hold as well
    params = save("gpt2", stored, config={"model_type": "gpt2", "n_head": heads, "layer_norm_epsilon": 1e-5})
    case("gpt2", ["io.npz:x", "--causal"], {"x": x}, {"output": y, "weights": weights}, params, prefix, "GPT-2", heads)


def plain(name, dtype, bias):
    """W_q, W_k, W_v, W_o as papers have them, [in, out], with other widths of memory, values and output."""
    heads, width, memory, head_dim, value_dim, output = 2, 9, 5, 4, 6, 7
    store = torch.float64 if dtype == np.float64 else torch.float32
    parameters = {"Wq": random(width, heads * head_dim, dtype=store), "Wk": random(memory, heads * head_dim, dtype=store),
                  "Wv": random(memory, heads * value_dim, dtype=store), "Wo": random(heads * value_dim, output, dtype=store)}
    for key in bias:
        parameters[key] = random(parameters["W" + key[1]].shape[1], dtype=store)
    x, m = random(5, width, dtype=store), random(11, memory, dtype=store)
    project = lambda rows, key: rows @ parameters["W" + key] + parameters.get("b" + key, 0)
    heads_output, weights = attend(project(x[None], "q"), project(m[None], "k"), project(m[None], "v"), heads)
    y = project(heads_output, "o")
    (OUT / name).mkdir(parents=True)
    np.savez(OUT / name / "params.npz", **{"layer0/" + key: value.numpy().astype(dtype) for key, value in parameters.items()})
    case(name, ["-q", "io.npz:x", "-k", "io.npz:memory", "--heads", "2"], {"x": x, "memory": m},
         {"output": y[0], "weights": weights[0]}, f"{name}/params.npz", "layer0/", "plain", heads, dtype=dtype)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    torch_multihead("torch", "encoder.layers.0.self_attn.", bias=True, lengths=[5, 3])
    torch_multihead("torch-no-bias", "self_attn.", bias=False, causal=True)
    torch_multihead("torch-cross", "multihead_attn.", bias=True, kdim=10, vdim=7, lengths=[4, 7])
    torch_multihead("torch-cross-no-bias", "", bias=False, kdim=5, vdim=13)
    checkpoint("bert", "BERT", "bert.encoder.layer.1.attention.", ["self.query", "self.key", "self.value", "output.dense"], True, 3,
               config={"model_type": "bert", "num_attention_heads": 3, "layer_norm_eps": 1e-12, "hidden_act": "gelu"},
               lengths=[6, 4], residual=True)
    checkpoint("bert-f16", "BERT", "encoder.layer.0.attention.", ["self.query", "self.key", "self.value", "output.dense"], True, 2,
               arguments=["--heads", "2"], dtype=torch.float16)
    llama = ["q_proj", "k_proj", "v_proj", "o_proj"]
    checkpoint("llama", "Llama", "model.layers.7.self_attn.", llama, None, 6, width=16, head_dim=8, kv_heads=2, causal=True,
               rope_base=500.0, arguments=["--rope", "half"],
               config={"model_type": "llama", "num_attention_heads": 6, "num_key_value_heads": 2, "rope_theta": 500.0,
                       "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_scaling": None})
    checkpoint("llama-bf16", "Llama", "model.layers.0.self_attn.", llama, ["q_proj", "k_proj", "v_proj"], 4, width=12, head_dim=6,
               kv_heads=1, causal=True, rope_base=10000.0, arguments=["--rope", "half", "--heads", "4"], dtype=torch.bfloat16)
    checkpoint("bart", "BART", "decoder.layers.2.self_attn.", ["q_proj", "k_proj", "v_proj", "out_proj"],
               ["q_proj", "v_proj", "out_proj"], 2, causal=True, arguments=["--heads", "2"])
    checkpoint("distilbert", "DistilBERT", "transformer.layer.0.attention.", ["q_lin", "k_lin", "v_lin", "out_lin"], True, 4,
               config={"model_type": "distilbert", "n_heads": 4, "activation": "gelu"})
    gpt2()
    plain("plain", np.float32, ["bq", "bk", "bv", "bo"])
    plain("plain-f64", np.float64, ["bo"])
    (OUT / "cases.json").write_text(json.dumps(CASES, indent=1) + "\n")


if __name__ == "__main__":
    main()
