# Computes the formulas and listings of examples/documents in NumPy, float64, and holds the printed numbers to them, right ones and
# claims alike: python3 tests/data/documents/listings.py (from the repository; ends with status 1 when a number is off).
import re
import sys
import numpy as np

FOLDER = "examples/documents/"


def softmax(s, axis=-1):
    e = np.exp(s - s.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def unit(x):
    n = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.divide(x, n, out=np.zeros_like(x), where=n > 0)


def read(name):
    """Blocks of a document: data files by name, and (command, text printed, whether it must differ)."""
    text = open(FOLDER + name).read()
    data, printed = {}, []
    for info, body in re.findall(r"^```(\S+ ?[^\n]*)\n(.*?)^```$", text, re.M | re.S):
        if " file=" in info:
            rows = [r.split(",") for r in body.split()] if "," in body else [[r] for r in body.split()]
            data[info.split("file=")[1]] = rows
        elif info.startswith("console"):
            for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
                command, _, output = part.partition("\n")
                printed.append((command, output, "differs" in info))
    return data, printed


def numbers(rows, columns=slice(None)):
    return np.array([[float(c) for c in r[columns]] for r in rows])


def check(name, printed, command, expected, claim=False):
    outputs = [o for c, o, d in printed if c == command and d == claim]
    if not outputs:
        sys.exit(f"{name}: no block has the command {command}")
    words = [w for w in re.split(r"[,\s]+", outputs[0]) if re.fullmatch(r"-?[0-9.]+(e-?\d+)?", w)]
    expected = np.asarray(expected, float).ravel()
    if len(words) != expected.size:
        sys.exit(f"{name}: {command}: {len(words)} numbers, {expected.size} were expected")
    for word, value in zip(words, expected):
        digits = len(word.partition(".")[2])
        if not abs(float(word) - value) <= 0.5 * 10.0**-digits + 2e-7:
            sys.exit(f"{name}: {command}: {word} is printed, {value} is right")
    check.count += expected.size


check.count = 0

# 000
data, printed = read("000.md")
e, t, s = (numbers(data[n + ".csv"]) for n in ("embeddings", "tokens", "series"))
p = np.load(FOLDER + "projections.npz")
q, k, v = (e @ p[n].astype(float) for n in ("Wq", "Wk", "Wv"))
check("000", printed, "attn dot embeddings.csv --params projections.npz --weights weights.csv --dtype f64", softmax(q @ k.T) @ v)
check("000", printed, "attn convert weights.csv -", softmax(q @ k.T))
check("000", printed, "attn dot tokens.csv", softmax(t @ t.T) @ t)
check("000", printed, "attn scaled tokens.csv --weights - -o none", softmax(t @ t.T / np.sqrt(3)))
future, blind = numbers(data["future.csv"]), numbers(data["blind.csv"])
for command in ("attn dot embeddings.csv --mask future.csv --mask-type block", "attn dot embeddings.csv --causal"):
    check("000", printed, command, softmax(e @ e.T + future * -1e9) @ e)
listing = softmax((e @ e.T).astype(np.float32) + (blind * -1e9).astype(np.float32))  # the float32 of the listing
check("000", printed, "attn dot embeddings.csv --mask blind.csv --mask-type block --quiet --weights - -o none", listing, True)
near = np.abs(np.subtract.outer(range(6), range(6))) <= 1
check("000", printed, "attn scaled series.csv --window 1:1 --weights - -o none", softmax(np.where(near, s @ s.T / np.sqrt(2), -np.inf)))
kept = numbers(data["strided.csv"]) > 0
command = "attn scaled series.csv --mask strided.csv --mask-type keep --weights - -o none"
check("000", printed, command, softmax(np.where(kept, s @ s.T / np.sqrt(2), -np.inf)))
causal = np.tril(np.ones((6, 6))) > 0
command = "attn scaled series.csv --causal --temperature 0.5"
check("000", printed, command, softmax(np.where(causal, s @ s.T / np.sqrt(2) / 0.5, -np.inf)) @ s)

# 001
data, printed = read("001.md")
q, x, w = (numbers(data[n + ".csv"]) for n in ("query", "inputs", "words"))
c = unit(q) @ unit(x).T
head = "attn cosine -q query.csv -k inputs.csv "
check("001", printed, head + "--scores - -o none --quiet", c)
check("001", printed, head + "--weights - -o none --quiet", softmax(c))
check("001", printed, head + "--weights - -o none --normalize softmin --quiet", softmax(-c))
check("001", printed, head + "--combine rows --quiet", softmax(c).T * x)
check("001", printed, head + "--quiet", softmax(c) @ x)
p = {n: a.astype(float) for n, a in np.load(FOLDER + "heads.npz").items()}


def heads(z):
    return z.reshape(4, 2, 2).transpose(1, 0, 2)


a = softmax(heads(w @ p["Wq"]) @ heads(w @ p["Wk"]).transpose(0, 2, 1) / np.sqrt(2)) @ heads(w @ p["Wv"])
check("001", printed, "attn multihead words.csv --heads 2 --params heads.npz --dtype f64", a.transpose(1, 0, 2).reshape(4, 4) @ p["Wo"])
scores = heads(w) @ heads(w).transpose(0, 2, 1) / np.sqrt(2)
end = "--weights w.npy -o none && attn convert w.npy - --reshape 8,4"
check("001", printed, "attn multihead words.csv --heads 2 " + end, softmax(scores))
causal = np.tril(np.ones((4, 4))) > 0
check("001", printed, "attn multihead words.csv --heads 2 --causal " + end, softmax(np.where(causal, scores, -np.inf)))
check("001", printed, "attn scaled words.csv --causal --weights - -o none", np.tril(softmax(w @ w.T / 2)), True)
u, i = (numbers(data[n + ".csv"][1:], slice(1, None)) for n in ("users", "items"))
command = ("attn dot -q users.csv:comedy..action -k items.csv:comedy..action --temperature 0.2 --ids users.csv:user "
           "--key-ids items.csv:item --weights - -o none")
check("001", printed, command, softmax(u @ i.T / 0.2))
q, k = numbers(data["question.csv"][1:]), numbers(data["answered.csv"][1:], slice(1, None))
command = ("attn cosine -q question.csv:1..4 -k answered.csv:refund..order --key-ids answered.csv:answer --temperature 0.1 "
           "--weights - -o none")
check("001", printed, command, softmax(unit(q) @ unit(k).T / 0.1))

# 002
data, printed = read("002.md")
x = numbers(data["sequence.csv"])
c, d = unit(x) @ unit(x).T, np.linalg.norm(x[:, None] - x, axis=-1)
check("002", printed, "attn cosine sequence.csv --scores - -o none", c)
check("002", printed, "attn cosine sequence.csv --weights - -o none", softmax(c))
check("002", printed, "attn cosine sequence.csv", softmax(c) @ x)
check("002", printed, "attn run sequence.csv --score euclidean --scores - -o none", -d)
check("002", printed, "attn run sequence.csv --score euclidean", softmax(-d) @ x)
check("002", printed, "attn run sequence.csv --score euclidean --weights - -o none", softmax(-d))
check("002", printed, "attn run sequence.csv --score euclidean --weights - -o none", softmax(d), True)
two = c[:, :2]
check("002", printed, "attn cosine -q sequence.csv -k first.csv --weights - -o none", np.exp(two) / two.sum(1, keepdims=True), True)

# 003
data, printed = read("003.md")
q, k, v = (numbers(data[n + ".csv"]) for n in "qkv")
a = softmax(q @ k.T / 2)
head = "attn scaled -q q.csv -k k.csv -v v.csv"
check("003", printed, head + " --weights - -o none", a)
check("003", printed, head + " --normalize double-softmax --weights - -o none", softmax(a))
check("003", printed, head + " --normalize double-softmax --residual", softmax(a) @ v + q)
check("003", printed, head, softmax(a) @ v + q, True)
check("003", printed, head + " --weights - -o none", softmax(q @ k.T / 2, 0), True)
kept = numbers(data["kept.csv"])
check("003", printed, head + " --mask kept.csv --mask-type keep --dtype f64", softmax(np.where(kept == 0, -1e9, q @ k.T / 2)) @ v)
s = unit(numbers(data["sentences.csv"][1:]))
w = softmax(s @ s.T / 0.3)
facts = [[0, 0, j, w[:, j].sum(), w[:, j].max(), w[:, j].argmax()] for j in range(len(w))]
check("003", printed, "attn stats sentences.csv --score cosine --temperature 0.3 --per column", facts)

# 004
data, printed = read("004.md")
x, w, d = (numbers(data[n + ".csv"]) for n in ("x", "words", "decoder"))
check("004", printed, "attn scaled ones.csv --params ones.npz", np.full((4, 3), 3))
check("004", printed, "attn dot x.csv", softmax(x @ x.T) @ x)
check("004", printed, "attn scaled x.csv", softmax(x @ x.T / np.sqrt(3)) @ x)
check("004", printed, "attn scaled x.csv", softmax(x @ x.T) @ x, True)
future = numbers(data["future.csv"])
check("004", printed, "attn dot x.csv --mask future.csv --mask-type add --weights - -o none", softmax(x @ x.T + future))
check("004", printed, "attn scaled -q decoder.csv -k words.csv", softmax(d @ w.T / 2) @ w)
p = {n: a.astype(float) for n, a in np.load(FOLDER + "encoder.npz").items()}
q, k, v = (heads(w @ m.T) for m in np.split(p["self_attn.in_proj_weight"], 3))
a = (softmax(q @ k.transpose(0, 2, 1) / np.sqrt(2)) @ v).transpose(1, 0, 2).reshape(4, 4) @ p["self_attn.out_proj.weight"].T


def norm(z):
    return (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5)


h = norm(w + a)
h = norm(h + np.maximum(h @ p["linear1.weight"].T, 0) @ p["linear2.weight"].T)
check("004", printed, "attn layer words.csv --params encoder.npz --heads 2 --dtype f64", h)

print(f"{check.count} numbers of the documents are right")
