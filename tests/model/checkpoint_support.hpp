// What tests share that compare a model's numbers, from files to files, with recorded ones.
#pragma once

#include "conformance/command.hpp"
#include "conformance/judge.hpp"
#include "tools/errors.hpp"
#include "tools/working_directory.hpp"

#include <attn/io.hpp>

#include <string>

#include <doctest/doctest.h>

namespace attn::testing {

/// A real model with its true inputs and outputs.
inline const std::string kMinilm = std::string(ATTN_EXAMPLES) + "/minilm/";

inline Array load(const std::string& file) {
  Listener listener;
  return read_array(FileName::parse(file), {}, listener).array;
}

inline void check_equal(const Array& got, const Array& expected, double tolerance) {
  const Judgement judgement = judge_each(got, expected, 0, tolerance);
  CHECK_MESSAGE(judgement.defect.empty(), judgement.defect);
}

}  // namespace attn::testing
