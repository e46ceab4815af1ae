// Reading the operands of `attn mask` and putting them together.
#include "request/mask_request.hpp"

#include "base/nearest.hpp"
#include "engine/inputs.hpp"
#include "request/masks.hpp"
#include "request/positions.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::request {

namespace {

using analysis::MaskOperand;
using engine::NamedMask;

constexpr std::array<std::pair<std::string_view, MaskAction>, 6> kActions{{{"make", MaskAction::make},
                                                                           {"and", MaskAction::conjunction},
                                                                           {"or", MaskAction::disjunction},
                                                                           {"not", MaskAction::negation},
                                                                           {"info", MaskAction::info},
                                                                           {"draw", MaskAction::draw}}};

/// The action and the files behind it.
MaskAction action_of(const std::vector<std::string>& words, std::vector<std::string>& files) {
  if (words.empty()) return MaskAction::make;
  files.assign(words.begin() + 1, words.end());
  std::vector<std::string> names;
  for (const auto& [name, action] : kActions) {
    if (name == words.front()) return action;
    names.emplace_back(name);
  }
  const std::string near = nearest(words.front(), names);
  throw Error(
      Status::usage, fmt::format("attn mask cannot '{}': it can {}", words.front(), fmt::join(names, ", ")),
      near.empty() ? fmt::format("to look at a file: attn mask info {}", words.front()) : fmt::format("did you mean {}?", near));
}

/// A file, with what its entries mean.
struct FileOperand {
  Loaded loaded;
  NamedMask mask;
};

/// For `info` and `draw` a file that could mean several things is taken for what it most likely is, and that is said.
NamedMask guess(const Loaded& loaded, const Error& ambiguity, const RunRequest& run, Reporter& reporter,
                std::vector<std::string>& remarks) {
  const auto taken = [&](const char* as) {
    remarks.push_back(fmt::format("{} (taken here as --mask-type {})", ambiguity.what(), as));
  };
  try {
    NamedMask mask = understand_mask(loaded, MaskType::keep, run.treat_below, reporter);
    taken("keep: 1 stays");
    return mask;
  } catch (const Error& error) {
    if (error.status() != Status::data) throw;
    taken("add: -inf masks");
    return understand_mask(loaded, MaskType::add, run.treat_below, reporter);
  }
}

/// Finite values that were meant to mask.
void remark_big_negatives(const Array& array, std::vector<std::string>& remarks) {
  std::size_t count = 0;
  double example = 0;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const double x = array.at_flat(i);
    if (!(std::isfinite(x) && x <= -1e4)) continue;
    if (count++ == 0) example = x;
  }
  if (count > 0)
    remarks.push_back(
        fmt::format("{} entries like {:g} are biases, not masks: a query that has nothing else is not empty "
                    "(--treat-below -1e4 makes them mask)",
                    count, example));
}

FileOperand read_operand(const std::string& text, const MaskRequest& request, bool may_guess, Reporter& reporter,
                         std::vector<std::string>& remarks) {
  const RunRequest& run = request.run;
  FileOperand operand{.loaded = read_array(FileName::parse(text), run.reading.options(DType::f32), reporter), .mask = {}};
  const Loaded& loaded = operand.loaded;
  if (loaded.array.rank() == 0)
    throw Error(Status::data, {.file = text}, "a single number is no mask (expected [queries, keys])");
  try {
    operand.mask = understand_mask(loaded, run.mask_type, run.treat_below, reporter);
  } catch (const Error& error) {
    if (!may_guess || error.status() != Status::usage) throw;
    operand.mask = guess(loaded, error, run, reporter, remarks);
  }
  if (operand.mask.kind == engine::MaskKind::add && !run.treat_below) remark_big_negatives(loaded.array, remarks);
  return operand;
}

/// The arrays that place queries and keys.
struct Placement {
  engine::NamedArray segments;
  engine::NamedArray key_segments;
  std::vector<std::int64_t> key_lengths;
  QueryOffset query_offset;
};

engine::NamedArray read_segments(const char* role, const std::string& text, const RunRequest& run, Reporter& reporter) {
  if (text.empty()) return {};
  ReadOptions options = run.reading.options(DType::f64);
  options.from.reset();
  return {read_array(FileName::parse(text), options, reporter).array, fmt::format("{} {}", role, text)};
}

Placement read_placement(const RunRequest& run, Reporter& reporter) {
  return {.segments = read_segments("segments", run.segments, run, reporter),
          .key_segments = read_segments("key segments", run.key_segments, run, reporter),
          .key_lengths = read_key_lengths(run, reporter),
          .query_offset = read_query_offset(run, reporter)};
}

bool makes_mask(const MaskRequest& r) {
  return r.run.attention.causal || !r.run.attention.window.open() || r.block_size != 0 || !r.run.key_lengths.empty() ||
         !r.run.segments.empty() || !r.run.key_segments.empty();
}

/// Ids are [length], [batch, length], or one row or column of a file: [batch entries, length].
std::pair<std::size_t, std::size_t> id_sizes(const engine::NamedArray& ids) {
  const Shape& shape = ids.array.shape();
  if (shape.size() == 2 && shape[0] > 1 && shape[1] > 1) return {shape[0], shape[1]};
  return {1, ids.array.size()};
}

/// All sizes, from options, files and segments together.
analysis::MaskSize size_of(const MaskRequest& r, const std::vector<FileOperand>& files, const Placement& placement) {
  analysis::MaskSize size;
  std::size_t rank2 = 0;
  for (const FileOperand& file : files) {
    const Shape& shape = file.loaded.array.shape();
    const auto from_end = [&](std::size_t k) { return k <= shape.size() ? shape[shape.size() - k] : 1; };
    rank2 += shape.size() >= 2 ? 1U : 0U;
    // A dimension of 1 repeats, unless it is all there is.
    size.keys = size.keys <= 1 ? from_end(1) : size.keys;
    if (shape.size() >= 2) size.queries = size.queries <= 1 ? from_end(2) : size.queries;
    size.heads = size.heads == 1 ? from_end(3) : size.heads;
    size.batch = size.batch == 1 ? from_end(4) : size.batch;
  }
  bool queries_known = rank2 > 0;
  bool keys_known = !files.empty();
  if (!queries_known && placement.segments.given()) {
    std::tie(size.batch, size.queries) = id_sizes(placement.segments);
    queries_known = true;
  }
  if (!keys_known && placement.key_segments.given()) {
    size.keys = id_sizes(placement.key_segments).second;
    keys_known = true;
  }
  if (r.queries) size.queries = *r.queries;
  if (!r.queries && !queries_known)
    throw Error(Status::usage, "how many queries has the mask?",
                "attn mask --queries 8 --keys 8 --causal (keys default to the queries)");
  if (r.keys || !keys_known) size.keys = r.keys.value_or(size.queries);
  for (const std::size_t count : {placement.key_lengths.size(), placement.query_offset.values.size()}) {
    if (count > 1 && size.batch == 1) size.batch = count;
  }
  return size;
}

/// Inputs of the right sizes whose numbers nobody reads: the plan's checks and rules are the engine's.
engine::Inputs blank_inputs(const analysis::MaskSize& size) {
  engine::Inputs inputs;
  inputs.query = {Array(DType::f32, {size.batch, size.heads, size.queries, 1}), "queries"};
  inputs.key = {Array(DType::f32, {size.batch, size.heads, size.keys, 1}), "keys"};
  inputs.value = {inputs.key.array, "values"};
  return inputs;
}

/// Queries and keys of the same block of positions, as segments.
engine::Plan block_plan(const engine::Plan& placed, std::size_t block_size) {
  engine::Plan plan = placed;
  plan.options.causal = false;
  plan.options.window = {};
  const auto block = static_cast<std::int64_t>(block_size);
  const auto block_of = [block](std::int64_t position) {
    return position >= 0 ? position / block : -((block - 1 - position) / block);
  };
  plan.segments = {.query = {}, .key = {}, .query_stride = plan.dims.q_len, .key_stride = 0};
  for (std::size_t b = 0; b < plan.dims.batch; ++b) {
    for (std::size_t i = 0; i < plan.dims.q_len; ++i) plan.segments.query.push_back(block_of(plan.position(b, i)));
  }
  for (std::size_t j = 0; j < plan.dims.kv_len; ++j) plan.segments.key.push_back(block_of(static_cast<std::int64_t>(j)));
  return plan;
}

MaskOperand made_operand(const MaskRequest& r, const analysis::MaskSize& size, const Placement& placement) {
  engine::Inputs inputs = blank_inputs(size);
  inputs.segments = placement.segments;
  inputs.key_segments = placement.key_segments;
  inputs.key_lengths = placement.key_lengths;
  AttentionOptions options;
  options.causal = r.run.attention.causal;
  options.window = r.run.attention.window;
  options.query_offset = placement.query_offset;
  MaskOperand operand{make_plan(inputs, options, DType::f32)};
  if (r.block_size == 0) return operand;
  if (placement.query_offset.kind == QueryOffset::Kind::automatic && size.queries != size.keys)
    throw Error(Status::usage,
                fmt::format("--block-size with {} queries and {} keys: say with --query-offset where the first query stands",
                            size.queries, size.keys),
                "--query-offset 0 or --query-offset end");
  operand.push_back(block_plan(operand.front(), r.block_size));
  return operand;
}

MaskOperand file_operand(const FileOperand& file, const analysis::MaskSize& size) {
  engine::Inputs inputs = blank_inputs(size);
  inputs.masks.push_back(file.mask);
  return {make_plan(inputs, {}, DType::f32)};
}

void check_operands(MaskAction action, std::size_t files, bool made) {
  const std::size_t operands = files + (made ? 1 : 0);
  switch (action) {
    case MaskAction::make:
      if (files > 0) throw Error(Status::usage, "attn mask make takes flags, no files", "to combine files: attn mask and A B");
      return;
    case MaskAction::conjunction:
    case MaskAction::disjunction:
      if (operands < 2)
        throw Error(Status::usage, "two masks are needed to combine: files, or a file and flags that make one",
                    "attn mask and A.npy B.npy -o C.npy        attn mask and A.npy --causal -o C.npy");
      return;
    case MaskAction::negation:
    case MaskAction::info:
    case MaskAction::draw:
      if (operands > 1 || files > 1) throw Error(Status::usage, "one mask at a time: a file, or flags that make one");
      return;
  }
}

Shape shape_of(const analysis::MaskSize& size, const std::vector<FileOperand>& files) {
  std::size_t rank = size.batch > 1 ? 4 : size.heads > 1 ? 3 : 2;
  for (const FileOperand& file : files) rank = std::max(rank, file.loaded.array.rank());
  const Shape full{size.batch, size.heads, size.queries, size.keys};
  return {full.end() - static_cast<std::ptrdiff_t>(rank), full.end()};
}

}  // namespace

RequestedMask read_mask(const MaskRequest& r, Reporter& reporter) {
  RequestedMask result;
  std::vector<std::string> names;
  result.action = action_of(r.words, names);
  const bool look = result.action == MaskAction::info || result.action == MaskAction::draw;
  // Sizes alone make a mask too, one that hides nothing; beside files they only say how large it is.
  const bool made = makes_mask(r) || names.empty();
  check_operands(result.action, names.size(), made);
  if (r.run.mask_type != MaskType::automatic && names.empty())
    throw Error(Status::usage, "--mask-type says what the entries of a file mean, and there is no file");

  std::vector<FileOperand> files;
  for (const std::string& name : names) files.push_back(read_operand(name, r, look, reporter, result.remarks));
  const Placement placement = read_placement(r.run, reporter);
  const analysis::MaskSize size = size_of(r, files, placement);
  std::vector<MaskOperand> operands;
  for (const FileOperand& file : files) operands.push_back(file_operand(file, size));
  if (made) operands.push_back(made_operand(r, size, placement));
  result.title = names.empty() ? "mask" : fmt::format("{}", fmt::join(names, ", "));
  result.shape = shape_of(size, files);
  const bool any = result.action == MaskAction::disjunction;
  const bool none = result.action == MaskAction::negation;
  result.rows = analysis::planned_mask(std::move(operands), any    ? analysis::Combination::any
                                                            : none ? analysis::Combination::none
                                                                   : analysis::Combination::all);
  return result;
}

}  // namespace attn::request
