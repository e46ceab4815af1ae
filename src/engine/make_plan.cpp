// From inputs and options to a plan: sizes that fit each other, positions, key lengths.
#include "base/counted.hpp"
#include "engine/inputs.hpp"
#include "engine/mask_parts.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace attn::engine {

namespace {

/// Positions end here: beyond, double has no number for each of them.
constexpr std::int64_t kLastPosition = std::int64_t{1} << 53;
/// A window side of this length covers everything; longer ones are cut, so that no sum of positions and sides can overflow.
constexpr std::int64_t kEverything = std::int64_t{1} << 60;

/// What is wrong with a list of `given` numbers, which has neither one for all batch entries nor one for each.
std::string wrong_count(const char* option, std::size_t given, std::size_t batch) {
  return fmt::format("{} has {} for {} (expected {})", option, counted(given, "number", "numbers"),
                     counted(batch, "batch entry", "batch entries"), batch == 1 ? "1" : fmt::format("1 or {}", batch));
}

std::string all_shapes(const Inputs& inputs) {
  std::string text = fmt::format("{} {}, {} {}, {} {}", inputs.query.name, to_string(inputs.query.array.shape()), inputs.key.name,
                                 to_string(inputs.key.array.shape()), inputs.value.name, to_string(inputs.value.array.shape()));
  for (const NamedArray* past : {&inputs.past_key, &inputs.past_value}) {
    if (past->given()) text += fmt::format(", {} {}", past->name, to_string(past->array.shape()));
  }
  return text;
}

[[noreturn]] void misfit(const Inputs& inputs, const std::string& what, const std::string& hint = {}) {
  throw Error(Status::data, fmt::format("{}: {}", what, all_shapes(inputs)), hint);
}

struct Layouts {
  HeadLayout query, key, value;
  std::size_t past = 0;  ///< keys in the past
};

std::size_t past_length(const Inputs& inputs, const HeadLayout& key, const HeadLayout& value) {
  if (inputs.past_key.given() != inputs.past_value.given())
    throw Error(Status::usage, "a past needs both --past-key and --past-value");
  if (!inputs.past_key.given()) return 0;
  for (const NamedArray* past : {&inputs.past_key, &inputs.past_value}) {
    if (past->array.rank() != 4)
      throw Error(Status::data, fmt::format("{} has the shape {} (expected [batch, kv_heads, length, dim])", past->name,
                                            to_string(past->array.shape())));
  }
  const Shape& k = inputs.past_key.array.shape();
  const Shape& v = inputs.past_value.array.shape();
  if (k[0] != key.batch || v[0] != key.batch) misfit(inputs, "the past and the new keys differ in batch size");
  if (k[1] != key.heads || v[1] != value.heads) misfit(inputs, "the past and the new keys differ in the number of heads");
  if (k[3] != key.dim || v[3] != value.dim) misfit(inputs, "the past and the new keys differ in width");
  if (k[2] != v[2]) misfit(inputs, "--past-key and --past-value differ in length");
  return k[2];
}

Layouts fit(const Inputs& inputs) {
  const std::size_t kv_heads = inputs.packed_kv_heads();
  Layouts l{.query = head_layout(inputs.query, inputs.heads),
            .key = head_layout(inputs.key, kv_heads),
            .value = head_layout(inputs.value, kv_heads)};
  if (l.query.batch != l.key.batch || l.key.batch != l.value.batch) misfit(inputs, "query, key and value differ in batch size");
  if (l.key.heads != l.value.heads) misfit(inputs, "key and value differ in the number of heads");
  if (l.key.heads == 0 || l.query.heads % l.key.heads != 0)
    misfit(inputs, fmt::format("{} query heads cannot share {} key and value heads: the first must be a multiple of the second",
                               l.query.heads, l.key.heads));
  if (l.key.length != l.value.length) {
    misfit(inputs, fmt::format("key has {} rows and value {}: every key needs its value", l.key.length, l.value.length),
           l.key.length == l.query.length ? "is -v the file you meant? value rows go with the keys, one each" : "");
  }
  if (l.query.dim != l.key.dim) {
    std::string hint;
    if (l.query.dim == l.key.length)
      hint = "the key looks transposed: attn convert KEY KEY_T.npy --transpose";
    else if (inputs.heads != 0 && l.key.dim != 0 && l.query.dim != 0 && (l.key.dim * l.key.heads) % l.query.dim == 0)
      hint = fmt::format("if keys have fewer heads: --kv-heads {}", l.key.dim * l.key.heads / l.query.dim);
    misfit(inputs, fmt::format("queries are {} wide and keys {}: their products need the same width", l.query.dim, l.key.dim),
           hint);
  }
  if (l.query.dim == 0 || l.value.dim == 0) misfit(inputs, "rows without any number have no attention (0 columns)");
  l.past = past_length(inputs, l.key, l.value);
  return l;
}

void check_numbers(const AttentionOptions& o, const Dims& dims, const Inputs& inputs) {
  const auto finite = [](double x) { return std::isfinite(x); };
  if (o.scale && !finite(*o.scale)) throw Error(Status::usage, "--scale must be a finite number");
  if (!finite(o.temperature) || o.temperature <= 0)
    throw Error(Status::usage, "--temperature must be greater than 0",
                "for the farthest instead of the nearest: --normalize softmin");
  if (!finite(o.softcap) || o.softcap < 0) throw Error(Status::usage, "--softcap must be greater than 0 (0 is off)");
  if (o.residual && o.combine == Combine::rows)
    throw Error(Status::usage,
                "--residual has no meaning with --combine rows: rows that are not summed are no output to add the query to");
  if (o.residual && dims.head_dim != dims.value_dim)
    misfit(inputs, fmt::format("--residual adds the query ({} wide) to the output ({} wide): they must be equally wide",
                               dims.head_dim, dims.value_dim));
  if (o.rope == RopePairing::none) return;
  const std::size_t rotated = o.rope_dim == 0 ? dims.head_dim : o.rope_dim;
  if (rotated > dims.head_dim || rotated % 2 != 0)
    throw Error(Status::usage, fmt::format("RoPE rotates pairs of features: --rope-dim must be even and at most {} (it is {})",
                                           dims.head_dim, rotated));
  if (!finite(o.rope_base) || o.rope_base <= 0) throw Error(Status::usage, "--rope-base must be greater than 0");
  const RopeScaling& s = o.rope_scaling;
  using Kind = RopeScaling::Kind;
  if (s.kind == Kind::none) return;
  if (!finite(s.factor) || s.factor < 1) throw Error(Status::usage, "--rope-scaling: the factor must be at least 1");
  if ((s.kind == Kind::dynamic || s.kind == Kind::llama3) && (!finite(s.length) || s.length < 1))
    throw Error(Status::usage, "--rope-scaling: the trained length must be at least 1");
  if (s.kind == Kind::llama3 && (!finite(s.low) || !finite(s.high) || s.low <= 0 || s.high <= s.low))
    throw Error(Status::usage, "--rope-scaling: the low and high frequency factors must be 0 < LOW < HIGH");
}

/// NTK scaling is another base.
void resolve_rope(Plan& plan) {
  AttentionOptions& o = plan.options;
  using Kind = RopeScaling::Kind;
  const bool is_dynamic = o.rope_scaling.kind == Kind::dynamic;
  if (o.rope == RopePairing::none || (o.rope_scaling.kind != Kind::ntk && !is_dynamic)) return;
  const auto dim = static_cast<double>(o.rope_dim == 0 ? plan.dims.head_dim : o.rope_dim);
  const double factor = o.rope_scaling.factor;
  const double stretch = static_cast<double>(plan.dims.kv_len) / o.rope_scaling.length;
  const double growth = !is_dynamic ? factor : stretch <= 1 ? 1 : factor * stretch - (factor - 1);
  if (dim > 2) o.rope_base *= std::pow(growth, dim / (dim - 2));  // two features turn by the position itself, whatever the base
  o.rope_scaling = {};
}

/// One row of a drawing: the keys that query i sees under --causal with this offset.
std::string drawing(std::int64_t offset, std::size_t i, std::size_t kv_len) {
  std::string row;
  for (std::size_t j = 0; j < kv_len; ++j)
    row += static_cast<std::int64_t>(j) <= offset + static_cast<std::int64_t>(i) ? " x" : " .";
  return row;
}

[[noreturn]] void ambiguous_offset(const AttentionOptions& o, const Dims& dims) {
  const char* flag = o.causal ? "--causal" : !o.window.open() ? "--window" : "--alibi";
  // The same relation in small, so that the drawing fits a screen.
  const std::size_t rows = dims.q_len < dims.kv_len ? 2 : 4;
  const std::size_t columns = dims.q_len < dims.kv_len ? 4 : 2;
  std::string hint = "--query-offset 0          --query-offset end";
  for (std::size_t i = 0; i < rows; ++i) {
    const auto end = static_cast<std::int64_t>(columns) - static_cast<std::int64_t>(rows);
    hint += fmt::format("\n{:<26}{}", drawing(0, i, columns), drawing(end, i, columns));
  }
  hint += fmt::format("\n(rows are queries, columns keys; drawn for {} queries and {} keys)", rows, columns);
  throw Error(Status::usage,
              fmt::format("{} with {} queries and {} keys has two readings: say with --query-offset where the first query stands",
                          flag, dims.q_len, dims.kv_len),
              hint);
}

void resolve_lengths(const Inputs& inputs, Plan& plan) {
  const Dims& d = plan.dims;
  plan.key_length.assign(d.batch, d.kv_len);
  const auto& given = inputs.key_lengths;
  if (given.empty()) return;
  if (given.size() != 1 && given.size() != d.batch)
    throw Error(Status::data, wrong_count("--key-lengths", given.size(), d.batch));
  for (std::size_t b = 0; b < d.batch; ++b) {
    const std::int64_t length = given[given.size() == 1 ? 0 : b];
    if (length < 0 || static_cast<std::uint64_t>(length) > d.kv_len)
      throw Error(Status::data, fmt::format("--key-lengths: {} is not between 0 and the {} keys there are", length, d.kv_len));
    plan.key_length[b] = static_cast<std::size_t>(length);
  }
}

void resolve_offsets(std::size_t past, Plan& plan) {
  const Dims& d = plan.dims;
  const AttentionOptions& o = plan.options;
  plan.query_offset.assign(d.batch, static_cast<std::int64_t>(past));
  switch (o.query_offset.kind) {
    case QueryOffset::Kind::automatic:
      if (past == 0 && d.q_len != d.kv_len && (o.causal || !o.window.open() || o.alibi)) ambiguous_offset(o, d);
      return;
    case QueryOffset::Kind::end:
      for (std::size_t b = 0; b < d.batch; ++b)
        plan.query_offset[b] = static_cast<std::int64_t>(plan.key_length[b]) - static_cast<std::int64_t>(d.q_len);
      return;
    case QueryOffset::Kind::given:
      break;
  }
  const auto& given = o.query_offset.values;
  if (given.size() != 1 && given.size() != d.batch)
    throw Error(Status::data, wrong_count("--query-offset", given.size(), d.batch));
  for (std::size_t b = 0; b < d.batch; ++b) {
    const std::int64_t offset = given[given.size() == 1 ? 0 : b];
    if (offset < -kLastPosition || offset > kLastPosition)
      throw Error(Status::data, fmt::format("--query-offset: {} is farther away than 2^53", offset));
    plan.query_offset[b] = offset;
  }
}

void resolve_window(AttentionOptions& o) {
  for (auto* side : {&o.window.left, &o.window.right}) {
    if (!*side) continue;
    if (**side < 0)
      throw Error(Status::usage, "the sides of --window are distances and not negative",
                  "an open side is left empty: --window 128:");
    *side = std::min(**side, kEverything);
  }
}

}  // namespace

Plan make_plan(const Inputs& inputs, const AttentionOptions& options, DType compute) {
  const Layouts l = fit(inputs);
  Plan plan;
  plan.options = options;
  plan.dims = {.batch = l.query.batch,
               .heads = l.query.heads,
               .kv_heads = l.key.heads,
               .q_len = l.query.length,
               .kv_len = l.past + l.key.length,
               .head_dim = l.query.dim,
               .value_dim = l.value.dim};
  check_numbers(options, plan.dims, inputs);
  resolve_window(plan.options);
  resolve_rope(plan);
  const double scale = options.scale                    ? *options.scale
                       : options.score == Score::scaled ? 1.0 / std::sqrt(static_cast<double>(plan.dims.head_dim))
                                                        : 1.0;
  plan.factor = scale / options.temperature;
  resolve_lengths(inputs, plan);
  resolve_offsets(l.past, plan);
  if (options.alibi) plan.slopes = alibi_slopes(plan.dims.heads);
  for (const NamedMask& mask : inputs.masks) plan.masks.push_back(make_mask_part(mask, plan.dims, compute));
  if (inputs.segments.given())
    plan.segments = make_segments(inputs, plan.dims);
  else if (inputs.key_segments.given())
    throw Error(Status::usage, "--key-segments needs --segments: the ids of the queries");
  return plan;
}

}  // namespace attn::engine
