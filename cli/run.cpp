// attn run and its presets: flags in, one run, files out.
#include "request/run.hpp"

#include "cli/cluster.hpp"
#include "cli/commands.hpp"

#include <fmt/format.h>

namespace attn::cli {

namespace {

using request::RunRequest;

constexpr const char* kGroup = "Attention";

constexpr const char* kDescription =
    "Reads queries, keys and values, computes attention in one pass without ever holding the q_len x kv_len matrix, and "
    "writes the output and whatever else is asked for. Masked means absent: a masked key never reaches any output. The same "
    "inputs and options give the same bytes for any number of threads and any set of outputs.";

Status execute(RunRequest& request, Console& console) {
  tell_surroundings(console, request.watch.plot);
  return run_with_others(console, [&](const request::RunContext& context) { request::run(request, context); });
}

/// A command that is `attn run` with a score decided.
Command preset(const char* name, Score score, const char* summary, const char* example) {
  return make_command<RunRequest>({.name = name,
                                   .group = kGroup,
                                   .summary = summary,
                                   .usage = fmt::format("attn {} [X] [options]", name),
                                   .example = example,
                                   .description = fmt::format("The same as attn run --score {}.", name)},
                                  request::run_table, [name, score](RunRequest& r, Console& console) {
                                    if (r.attention.score != Score::scaled && r.attention.score != score)
                                      throw Error(Status::usage,
                                                  fmt::format("attn {} is attn run --score {}: leave --score out", name, name));
                                    r.attention.score = score;
                                    return execute(r, console);
                                  });
}

}  // namespace

Command run_command() {
  return make_command<RunRequest>({.name = "run",
                                   .group = kGroup,
                                   .summary = "attention from files to files",
                                   .usage = "attn run [X] [options]",
                                   .example = "attn run -q queries.npy -k keys.npy -v values.npy --causal -o out.npy",
                                   .description = kDescription},
                                  request::run_table, execute);
}

Command cosine_command() {
  return preset("cosine", Score::cosine, "attention by cosine similarity", "attn cosine x.csv:p0..p63 --temperature 0.1");
}

Command dot_command() { return preset("dot", Score::dot, "attention by plain dot products", "attn dot x.csv --weights w.csv"); }

Command scaled_command() {
  return preset("scaled", Score::scaled, "attention by dot products over sqrt(head_dim)", "attn scaled x.npy --causal -o y.npy");
}

Command multihead_command() {
  return make_command<RunRequest>({.name = "multihead",
                                   .group = kGroup,
                                   .summary = "attention with several heads packed side by side",
                                   .usage = "attn multihead [X] --heads H | --params F [options]",
                                   .example = "attn multihead x.npy --heads 8 --weights w.npy -o y.npy",
                                   .description = "attn run that requires --heads or --params."},
                                  request::run_table, [](RunRequest& r, Console& console) {
                                    if (r.heads == 0 && r.params.empty())
                                      throw Error(Status::usage,
                                                  "attn multihead needs --heads: how many heads share the last dimension, or "
                                                  "--params: projections");
                                    return execute(r, console);
                                  });
}

}  // namespace attn::cli
