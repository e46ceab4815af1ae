// A reporter that keeps what it is told.
#pragma once

#include <attn/error.hpp>

#include <string>
#include <vector>

namespace attn::testing {

class Listener final : public Reporter {
 public:
  void warn(const std::string& message) override { warnings.push_back(message); }
  void note(const std::string& message) override { notes.push_back(message); }
  std::vector<std::string> warnings;
  std::vector<std::string> notes;
};

}  // namespace attn::testing
