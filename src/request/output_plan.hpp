// One output of a run before it has memory.
#pragma once

#include <attn/array.hpp>

#include <string>

namespace attn::request {

/// One output as planned: before it has memory.
struct OutputPlan {
  std::string role;  ///< the option's name: "output", "weights"
  std::string file;
  Shape shape;
  DType dtype = DType::f32;
};

}  // namespace attn::request
