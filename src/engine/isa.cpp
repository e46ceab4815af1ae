// Which vector targets the engine can run here, and which one a name selects.
#include "engine/engine.hpp"
#include "kernels/kernels.hpp"

#include <attn/error.hpp>

#include <algorithm>

#include <fmt/format.h>

namespace attn::engine {

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const auto* table : kernels::available<float>()) names.emplace_back(table->isa);
  return names;
}

std::string selected_isa(const std::string& isa) {
  const std::vector<std::string> names = available_isas();
  if (isa.empty()) return names.front();
  if (std::find(names.begin(), names.end(), isa) == names.end())
    throw Error(Status::usage,
                fmt::format("this processor has no vector target '{}' (expected one of {})", isa, fmt::join(names, ", ")));
  return isa;
}

}  // namespace attn::engine
