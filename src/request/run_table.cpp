// The option table of `attn run`: one row for each option.
#include "request/run_request.hpp"

#include <cmath>

#include <fmt/format.h>

namespace attn {

void read_value(const std::string& option, const std::string& text, Window& value) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos)
    throw Error(Status::usage, fmt::format("{}: '{}' is not L:R", option, text),
                "the last 128 keys and the query's own: --window 128:0");
  const std::string left = text.substr(0, colon);
  const std::string right = text.substr(colon + 1);
  value = {};
  if (!left.empty()) request::read_value(option, left, value.left.emplace());
  if (!right.empty()) request::read_value(option, right, value.right.emplace());
}

request::OptionValue show_value(const Window& value) {
  if (value.open()) return {};
  const auto side = [](const std::optional<std::int64_t>& s) { return s ? std::to_string(*s) : std::string(); };
  return side(value.left) + ":" + side(value.right);
}

namespace request {

void read_value(const std::string& option, const std::string& text, ByteSize& value) {
  std::size_t digits = text.find_first_not_of("0123456789.");
  if (digits == std::string::npos) digits = text.size();
  double number = 0;
  if (digits > 0) read_value(option, text.substr(0, digits), number);
  std::string unit = text.substr(digits);
  if (unit.ends_with("iB")) unit.resize(unit.size() - 2);
  if (unit.ends_with("B")) unit.pop_back();
  const std::string units = "KMGT";
  const std::size_t power = unit.empty() ? 0 : units.find(unit) + 1;
  const double bytes = std::ldexp(number, static_cast<int>(10 * power));
  if (digits == 0 || unit.size() > 1 || (!unit.empty() && power == 0) || bytes > 0x1p62)
    throw Error(Status::usage, fmt::format("{}: '{}' is not a size", option, text),
                "sizes are written like 512M or 2G (powers of 1024)");
  value.bytes = static_cast<std::uint64_t>(bytes);
}

OptionValue show_value(const ByteSize& value) { return static_cast<std::int64_t>(value.bytes); }

namespace {

constexpr const char* kInputs = "Inputs";
constexpr const char* kOutputs = "Outputs";
constexpr const char* kScores = "Scores and weights";
constexpr const char* kMasks = "Masks and positions";
constexpr const char* kHeads = "Heads and cache";
constexpr const char* kRunning = "Running";

using Run = RunRequest;

void add_inputs(Table<Run>& t) {
  t.push_back(row<Run>(
      {.name = "X",
       .metavar = "F",
       .group = kInputs,
       .help = "self-attention on X: query, key and value at once",
       .details = "FILE is a path or - for standard input; a colon selects columns of a CSV (x.csv:p0..p63, x.csv:1..3,7) or an "
                  "array of an NPZ or safetensors file (case.npz:Q).",
       .positional = true},
      [](auto& s) -> auto& { return s.input; }));
  t.push_back(row<Run>({.name = "query",
                        .letter = 'q',
                        .metavar = "F",
                        .group = kInputs,
                        .help = "queries: [length, dim], [batch, length, dim] or [batch, heads, length, dim]"},
                       [](auto& s) -> auto& { return s.query; }));
  t.push_back(row<Run>({.name = "key", .letter = 'k', .metavar = "F", .group = kInputs, .help = "keys (default: the query)"},
                       [](auto& s) -> auto& { return s.key; }));
  t.push_back(row<Run>(
      {.name = "value", .letter = 'v', .metavar = "F", .group = kInputs, .help = "values, one for each key (default: the key)"},
      [](auto& s) -> auto& { return s.value; }));
  t.push_back(row<Run>({.name = "ids",
                        .metavar = "F",
                        .group = kInputs,
                        .help = "names of the queries: a text file, or a column (x.csv:word)",
                        .details = "Carried into CSV outputs. With self-attention they name the keys too."},
                       [](auto& s) -> auto& { return s.ids; }));
  t.push_back(row<Run>({.name = "key-ids", .metavar = "F", .group = kInputs, .help = "names of the keys"},
                       [](auto& s) -> auto& { return s.key_ids; }));
  t.push_back(row<Run>({.name = "nan",
                        .metavar = "POLICY",
                        .group = kInputs,
                        .help = "a NaN in the input that no mask hides is computed with, or refused"},
                       [](auto& s) -> auto& { return s.nan; }));
}

void add_outputs(Table<Run>& t) {
  t.push_back(row<Run>({.name = "output",
                        .letter = 'o',
                        .metavar = "F",
                        .group = kOutputs,
                        .help = "the output, in the layout of the query; none drops it",
                        .writes = true},
                       [](auto& s) -> auto& { return s.output; }));
  t.push_back(row<Run>({.name = "weights",
                        .metavar = "F",
                        .group = kOutputs,
                        .help = "the weights [batch, heads, q_len, kv_len]",
                        .details = "Axes that the query's layout does not have are left out: a 2-D query gives [q_len, kv_len].",
                        .writes = true},
                       [](auto& s) -> auto& { return s.weights; }));
  t.push_back(row<Run>({.name = "weights-form",
                        .metavar = "FORM",
                        .group = kOutputs,
                        .help = "CSV weights as a matrix, or as rows batch,head,query,key,weight"},
                       [](auto& s) -> auto& { return s.weights_form; }));
  t.push_back(
      row<Run>({.name = "scores", .metavar = "F", .group = kOutputs, .help = "the scores, shaped as the weights", .writes = true},
               [](auto& s) -> auto& { return s.scores; }));
  t.push_back(row<Run>(
      {.name = "scores-stage",
       .metavar = "STAGE",
       .group = kOutputs,
       .help = "scores after scale and temperature, after softcap, or after bias and masks",
       .details = "raw and capped hold every pair, masked or not, so a masked key's NaN may show there; masked is -inf."},
      [](auto& s) -> auto& { return s.scores_stage; }));
  t.push_back(row<Run>(
      {.name = "lse",
       .metavar = "F",
       .group = kOutputs,
       .help = "ln of the sum of exp(logit) of each row [batch, heads, q_len]",
       .details = "Natural logarithm, over the visible keys, whatever the normalizer; -inf for a query without a visible key.",
       .writes = true},
      [](auto& s) -> auto& { return s.lse; }));
  t.push_back(row<Run>({.name = "report",
                        .metavar = "F",
                        .group = kOutputs,
                        .help = "a JSON record of options, files, seconds and memory",
                        .writes = true},
                       [](auto& s) -> auto& { return s.report; }));
}

void add_scores(Table<Run>& t) {
  t.push_back(row<Run>(
      {.name = "score",
       .metavar = "KIND",
       .group = kScores,
       .help = "what a query and a key score",
       .details = "scaled is the dot product over sqrt(head_dim). The Euclidean scores are negative distances, so that near is "
                  "large. A zero vector has cosine 0 with everything."},
      [](auto& s) -> auto& { return s.attention.score; }));
  t.push_back(row<Run>({.name = "scale",
                        .metavar = "S",
                        .group = kScores,
                        .help = "factor of the scores (default: 1/sqrt(head_dim) for scaled, else 1)"},
                       [](auto& s) -> auto& { return s.attention.scale; }));
  t.push_back(row<Run>({.name = "temperature", .metavar = "T", .group = kScores, .help = "divisor of the scores: small is sharp"},
                       [](auto& s) -> auto& { return s.attention.temperature; }));
  t.push_back(row<Run>({.name = "softcap", .metavar = "C", .group = kScores, .help = "scores s become C*tanh(s/C); 0 is off"},
                       [](auto& s) -> auto& { return s.attention.softcap; }));
  t.push_back(row<Run>(
      {.name = "normalize",
       .metavar = "KIND",
       .group = kScores,
       .help = "from logits to weights",
       .details = "softmax1 divides by 1 + the sum; double-softmax takes the softmax of the softmax; none keeps the logits."},
      [](auto& s) -> auto& { return s.attention.normalize; }));
  t.push_back(row<Run>(
      {.name = "combine", .metavar = "HOW", .group = kScores, .help = "sum the weighted values, or keep them as rows w_ij v_j"},
      [](auto& s) -> auto& { return s.attention.combine; }));
  t.push_back(row<Run>({.name = "residual", .group = kScores, .help = "add the query to the output"},
                       [](auto& s) -> auto& { return s.attention.residual; }));
  t.push_back(
      row<Run>({.name = "empty-rows", .metavar = "POLICY", .group = kScores, .help = "what a query with no key left gets"},
               [](auto& s) -> auto& { return s.attention.empty_rows; }));
  t.push_back(row<Run>({.name = "zero-vectors", .metavar = "POLICY", .group = kScores, .help = "the cosine of a zero vector"},
                       [](auto& s) -> auto& { return s.attention.zero_vectors; }));
}

void add_masks(Table<Run>& t) {
  t.push_back(row<Run>({.name = "mask",
                        .metavar = "F",
                        .group = kMasks,
                        .help = "a mask, broadcast right-aligned to [batch, heads, q_len, kv_len]",
                        .details = "A mask shorter than kv_len leaves the rest masked."},
                       [](auto& s) -> auto& { return s.mask; }));
  t.push_back(row<Run>(
      {.name = "mask-type",
       .metavar = "TYPE",
       .group = kMasks,
       .help = "what a mask's entries mean: 1 stays, 1 is masked, or added",
       .details =
           "auto: keep for bool arrays and add for float arrays of binary files; CSV and integer masks, and float masks that "
           "hold only 0 and 1, must say it."},
      [](auto& s) -> auto& { return s.mask_type; }));
  t.push_back(row<Run>({.name = "causal", .group = kMasks, .help = "key j stays if j <= p, where p = i + query offset"},
                       [](auto& s) -> auto& { return s.attention.causal; }));
  t.push_back(row<Run>(
      {.name = "window", .metavar = "L:R", .group = kMasks, .help = "key j stays if p-L <= j <= p+R; an empty side is open"},
      [](auto& s) -> auto& { return s.attention.window; }));
  t.push_back(row<Run>(
      {.name = "query-offset",
       .metavar = "N|F|end",
       .group = kMasks,
       .help = "where the first query stands among the keys",
       .details =
           "end is the key length - q_len, for each batch entry. Default: the past's length if there is one, else 0; causal, "
           "window and ALiBi have no default where q_len and kv_len differ."},
      [](auto& s) -> auto& { return s.query_offset; }));
  t.push_back(row<Run>({.name = "key-lengths",
                        .metavar = "LIST|F",
                        .group = kMasks,
                        .help = "keys that exist in each batch entry; the rest is padding"},
                       [](auto& s) -> auto& { return s.key_lengths; }));
  t.push_back(row<Run>(
      {.name = "segments", .metavar = "F", .group = kMasks, .help = "integer ids: a query sees only keys of its own segment"},
      [](auto& s) -> auto& { return s.segments; }));
  t.push_back(row<Run>({.name = "key-segments",
                        .metavar = "F",
                        .group = kMasks,
                        .help = "the segments of the keys (default: those of the queries)"},
                       [](auto& s) -> auto& { return s.key_segments; }));
  t.push_back(
      row<Run>({.name = "bias", .metavar = "F", .group = kMasks, .help = "added to the logits, broadcast as a mask; -inf masks"},
               [](auto& s) -> auto& { return s.bias; }));
  t.push_back(
      row<Run>({.name = "treat-below",
                .metavar = "X",
                .group = kMasks,
                .help = "entries of additive masks and biases at or below X mask (-1e4 for files that write -1e9 for -inf)"},
               [](auto& s) -> auto& { return s.treat_below; }));
  t.push_back(
      row<Run>({.name = "alibi", .group = kMasks, .help = "ALiBi: adds -slope*abs(p-j) with the standard slopes of the heads"},
               [](auto& s) -> auto& { return s.attention.alibi; }));
}

void add_rope(Table<Run>& t) {
  t.push_back(row<Run>(
      {.name = "rope", .metavar = "PAIRS", .group = kMasks, .help = "rotary positions on query and key; how features are paired"},
      [](auto& s) -> auto& { return s.attention.rope; }));
  t.push_back(row<Run>({.name = "rope-base",
                        .metavar = "B",
                        .group = kMasks,
                        .help = "base of the rotary frequencies",
                        .details = "With --params the default is that of config.json beside the file, when it has one.",
                        .fallback = "10000"},
                       [](auto& s) -> auto& { return s.rope_base; }));
  t.push_back(
      row<Run>({.name = "rope-scaling",
                .metavar = "KIND:NUMBERS",
                .group = kMasks,
                .help = "rotary frequencies for longer sequences than a model was trained for",
                .details = "linear:FACTOR, ntk:FACTOR, dynamic:FACTOR:LENGTH, llama3:FACTOR:LOW:HIGH:LENGTH, or none; LENGTH "
                           "is that of training. With --params the default is what config.json beside the file says."},
               [](auto& s) -> auto& { return s.rope_scaling; }));
  t.push_back(
      row<Run>({.name = "rope-dim", .metavar = "N", .group = kMasks, .help = "features that rotate, from the first (0: all)"},
               [](auto& s) -> auto& { return s.attention.rope_dim; }));
}

void add_heads(Table<Run>& t) {
  t.push_back(row<Run>({.name = "heads",
                        .metavar = "H",
                        .group = kHeads,
                        .help = "heads packed side by side in the last dimension of 2-D and 3-D arrays (0: one head)"},
                       [](auto& s) -> auto& { return s.heads; }));
  t.push_back(row<Run>({.name = "kv-heads",
                        .metavar = "H",
                        .group = kHeads,
                        .help = "heads of key and value, a divisor of the query's (0: as many)"},
                       [](auto& s) -> auto& { return s.kv_heads; }));
  t.push_back(row<Run>(
      {.name = "params",
       .metavar = "F",
       .group = kHeads,
       .help = "projections W_q, W_k, W_v, W_o and their biases: a safetensors or NPZ file",
       .details =
           "The names of PyTorch, BERT, Llama, GPT-2, BART and DistilBERT are known, and plain Wq Wk Wv Wo bq bk bv bo (weights "
           "[in, out]). Heads come from --heads or config.json beside the file, key and value heads from the widths. The file "
           "may be the *.index.json of a checkpoint in parts."},
      [](auto& s) -> auto& { return s.params; }));
  t.push_back(row<Run>({.name = "params-prefix",
                        .metavar = "P",
                        .group = kHeads,
                        .help = "what stands before the names of one layer (attn info lists the layers)"},
                       [](auto& s) -> auto& { return s.params_prefix; }));
  t.push_back(row<Run>(
      {.name = "past-key", .metavar = "F", .group = kHeads, .help = "keys put before the keys: [batch, kv_heads, length, dim]"},
      [](auto& s) -> auto& { return s.past_key; }));
  t.push_back(row<Run>({.name = "past-value", .metavar = "F", .group = kHeads, .help = "values put before the values"},
                       [](auto& s) -> auto& { return s.past_value; }));
  t.push_back(row<Run>({.name = "present-key",
                        .metavar = "F",
                        .group = kHeads,
                        .help = "writes past and new keys: the next step's --past-key",
                        .writes = true},
                       [](auto& s) -> auto& { return s.present_key; }));
  t.push_back(
      row<Run>({.name = "present-value", .metavar = "F", .group = kHeads, .help = "writes past and new values", .writes = true},
               [](auto& s) -> auto& { return s.present_value; }));
}

void add_running(Table<Run>& t) {
  t.push_back(row<Run>({.name = "dtype",
                        .metavar = "TYPE",
                        .group = kRunning,
                        .help = "what is computed and written",
                        .details = "auto is float64 when an input file holds float64, else float32."},
                       [](auto& s) -> auto& { return s.dtype; }));
  t.push_back(row<Run>({.name = "engine",
                        .metavar = "NAME",
                        .group = kRunning,
                        .help = "tiled is the fast one; reference computes in plain float64"},
                       [](auto& s) -> auto& { return s.engine; }));
  t.push_back(
      row<Run>({.name = "approx",
                .metavar = "METHOD",
                .group = kRunning,
                .help = "NAME[:SETTING]: a cheaper method in the place of the engine",
                .details = "attn approx measures what each method costs in accuracy. What has no meaning with a method (scores, "
                           "weights, log-sum-exp) is refused."},
               [](auto& s) -> auto& { return s.approx; }));
  t.push_back(row<Run>({.name = "isa",
                        .metavar = "NAME",
                        .group = kRunning,
                        .help = "vector instructions of the tiled engine (default: the best there are)"},
                       [](auto& s) -> auto& { return s.isa; }));
  t.push_back(row<Run>({.name = "threads",
                        .metavar = "N",
                        .group = kRunning,
                        .help = "threads (0: the cores this process may use); never changes a result"},
                       [](auto& s) -> auto& { return s.threads; }));
  t.push_back(row<Run>({.name = "max-memory",
                        .metavar = "SIZE",
                        .group = kRunning,
                        .help = "refuse before starting when more would be needed (512M, 2G)"},
                       [](auto& s) -> auto& { return s.max_memory; }));
  t.push_back(
      row<Run>({.name = "dry-run", .group = kRunning, .help = "print the plan: options, shapes, bytes, flops, expected seconds"},
               [](auto& s) -> auto& { return s.dry_run; }));
}

}  // namespace

const Table<RunRequest>& run_table() {
  static const Table<RunRequest> table = [] {
    Table<RunRequest> rows;
    add_inputs(rows);
    add_outputs(rows);
    add_scores(rows);
    add_masks(rows);
    add_rope(rows);
    add_heads(rows);
    append(rows, watch_table(), [](auto& s) -> auto& { return s.watch; });
    add_running(rows);
    append_reading(rows);
    append_writing(rows);
    append_common(rows);
    return rows;
  }();
  return table;
}

}  // namespace request

}  // namespace attn
