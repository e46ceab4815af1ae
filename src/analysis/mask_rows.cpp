// Masks given row by row: which keys each query may see, from plans alone or combined, never held as a whole.
#include "analysis/mask_rows.hpp"

#include <algorithm>
#include <limits>

namespace attn::analysis {

namespace {

/// Hides the keys that the plan hides from the query.
void hide(const engine::Plan& plan, std::size_t b, std::size_t h, std::size_t i, std::span<bool> keys, std::vector<float>& bias) {
  const engine::KeyRange range = plan.range(b, i);
  const std::size_t begin = std::min(range.begin, range.end);
  std::ranges::fill(keys.first(begin), false);
  std::ranges::fill(keys.subspan(range.end), false);
  if (range.empty() || !plan.may_hide()) return;
  bias.resize(keys.size());
  plan.fill_bias(b, h, i, 1, begin, range.end - begin, bias.data(), 1);
  for (std::size_t j = begin; j < range.end; ++j) {
    if (bias[j - begin] == -std::numeric_limits<float>::infinity()) keys[j] = false;
  }
}

class PlannedMask final : public MaskRows {
 public:
  PlannedMask(std::vector<MaskOperand> operands, Combination combination)
      : operands_(std::move(operands)), combination_(combination) {
    const engine::Dims& d = operands_.front().front().dims;
    size_ = {.batch = d.batch, .heads = d.heads, .queries = d.q_len, .keys = d.kv_len};
  }

  [[nodiscard]] MaskSize size() const override { return size_; }

  void row(std::size_t b, std::size_t h, std::size_t i, std::span<bool> keys) const override {
    std::vector<float> bias;
    if (combination_ == Combination::all) {
      std::ranges::fill(keys, true);
      for (const MaskOperand& operand : operands_) hide_all(operand, b, h, i, keys, bias);
      return;
    }
    // A bool array of its own: std::vector<bool> has no spans.
    const std::unique_ptr<bool[]> memory(new bool[keys.size() + 1]);  // NOLINT(modernize-avoid-c-arrays)
    const std::span<bool> one(memory.get(), keys.size());
    std::ranges::fill(keys, false);
    for (const MaskOperand& operand : operands_) {
      std::ranges::fill(one, true);
      hide_all(operand, b, h, i, one, bias);
      for (std::size_t j = 0; j < keys.size(); ++j) keys[j] = keys[j] || one[j];
    }
    if (combination_ == Combination::none) std::ranges::transform(keys, keys.begin(), [](bool visible) { return !visible; });
  }

 private:
  static void hide_all(const MaskOperand& operand, std::size_t b, std::size_t h, std::size_t i, std::span<bool> keys,
                       std::vector<float>& bias) {
    for (const engine::Plan& plan : operand) hide(plan, b, h, i, keys, bias);
  }

  std::vector<MaskOperand> operands_;
  Combination combination_;
  MaskSize size_;
};

}  // namespace

std::unique_ptr<MaskRows> planned_mask(std::vector<MaskOperand> operands, Combination combination) {
  return std::make_unique<PlannedMask>(std::move(operands), combination);
}

}  // namespace attn::analysis
