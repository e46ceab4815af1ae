// One shape of a bench before it runs: its sizes, its plan without memory behind it, and the bytes it will need.
#include "request/bench_case.hpp"

#include "request/positions.hpp"
#include "request/run_inputs.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace attn::request {

namespace {

constexpr const char* kForm = "B,H,q_len,kv_len,head_dim[,value_dim]";

/// Throws Error(usage) unless the text is five or six whole numbers from 1.
Shape parse_sizes(const std::string& text) {
  const auto refuse = [&](const std::string& why) {
    throw Error(Status::usage, fmt::format("--shape: '{}' {} (expected {})", text, why, kForm),
                "8 heads of 1024 queries and keys, 64 features: --shape 1,8,1024,1024,64");
  };
  Shape sizes(6);
  std::size_t count = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    if (part.empty() || part.find_first_not_of("0123456789") != std::string::npos)
      refuse(fmt::format("holds '{}', which is not a whole number", part));
    std::size_t size = 0;
    read_value("--shape", part, size);
    if (size == 0) refuse("has a size of 0, which leaves nothing to time");
    if (count < sizes.size()) sizes[count] = size;
    ++count;
    begin = end + 1;
  }
  if (count != 5 && count != 6) refuse(fmt::format("has {} sizes", count));
  if (count == 5) sizes[5] = sizes[4];
  return sizes;
}

/// Bytes of the arrays, in double: it must not overflow before it is judged.
double array_bytes(const BenchCase& c) {
  const auto product = [](const Shape& shape) {
    double elements = 1;
    for (const std::size_t size : shape) elements *= static_cast<double>(size);
    return elements;
  };
  // Packed or not, the product is the same; the unpacked shapes hold no product that could overflow.
  BenchCase apart = c;
  apart.request.packed = false;
  return static_cast<double>(item_size(c.dtype())) * (product(apart.query_shape()) + product(apart.key_shape()) +
                                                      product(apart.value_shape()) + product(apart.output_shape()));
}

struct StandardShape {
  const char* shape = nullptr;
  bool causal = false;
  std::size_t kv_heads = 0;
};

/// Short and long, wide and narrow, odd, causal; many short sequences; one query against a long cache, with a key and value head
/// for each query head and for every fourth; a prompt with grouped heads.
constexpr std::array<StandardShape, 12> kStandardShapes{{{"1,8,1024,1024,64"},
                                                         {"1,4,4096,4096,64"},
                                                         {"1,1,16384,16384,64"},
                                                         {"1,4,4096,4096,128"},
                                                         {"1,1,4096,4096,40"},
                                                         {"1,4,1000,1000,80"},
                                                         {"1,4,4096,4096,64", true},
                                                         {"1,4,4096,4096,128", true},
                                                         {"64,12,128,128,64"},
                                                         {"1,32,1,16384,128"},
                                                         {"1,32,1,16384,128", false, 8},
                                                         {"1,32,2048,2048,128", true, 8}}};

}  // namespace

BenchCase make_case(const BenchRequest& request, std::size_t cores) {
  BenchCase c{.request = request, .sizes = parse_sizes(request.shape), .kv_heads = request.run.kv_heads};
  RunRequest& run = c.request.run;
  const std::size_t heads = c.sizes[1];
  if (c.kv_heads == 0) c.kv_heads = heads;
  if (heads % c.kv_heads != 0)
    throw Error(Status::usage, fmt::format("{} query heads cannot share {} key and value heads: the first must be a multiple of "
                                           "the second",
                                           heads, c.kv_heads));
  if (run.threads == 0) run.threads = cores;
  if (run.engine == EngineChoice::automatic) run.engine = EngineChoice::tiled;
  if (run.dtype == ComputeType::automatic) run.dtype = ComputeType::f32;
  return c;
}

std::vector<BenchCase> standard_cases(const BenchRequest& request, std::size_t cores) {
  const RunRequest& run = request.run;
  const auto needs_shape = [](bool given, const char* option) {
    if (given)
      throw Error(Status::usage, fmt::format("{} needs --shape: the standard shapes have their own", option),
                  fmt::format("--shape takes {}", kForm));
  };
  needs_shape(run.attention.causal, "--causal");
  needs_shape(!run.attention.window.open(), "--window");
  needs_shape(!run.query_offset.empty(), "--query-offset");
  needs_shape(run.attention.alibi, "--alibi");
  needs_shape(run.kv_heads != 0, "--kv-heads");
  std::vector<BenchCase> cases;
  for (const StandardShape& standard : kStandardShapes) {
    BenchRequest one = request;
    one.shape = standard.shape;
    one.run.attention.causal = standard.causal;
    one.run.kv_heads = standard.kv_heads;
    cases.push_back(make_case(one, cores));
  }
  return cases;
}

Estimate require_memory(const BenchCase& c, std::uint64_t available, Reporter& reporter) {
  const auto judge = [&](double bytes) {
    const auto needs = [&](const std::string& limit) {
      const std::string much = bytes < 0x1p60 ? byte_text(static_cast<std::uint64_t>(bytes)) : fmt::format("{:.0e} bytes", bytes);
      return Error(Status::memory, fmt::format("--shape {} needs {} and {}", c.request.shape, much, limit));
    };
    const auto& allowed = c.request.run.max_memory;
    if (allowed && !(bytes <= static_cast<double>(allowed->bytes)))
      throw needs(fmt::format("--max-memory allows {}", byte_text(allowed->bytes)));
    if (!(bytes <= static_cast<double>(available))) throw needs(fmt::format("{} are to be had", byte_text(available)));
  };
  // First the arrays alone: the plan of an absurd shape would already need memory of its own.
  judge(array_bytes(c));
  const auto shape_only = [&](Shape shape) { return Array(c.dtype(), std::move(shape), nullptr, nullptr); };
  const RunInputs inputs{
      .inputs = bench_inputs(c, shape_only(c.query_shape()), shape_only(c.key_shape()), shape_only(c.value_shape())),
      .options = bench_options(c, reporter),
      .compute = c.compute(),
      .ids = {},
      .key_ids = {},
      .files = {}};
  const engine::Plan plan = engine::make_plan(inputs.inputs, inputs.options, c.compute());
  const std::uint64_t output = element_count(c.output_shape()) * item_size(c.dtype());
  Estimate e = estimate(plan, inputs, c.compute(), c.is_tiled(), c.request.run.threads, output);
  e.input_bytes = inputs.inputs.query.array.bytes() + inputs.inputs.key.array.bytes() + inputs.inputs.value.array.bytes();
  judge(static_cast<double>(e.total_bytes()));
  return e;
}

engine::Inputs bench_inputs(const BenchCase& c, Array query, Array key, Array value) {
  engine::Inputs inputs;
  inputs.query = {std::move(query), "query"};
  inputs.key = {std::move(key), "key"};
  inputs.value = {std::move(value), "value"};
  inputs.heads = c.request.packed ? c.sizes[1] : 0;
  inputs.kv_heads = c.request.packed ? c.kv_heads : 0;
  return inputs;
}

AttentionOptions bench_options(const BenchCase& c, Reporter& reporter) {
  AttentionOptions options = c.request.run.attention_options();
  options.query_offset = read_query_offset(c.request.run, reporter);
  return options;
}

}  // namespace attn::request
