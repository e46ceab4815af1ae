// Problems small and odd that a claim is made for, and the command lines of commands that judge claims, without a process.
#pragma once

#include "conformance/command.hpp"
#include "conformance/generated_input.hpp"
#include "request/claim.hpp"
#include "tools/working_directory.hpp"

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <vector>

namespace attn::testing {

namespace fs = std::filesystem;

/// Claims with known deviations, and PyTorch's, with the scripts that made them.
inline const fs::path kConventions = fs::path(ATTN_TEST_DATA) / "conventions";

/// The words as the request of a command with claims.
inline request::ClaimRequest claim_request(const request::Table<request::ClaimRequest>& table, const Words& arguments) {
  request::ClaimRequest request;
  for (auto word = arguments.begin(); word != arguments.end(); ++word) {
    const auto row = std::ranges::find_if(table, [&](const auto& r) {
      const request::Option& o = r.option;
      return o.positional ? (*word)[0] != '-' : *word == "--" + o.name || (o.letter != 0 && *word == std::string("-") + o.letter);
    });
    if (row == table.end()) throw std::runtime_error("the table has no row for " + *word);
    if (!row->option.positional && !row->option.is_switch()) ++word;
    row->set(request, *word);
  }
  return request;
}

struct Scene {
  Shape query;
  Shape key;
  Words options;
};

inline const std::vector<Scene> kScenes{
    {{2, 4, 13, 8}, {2, 2, 17, 8}, {"--causal", "--query-offset", "end"}},
    {{65, 7}, {65, 7}, {"--window", "5:2"}},
    {{3, 12}, {97, 12}, {"--heads", "3", "--softcap", "2"}},
    {{2, 31, 6}, {2, 31, 6}, {"--alibi", "--normalize", "softmax1"}},
    {{1, 1}, {1, 1}, {}},
    {{40, 5}, {40, 5}, {"--score", "cosine", "--temperature", "0.1"}},
    {{40, 5}, {33, 5}, {"--score", "euclidean"}},
    {{40, 5}, {33, 5}, {"--score", "sqeuclidean", "--normalize", "softmin", "--scale", "0.1"}},
    {{40, 5}, {33, 5}, {"--normalize", "double-softmax"}},
    {{40, 5}, {33, 5}, {"--normalize", "sigmoid", "--bias", "bias.npy"}},
    {{40, 5}, {33, 5}, {"--normalize", "none"}},
    {{40, 5}, {33, 5}, {"--bias", "bias.npy", "--mask", "keep.npy"}},
    {{1, 2, 40, 6}, {1, 2, 33, 6}, {"--rope", "half", "--query-offset", "100000"}},
    {{1, 2, 40, 6}, {1, 2, 33, 6}, {"--rope", "interleaved", "--score", "euclidean"}},
    {{40, 5}, {40, 5}, {"--residual", "--causal"}},
};

inline void write_scene(const Scene& scene, std::uint64_t seed) {
  write_input("q.npy", {.dtype = "float32", .shape = scene.query, .seed = seed, .amplitude = 2});
  write_input("k.npy", {.dtype = "float32", .shape = scene.key, .seed = seed + 1, .amplitude = 2});
  write_input("v.npy", {.dtype = "float32", .shape = scene.key, .seed = seed + 2, .amplitude = 3});
  write_input("bias.npy", {.dtype = "float32", .shape = {40, 33}, .seed = seed + 3, .amplitude = 4, .hidden = 40});
  write_input("keep.npy", {.dtype = "bool", .shape = {40, 33}, .seed = seed + 4, .dense = 100});
}

inline Words with_inputs(const Scene& scene, const Words& more) {
  return joined(joined({"-q", "q.npy", "-k", "k.npy", "-v", "v.npy"}, scene.options), more);
}

}  // namespace attn::testing
