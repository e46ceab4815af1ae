"""A process that computes attention with another library, as long and as often as attention.py tells it to on standard input.

It lives long, so that imports, threads and memory are there before anything is timed. Orders and answers are lines of JSON:
{"do": "prepare", "shape": {...}, "threads": n} makes inputs and answers how it will compute and a few numbers of the output,
{"do": "run", "seconds": s, "processor": false} computes for so long and answers the seconds of each time (true: of processor time).
"""

import json
import sys
import time

import numpy as np


def inputs(shape):
    """Query, key and value [batch, heads, length, dim], the same for every library."""
    random = np.random.default_rng(1)
    batch, heads, q_len, kv_len, dim = shape["sizes"]
    sizes = [(heads, q_len), (shape["kv_heads"], kv_len), (shape["kv_heads"], kv_len)]
    return [random.standard_normal((batch, h, length, dim), dtype=np.float32) for h, length in sizes]


def timed(compute, seconds, clock=time.perf_counter):
    """Seconds of each call by `clock`: one that does not count, then calls for about so long."""
    compute()
    times = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = clock()
        compute()
        times.append(clock() - start)
    return times


def window_mask(shape):
    q_len, kv_len = shape["sizes"][2:4]
    left, right = shape["window"]
    distance = np.arange(kv_len, dtype=np.int32)[None, :] - np.arange(q_len, dtype=np.int32)[:, None]
    return (distance >= -left) & (distance <= right)


class PyTorch:
    def __init__(self):
        import torch

        self.torch = torch

    def ways(self, shape, threads):
        torch = self.torch
        torch.set_num_threads(threads)
        query, key, value = map(torch.from_numpy, inputs(shape))
        options = {"is_causal": shape["causal"]}
        if shape["window"]:
            options["attn_mask"] = torch.from_numpy(window_mask(shape))
        if shape["kv_heads"] != shape["sizes"][1]:
            options["enable_gqa"] = True

        def compute():
            with torch.inference_mode():
                return torch.nn.functional.scaled_dot_product_attention(query, key, value, **options)

        yield "scaled_dot_product_attention", compute, lambda output: output.numpy()


class OnnxRuntime:
    """Every operator that fits the shape, in each layout it takes; the fastest is held against attn."""

    def session(self, node, values, output, threads):
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper

        types = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}
        described = [helper.make_tensor_value_info(n, types[v.dtype], v.shape) for n, v in values.items()]
        outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in output.items()]
        versions = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(helper.make_graph([node], "attention", described, outputs), opset_imports=versions)
        model.ir_version = min(model.ir_version, 11)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        for name, value in values.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value))
        for name in output:
            binding.bind_output(name)

        def compute():
            session.run_with_iobinding(binding)
            return binding.get_outputs()[0]

        return compute

    def ways(self, shape, threads):
        from onnx import helper

        if shape["window"]:
            return
        query, key, value = inputs(shape)
        batch, heads, q_len, kv_len, dim = shape["sizes"]
        kv_heads = shape["kv_heads"]
        causal = int(shape["causal"])

        def packed(x):
            return np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(batch, x.shape[2], -1)

        def apart(output):
            return output.numpy().reshape(batch, q_len, heads, dim).transpose(0, 2, 1, 3)

        node = helper.make_node("Attention", ["q", "k", "v"], ["o"], is_causal=causal)
        yield (
            "Attention",
            self.session(node, {"q": query, "k": key, "v": value}, {"o": query.shape}, threads),
            lambda output: output.numpy(),
        )
        rows = packed(query)
        if kv_heads == heads:
            node = helper.make_node(
                "MultiHeadAttention", ["q", "k", "v"], ["o"], domain="com.microsoft", num_heads=heads, unidirectional=causal
            )
            for name, k, v in (("heads packed", packed(key), packed(value)), ("keys apart", key, value)):
                compute = self.session(node, {"q": rows, "k": k, "v": v}, {"o": rows.shape}, threads)
                yield f"MultiHeadAttention, {name}", compute, apart
        elif causal and q_len == kv_len:
            names = ["q", "k", "v", "", "", "last", "total"]
            node = helper.make_node(
                "GroupQueryAttention", names, ["o", "pk", "pv"], domain="com.microsoft", num_heads=heads, kv_num_heads=kv_heads
            )
            values = {"q": rows, "k": packed(key), "v": packed(value)}
            values["last"] = np.full(batch, kv_len - 1, np.int32)
            values["total"] = np.array([kv_len], np.int32)
            outputs = {"o": rows.shape, "pk": key.shape, "pv": key.shape}
            yield "GroupQueryAttention", self.session(node, values, outputs, threads), apart


def prepare(library, order):
    """The fastest of the library's ways: its name, its function, and a sample of its output."""
    best = None
    for name, compute, as_numpy in library.ways(order["shape"], order["threads"]):
        output = as_numpy(compute())
        sample = [float(x) for x in np.concatenate([output[0, 0, -1, :4], output[-1, -1, 0, -4:]])]
        seconds = min(timed(compute, 0.1))
        if best is None or seconds < best[0]:
            best = (seconds, name, compute, sample)
    return best


def main():
    library = {"pytorch": PyTorch, "onnxruntime": OnnxRuntime}[sys.argv[1]]()
    compute = None
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "prepare":
            compute = None
            best = prepare(library, order)
            if best is None:
                answer = {"way": None}
            else:
                seconds, way, compute, sample = best
                answer = {"way": way, "seconds": seconds, "sample": sample}
        else:
            clock = time.process_time if order["processor"] else time.perf_counter
            answer = {"times": timed(compute, order["seconds"], clock)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
