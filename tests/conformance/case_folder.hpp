// A folder with the generated inputs of one recorded case.
#pragma once

#include "conformance/generated_input.hpp"
#include "tools/working_directory.hpp"

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace attn::testing {

/// An input as the generators of cases write it down.
inline InputSpec spec_of(const nlohmann::json& input) {
  InputSpec spec{.dtype = input["dtype"],
                 .shape = input["shape"].get<Shape>(),
                 .seed = input["seed"],
                 .amplitude = input.value("amplitude", 1.0),
                 .is_binary = input.value("binary", false),
                 .dense = input.value("dense", std::uint64_t{0}),
                 .hidden = input.value("hidden", std::uint64_t{0})};
  for (const nlohmann::json& edit : input.value("edits", nlohmann::json::array()))
    spec.edits.push_back({edit[0], edit[1], edit[2]});
  return spec;
}

/// A folder with the inputs of one case, which is also the working directory.
class CaseFolder : public WorkingDirectory {
 public:
  explicit CaseFolder(const nlohmann::json& one) {
    for (const auto& [name, input] : one["inputs"].items()) {
      const std::string file = name.ends_with(":x") ? name.substr(0, name.size() - 2) : name;
      write_input(path() / file, spec_of(input));
    }
  }
};

}  // namespace attn::testing
