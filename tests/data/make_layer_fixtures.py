"""Makes tests/data/layer: python3 make_layer_fixtures.py (needs NumPy, PyTorch and safetensors; the tests need none of them).

Transformer layers of every naming scheme with small random weights: the parameters as a checkpoint would hold them, inputs, and
what the layer computes, in float64 from the parameters as they were rounded. nn.TransformerEncoderLayer and
nn.TransformerDecoderLayer are PyTorch's own; the layers of other models are written out below from their definitions, with
PyTorch's norms and activations. cases.json lists, for each case, the arguments of `attn layer` and the arrays to compare with.
"""

import json
import math
import pathlib
import shutil

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

OUT = pathlib.Path(__file__).parent / "layer"
CASES = []
torch.manual_seed(20240612)
torch.set_default_dtype(torch.float64)
torch.backends.mha.set_fastpath_enabled(False)  # it fills padded rows with zeros


def random(*shape, scale=1.0, dtype=torch.float32):
    """Normal numbers that a file of `dtype` can hold, in float64."""
    return (torch.randn(*shape) * scale).to(dtype).double()


def case(name, parameters, prefix, scheme, heads, inputs, expected, arguments=(), config=None, dtype=torch.float32, memory=False):
    """`inputs` are arrays of NAME/io.npz (x, memory); what is expected is called by the flag that writes it."""
    folder = OUT / name
    folder.mkdir(parents=True)
    stored = {prefix + key: value.to(dtype).contiguous() for key, value in parameters.items()}
    save_file(stored, folder / "model.safetensors")
    if config:
        (folder / "config.json").write_text(json.dumps(config) + "\n")
    arrays = {key: np.asarray(value, dtype=np.float32) for key, value in inputs.items()}
    arrays |= {"expected_" + key: np.asarray(value, dtype=np.float64) for key, value in expected.items()}
    np.savez_compressed(folder / "io.npz", **arrays)
    CASES.append({"name": name, "arguments": list(arguments), "prefix": prefix, "scheme": scheme, "heads": heads,
                  "memory": memory, "expected": sorted(expected)})


def fill(module):
    """Random parameters; the weights of norms stay near 1."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            is_norm = "norm" in name and name.endswith("weight")
            parameter.copy_(random(*parameter.shape, scale=0.3) + (1 if is_norm else 0))
            parameter.copy_(parameter.float().double())


def padding(lengths, length):
    return None if lengths is None else torch.arange(length) >= torch.tensor(lengths)[:, None]


def numbers(values):
    return ",".join(map(str, values))


class Watch:
    """The weights of an nn.MultiheadAttention, each head's, as it computes them."""

    def __init__(self, attention):
        self.weights = []
        forward = attention.forward

        def watched(*arguments, **options):
            options |= {"need_weights": True, "average_attn_weights": False}
            output, weights = forward(*arguments, **options)
            self.weights.append(weights.detach())
            return output, weights

        attention.forward = watched


def torch_encoder(name, lengths=None, **options):
    layer = torch.nn.TransformerEncoderLayer(12, 3, 20, batch_first=True, **options).eval()
    fill(layer)
    watch = Watch(layer.self_attn)
    x = random(2, 7, 12)
    with torch.no_grad():
        y = layer(x, src_key_padding_mask=padding(lengths, 7))
    arguments = ["--heads", "3"] + (["--key-lengths", numbers(lengths)] if lengths else [])
    arguments += ["--norm", "pre"] if options.get("norm_first") else []
    arguments += ["--activation", "gelu"] if options.get("activation") == "gelu" else []
    arguments += ["--norm-eps", str(options["layer_norm_eps"])] if "layer_norm_eps" in options else []
    case(name, layer.state_dict(), "encoder.layers.0.", "PyTorch encoder", 3, {"x": x}, {"output": y, "weights": watch.weights[0]},
         arguments)


def torch_decoder(name, lengths=None, memory_lengths=None, causal=True, **options):
    layer = torch.nn.TransformerDecoderLayer(12, 2, 18, batch_first=True, **options).eval()
    fill(layer)
    own, cross = Watch(layer.self_attn), Watch(layer.multihead_attn)
    x, memory = random(2, 6, 12), random(2, 9, 12)
    above = torch.ones(6, 6).triu(1).bool() if causal else None
    with torch.no_grad():
        y = layer(x, memory, tgt_mask=above, tgt_key_padding_mask=padding(lengths, 6),
                  memory_key_padding_mask=padding(memory_lengths, 9))
    arguments = ["--heads", "2"] + (["--causal"] if causal else [])
    arguments += ["--key-lengths", numbers(lengths)] if lengths else []
    arguments += ["--memory-lengths", numbers(memory_lengths)] if memory_lengths else []
    arguments += ["--norm", "pre"] if options.get("norm_first") else []
    arguments += ["--activation", "gelu"] if options.get("activation") == "gelu" else []
    case(name, layer.state_dict(), "decoder.layers.1.", "PyTorch decoder", 2, {"x": x, "memory": memory},
         {"output": y, "weights": own.weights[0], "cross-weights": cross.weights[0]}, arguments, memory=True)


def rope_frequencies(dim, base, scaling, length):
    """base^(-2i/dim), changed as a model's rope_scaling says."""
    kind = (scaling or {}).get("rope_type")
    if kind == "ntk":
        base *= scaling["factor"] ** (dim / (dim - 2))
    if kind == "dynamic":
        trained = scaling["trained"]
        if length > trained:
            base *= (scaling["factor"] * length / trained - (scaling["factor"] - 1)) ** (dim / (dim - 2))
    frequency = base ** (-torch.arange(0, dim, 2) / dim)
    if kind == "linear":
        frequency = frequency / scaling["factor"]
    if kind == "llama3":
        low_wave = scaling["original_max_position_embeddings"] / scaling["low_freq_factor"]
        high_wave = scaling["original_max_position_embeddings"] / scaling["high_freq_factor"]
        result = []
        for f in frequency.tolist():
            wave = 2 * math.pi / f
            if wave < high_wave:
                result.append(f)
            elif wave > low_wave:
                result.append(f / scaling["factor"])
            else:
                smooth = (scaling["original_max_position_embeddings"] / wave - scaling["low_freq_factor"]) / (
                    scaling["high_freq_factor"] - scaling["low_freq_factor"])
                result.append((1 - smooth) * f / scaling["factor"] + smooth * f)
        frequency = torch.tensor(result)
    return frequency


def rotate(x, frequency):
    """The first 2 * len(frequency) features of each row turn, in halves."""
    dim = 2 * len(frequency)
    angle = torch.arange(x.shape[-2])[:, None] * frequency
    cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
    turning, rest = x[..., :dim], x[..., dim:]
    swapped = torch.cat([-turning[..., dim // 2:], turning[..., :dim // 2]], -1)
    return torch.cat([turning * cos + swapped * sin, rest], -1)


def attend(q, k, v, heads, kv_heads=None, causal=False, lengths=None, frequency=None, q_norm=None, k_norm=None):
    """Projected [batch, length, heads * dim] rows -> rows and weights."""
    kv_heads = kv_heads or heads
    split = lambda x, n: x.unflatten(-1, (n, -1)).transpose(1, 2)
    q, k, v = split(q, heads), split(k, kv_heads), split(v, kv_heads)
    if q_norm:
        q, k = q_norm(q), k_norm(k)
    if frequency is not None:
        q, k = rotate(q, frequency), rotate(k, frequency)
    k, v = (x.repeat_interleave(heads // kv_heads, 1) for x in (k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    hidden = padding(lengths, scores.shape[-1])
    if hidden is not None:
        scores = scores.masked_fill(hidden[:, None, None], -torch.inf)
    weights = scores.softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2), weights


class Model:
    """Named parameters that are made when they are first used."""

    def __init__(self, dtype=torch.float32):
        self.parameters = {}
        self.dtype = dtype

    def get(self, name, *shape, scale=0.3, offset=0.0):
        if name not in self.parameters:
            self.parameters[name] = (random(*shape, scale=scale) + offset).to(self.dtype).double()
        return self.parameters[name]

    def linear(self, name, x, out, bias=True, transposed=False):
        """A checkpoint's [out, in] weight, or GPT-2's [in, out]."""
        width = x.shape[-1]
        weight = self.get(name + ".weight", *((width, out) if transposed else (out, width)))
        y = x @ (weight if transposed else weight.T)
        return y + self.get(name + ".bias", out) if bias else y

    def layer_norm(self, name, x, epsilon, names=("weight", "bias")):
        width = x.shape[-1]
        weight, bias = self.get(f"{name}.{names[0]}", width, offset=1.0), self.get(f"{name}.{names[1]}", width)
        return F.layer_norm(x, (width,), weight, bias, epsilon)

    def rms_norm(self, name, x, epsilon):
        weight = self.get(name + ".weight", x.shape[-1], offset=1.0)
        return F.rms_norm(x, (x.shape[-1],), weight, epsilon)


def bert(name, prefix, lengths=None, memory=None, names=("weight", "bias"), dtype=torch.float32, config=None, arguments=()):
    m, width, heads, epsilon = Model(dtype), 12, 3, 1e-12
    x = start = random(2, 6, width)
    project = lambda part, rows, others: [m.linear(f"{part}.self.{n}", r, width)
                                          for n, r in (("query", rows), ("key", others), ("value", others))]
    y, weights = attend(*project("attention", x, x), heads, causal=memory is not None, lengths=lengths)
    x = m.layer_norm("attention.output.LayerNorm", x + m.linear("attention.output.dense", y, width), epsilon, names)
    expected = {"weights": weights}
    inputs = {"x": start}
    if memory is not None:
        inputs["memory"] = random(2, 8, width)
        y, expected["cross-weights"] = attend(*project("crossattention", x, inputs["memory"]), heads, lengths=memory)
        x = m.layer_norm("crossattention.output.LayerNorm", x + m.linear("crossattention.output.dense", y, width), epsilon, names)
    hidden = F.gelu(m.linear("intermediate.dense", x, 20))
    x = m.layer_norm("output.LayerNorm", x + m.linear("output.dense", hidden, width), epsilon, names)
    flags = list(arguments) + (["--key-lengths", numbers(lengths)] if lengths else [])
    flags += ["--memory-lengths", numbers(memory)] if memory else []
    case(name, m.parameters, prefix, "BERT decoder" if memory else "BERT", heads, inputs, expected | {"output": x}, flags, config,
         dtype, memory is not None)


def distilbert():
    m, width, heads, epsilon = Model(), 12, 4, 1e-12
    x = start = random(1, 5, width)
    q, k, v = (m.linear(f"attention.{n}_lin", x, width) for n in "qkv")
    y, weights = attend(q, k, v, heads)
    x = m.layer_norm("sa_layer_norm", x + m.linear("attention.out_lin", y, width), epsilon)
    hidden = F.gelu(m.linear("ffn.lin1", x, 24))
    x = m.layer_norm("output_layer_norm", x + m.linear("ffn.lin2", hidden, width), epsilon)
    case("distilbert", m.parameters, "distilbert.transformer.layer.3.", "DistilBERT", heads, {"x": start},
         {"output": x, "weights": weights}, config={"model_type": "distilbert", "n_heads": heads, "activation": "gelu"})


def bart(name, decoder, pre, activation, config=None):
    """Whisper's and mBART's layers have the names of BART's and normalize before their parts; the key has no bias."""
    m, width, heads, epsilon = Model(), 12, 2, 1e-5
    x = start = random(2, 6, width)
    inputs, expected = {"x": start}, {}

    def attention(part, rows, others, **options):
        q, k, v = m.linear(part + ".q_proj", rows, width), m.linear(part + ".k_proj", others, width, bias=False), m.linear(
            part + ".v_proj", others, width)
        y, weights = attend(q, k, v, heads, **options)
        return m.linear(part + ".out_proj", y, width), weights

    def part(norm, x, f):
        if pre:
            return x + f(m.layer_norm(norm, x, epsilon))
        return m.layer_norm(norm, x + f(x), epsilon)

    def own(rows):
        y, expected["weights"] = attention("self_attn", rows, rows, causal=decoder)
        return y

    def cross(rows):
        y, expected["cross-weights"] = attention("encoder_attn", rows, inputs["memory"])
        return y

    x = part("self_attn_layer_norm", x, own)
    if decoder:
        inputs["memory"] = random(2, 4, width)
        x = part("encoder_attn_layer_norm", x, cross)
    x = part("final_layer_norm", x, lambda rows: m.linear("fc2", activation(m.linear("fc1", rows, 16)), width))
    arguments = ["--norm", "pre"] if pre else []
    prefix = "model.decoder.layers.0." if decoder else "model.encoder.layers.0."
    arguments += [] if config else ["--heads", str(heads)]
    case(name, m.parameters, prefix, "BART decoder" if decoder else "BART encoder", heads, inputs, expected | {"output": x},
         arguments, config, memory=decoder)


def gpt2(name, arguments=(), causal=True, config=None):
    m, width, heads, epsilon = Model(), 12, 4, 1e-5
    x = start = random(2, 7, width)
    q, k, v = m.linear("attn.c_attn", m.layer_norm("ln_1", x, epsilon), 3 * width, transposed=True).split(width, -1)
    y, weights = attend(q, k, v, heads, causal=causal)
    x = x + m.linear("attn.c_proj", y, width, transposed=True)
    hidden = F.gelu(m.linear("mlp.c_fc", m.layer_norm("ln_2", x, epsilon), 48, transposed=True), approximate="tanh")
    x = x + m.linear("mlp.c_proj", hidden, width, transposed=True)
    stored = m.parameters | {"attn.bias": torch.ones(1, 1, 7, 7).tril()}  # GPT-2's checkpoints hold the causal mask as well
    case(name, stored, "transformer.h.11.", "GPT-2", heads, {"x": start}, {"output": x, "weights": weights}, arguments, config)


def llama(name, base=10000.0, scaling=None, qk_norm=False, bias=False, layer_norm=False, fraction=1.0, arguments=(), config=None,
          epsilon=1e-6, length=9, dtype=torch.float32):
    m, width, heads, kv_heads, head_dim = Model(dtype), 20, 4, 2, 8
    x = start = random(2, length, width)
    norm = m.layer_norm if layer_norm else m.rms_norm
    rows = norm("input_layernorm", x, epsilon)
    q = m.linear("self_attn.q_proj", rows, heads * head_dim, bias=bias)
    k = m.linear("self_attn.k_proj", rows, kv_heads * head_dim, bias=bias)
    v = m.linear("self_attn.v_proj", rows, kv_heads * head_dim, bias=bias)
    norms = {} if not qk_norm else {"q_norm": lambda t: m.rms_norm("self_attn.q_norm", t, epsilon),
                                    "k_norm": lambda t: m.rms_norm("self_attn.k_norm", t, epsilon)}
    frequency = rope_frequencies(int(head_dim * fraction), base, scaling, length)
    y, weights = attend(q, k, v, heads, kv_heads, causal=True, frequency=frequency, **norms)
    x = x + m.linear("self_attn.o_proj", y, width, bias=False)
    rows = norm("post_attention_layernorm", x, epsilon)
    gate, up = m.linear("mlp.gate_proj", rows, 28, bias=False), m.linear("mlp.up_proj", rows, 28, bias=False)
    x = x + m.linear("mlp.down_proj", F.silu(gate) * up, width, bias=False)
    case(name, m.parameters, "model.layers.7.", "Llama", heads, {"x": start}, {"output": x, "weights": weights}, arguments, config,
         dtype)


def llama_config(**more):
    return {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "hidden_act": "silu",
            "rms_norm_eps": 1e-5} | more


def stack(name, **options):
    """nn.TransformerEncoder: three layers, the weights of each, and what flows from row to row over all of them."""
    layers = [torch.nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, **options).eval() for _ in range(3)]
    parameters = {}
    x = start = random(2, 6, 8)
    lengths = [6, 4]
    expected, flow = {}, torch.eye(6).repeat(2, 1, 1)
    for number, layer in enumerate(layers):
        fill(layer)
        watch = Watch(layer.self_attn)
        with torch.no_grad():
            x = layer(x, src_key_padding_mask=padding(lengths, 6))
        expected[f"weights{number}"] = watch.weights[0]
        step = watch.weights[0].mean(1) / 2 + torch.eye(6) / 2
        flow = (step / step.sum(-1, keepdim=True)) @ flow
        parameters |= {f"layers.{number}.{key}": value for key, value in layer.state_dict().items()}
    case(name, parameters, "encoder.", "PyTorch encoder", 2, {"x": start}, expected | {"output": x, "rollout": flow},
         ["--heads", "2", "--key-lengths", numbers(lengths)] + (["--norm", "pre"] if options.get("norm_first") else []))


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    torch_encoder("torch-encoder", lengths=[7, 4])
    torch_encoder("torch-encoder-pre", norm_first=True, activation="gelu", layer_norm_eps=1e-3)
    torch_encoder("torch-encoder-no-bias", bias=False, activation="gelu")
    torch_decoder("torch-decoder", memory_lengths=[9, 5])
    torch_decoder("torch-decoder-pre", lengths=[4, 6], norm_first=True, activation="gelu", causal=False)
    bert("bert", "bert.encoder.layer.1.", lengths=[6, 3],
         config={"model_type": "bert", "num_attention_heads": 3, "layer_norm_eps": 1e-12, "hidden_act": "gelu"})
    bert("bert-old-names", "encoder.layer.0.", names=("gamma", "beta"), arguments=["--heads", "3"])
    bert("bert-f16", "encoder.layer.0.", dtype=torch.float16, arguments=["--heads", "3"])
    bert("bert-decoder", "bert.encoder.layer.0.", memory=[8, 3], arguments=["--heads", "3"])
    distilbert()
    bart("bart-encoder", False, False, F.gelu, {"model_type": "bart", "encoder_attention_heads": 2, "activation_function": "gelu"})
    bart("bart-decoder", True, False, F.gelu)
    bart("whisper-decoder", True, True, F.gelu)
    gpt2("gpt2", config={"model_type": "gpt2", "n_head": 4, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new"})
    gpt2("gpt2-bidirectional", ["--heads", "4", "--bidirectional"], causal=False)
    heads = ["--heads", "4"]
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 64}
    llama("llama", arguments=heads)
    llama("llama-config", base=500.0, epsilon=1e-5, config=llama_config(rope_theta=500.0, rope_scaling=None), bias=True)
    llama("llama-llama3", base=500.0, epsilon=1e-5, scaling=llama3, config=llama_config(rope_theta=500.0, rope_scaling=llama3))
    llama("llama-llama3-option", scaling=llama3, arguments=heads + ["--rope-scaling", "llama3:8:1:4:64"])
    llama("llama-linear", epsilon=1e-5, scaling={"rope_type": "linear", "factor": 4.0},
          config=llama_config(rope_scaling={"type": "linear", "factor": 4.0}))
    llama("llama-ntk", scaling={"rope_type": "ntk", "factor": 4.0}, arguments=heads + ["--rope-scaling", "ntk:4"])
    llama("llama-dynamic", epsilon=1e-5, scaling={"rope_type": "dynamic", "factor": 2.0, "trained": 6}, length=11,
          config=llama_config(max_position_embeddings=6, rope_scaling={"rope_type": "dynamic", "factor": 2.0}))
    llama("llama-dynamic-short", scaling={"rope_type": "dynamic", "factor": 2.0, "trained": 16}, arguments=heads + [
        "--rope-scaling", "dynamic:2:16"])
    llama("llama-qk-norm", qk_norm=True, epsilon=1e-5, config=llama_config(model_type="qwen3", rope_theta=10000.0))
    llama("llama-bf16", dtype=torch.bfloat16, arguments=heads)
    llama("llama-layer-norm", layer_norm=True, fraction=0.5, epsilon=1e-5,
          config=llama_config(model_type="stablelm", partial_rotary_factor=0.5))
    stack("stack")
    stack("stack-pre", norm_first=True)
    (OUT / "cases.json").write_text(json.dumps(CASES, indent=1) + "\n")


if __name__ == "__main__":
    main()
