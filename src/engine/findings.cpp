// What in the inputs deserves a word.
#include "engine/findings.hpp"

#include "engine/prepare.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <fmt/format.h>

namespace attn::engine {

namespace {

/// The first NaN among the rows for which `matters` holds, as text.
template <class Matters>
std::string find_nan(const RowSource<double>& source, const std::string& name, const Matters& matters) {
  const HeadLayout& l = source.layout();
  std::string found;
  visit_rows(source, [&](std::size_t b, std::size_t h, std::size_t i, const double* values) {
    const std::span<const double> row(values, l.dim);
    const auto nan = std::ranges::find_if(row, [](double x) { return std::isnan(x); });
    if (nan == row.end() || !matters(b, h, i)) return true;
    const std::string where = l.batch > 1 || l.heads > 1 ? fmt::format("batch {}, head {}, row", b, h) : "row";
    found = fmt::format("{}: {} {}, feature {}", name, where, i, nan - row.begin());
    return false;
  });
  return found;
}

/// The first NaN of an additive mask at a pair that is visible, as text.
std::string find_mask_nan(const Plan& plan, const MaskPart& part, const std::string& name) {
  const Dims& d = plan.dims;
  for (std::size_t b = 0; b < d.batch; ++b) {
    for (std::size_t h = 0; h < d.heads; ++h) {
      for (std::size_t i = 0; i < d.q_len; ++i) {
        const KeyRange keys = plan.range(b, i);
        for (std::size_t j = keys.begin; j < std::min(keys.end, part.key_count); ++j) {
          if (!std::isnan(part.array.at_flat(part.offset(b, h, i) + j * part.stride[3])) || !plan.visible(b, h, i, j)) continue;
          const std::string where = d.batch > 1 || d.heads > 1 ? fmt::format("batch {}, head {}, query", b, h) : "query";
          return fmt::format("{}: {} {}, key {}", name, where, i, j);
        }
      }
    }
  }
  return {};
}

}  // namespace

bool some_query_sees(const Plan& plan, std::size_t b, std::size_t kv_head, std::size_t j) {
  if (j >= plan.key_length[b]) return false;
  const std::size_t group = plan.dims.heads / plan.dims.kv_heads;
  for (std::size_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    for (std::size_t i = 0; i < plan.dims.q_len; ++i) {
      if (plan.visible(b, h, i, j)) return true;
    }
  }
  return false;
}

bool sees_some_key(const Plan& plan, std::size_t b, std::size_t h, std::size_t i) {
  const KeyRange keys = plan.range(b, i);
  for (std::size_t j = keys.begin; j < keys.end; ++j) {
    if (plan.visible(b, h, i, j)) return true;
  }
  return false;
}

std::string first_visible_nan(const Plan& plan, const Inputs& inputs) {
  const auto key_matters = [&](std::size_t b, std::size_t h, std::size_t j) { return some_query_sees(plan, b, h, j); };
  const auto query_matters = [&](std::size_t b, std::size_t h, std::size_t i) { return sees_some_key(plan, b, h, i); };
  const Operands<double> rows = widened_rows<double>(inputs);
  std::string found = find_nan(rows.query, inputs.query.name, query_matters);
  if (found.empty()) found = find_nan(rows.key, inputs.key.name, key_matters);
  if (found.empty()) found = find_nan(rows.value, inputs.value.name, key_matters);
  for (std::size_t n = 0; n < plan.masks.size() && found.empty(); ++n) {
    if (plan.masks[n].kind == MaskKind::add) found = find_mask_nan(plan, plan.masks[n], inputs.masks[n].input.name);
  }
  return found;
}

}  // namespace attn::engine
