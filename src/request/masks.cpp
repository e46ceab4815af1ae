// What the entries of a mask file mean.
#include "request/masks.hpp"

#include "io/input.hpp"

#include <cmath>
#include <limits>
#include <span>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// A look at all of a mapped file, from its first element on, that holds no more than some of it: of several processes that share
/// a run each looks, and needs but its part afterwards.
class Glance {
 public:
  explicit Glance(const Loaded& file) : file_(file) {}
  Glance(const Glance&) = delete;
  Glance& operator=(const Glance&) = delete;
  ~Glance() { let_go(file_.array.size()); }

  /// What comes before `element` has been seen.
  void passes(std::size_t element) {
    constexpr std::size_t most = std::size_t{1} << 20U;
    if (element >= from_ + most) let_go(element);
  }

 private:
  void let_go(std::size_t end) {
    const std::size_t item = item_size(file_.array.dtype());
    const std::span<const std::byte> bytes{file_.array.data() + from_ * item, (end - from_) * item};
    if (file_.mapped != nullptr && file_.mapped->holds(bytes)) file_.mapped->let_go(bytes);
    from_ = end;
  }

  const Loaded& file_;
  std::size_t from_ = 0;
};

/// Which values besides 0 and 1 an array holds.
struct Content {
  bool has_one = false;
  bool has_other = false;
  double other = 0;  ///< the first entry that is neither 0 nor 1
};

Content content_of(const Loaded& mask) {
  const Array& array = mask.array;
  Content content;
  Glance glance(mask);
  for (std::size_t i = 0; i < array.size(); ++i) {
    glance.passes(i);
    const double x = array.at_flat(i);
    if (x == 1) content.has_one = true;
    if (x == 0 || x == 1) continue;
    content.has_other = true;
    content.other = x;
    return content;
  }
  return content;
}

[[noreturn]] void must_say(const Loaded& mask, const std::string& why) {
  throw Error(Status::usage, {.file = mask.name.text()}, fmt::format("{}: say what the mask's entries mean", why),
              "--mask-type keep (1 stays), --mask-type block (1 is masked) or --mask-type add (added to the logits)");
}

engine::MaskKind kind_of(const Loaded& mask, MaskType type) {
  const Array& array = mask.array;
  switch (type) {
    case MaskType::keep:
      return engine::MaskKind::keep;
    case MaskType::block:
      return engine::MaskKind::block;
    case MaskType::add:
      return engine::MaskKind::add;
    case MaskType::automatic:
      break;
  }
  if (array.dtype() == DType::boolean) return engine::MaskKind::keep;
  if (is_text(mask.format)) must_say(mask, "a CSV mask can mean three things");
  if (!is_floating(array.dtype())) must_say(mask, fmt::format("a mask of {} can mean three things", dtype_name(array.dtype())));
  const Content content = content_of(mask);
  if (content.has_one && !content.has_other) must_say(mask, "a float mask of 0 and 1 only can mean three things");
  return engine::MaskKind::add;
}

Array with_infinities(const Array& array, double treat_below) {
  Array changed = array.converted(DType::f64);
  Array copy(DType::f64, changed.shape());
  const auto from = changed.values<double>();
  const auto to = copy.mutable_values<double>();
  for (std::size_t i = 0; i < from.size(); ++i)
    to[i] = from[i] <= treat_below ? -std::numeric_limits<double>::infinity() : from[i];
  return copy;
}

/// Rows that are all "a big negative number": the author meant them to be empty, and they are not.
void warn_of_big_negatives(const Loaded& mask, Reporter& reporter) {
  const Array& array = mask.array;
  if (array.shape().empty() || array.shape().back() == 0) return;
  const std::size_t width = array.shape().back();
  std::size_t rows = 0;
  Glance glance(mask);
  for (std::size_t row = 0; row * width < array.size(); ++row) {
    glance.passes(row * width);
    bool all = true;
    for (std::size_t j = 0; j < width && all; ++j) {
      const double x = array.at_flat(row * width + j);
      all = std::isfinite(x) && x <= -1e4;
    }
    if (all) ++rows;
  }
  if (rows > 0)
    reporter.warn(fmt::format(
        "{}: {} rows hold only values like -1e9: finite biases, so these rows are not empty (--treat-below -1e4 masks them)",
        mask.name.text(), rows));
}

engine::NamedMask additive(const Loaded& file, const char* role, std::optional<double> treat_below, Reporter& reporter) {
  if (!treat_below) warn_of_big_negatives(file, reporter);
  return {.input = {treat_below ? with_infinities(file.array, *treat_below) : file.array,
                    fmt::format("{} {}", role, file.name.text())},
          .kind = engine::MaskKind::add};
}

}  // namespace

engine::NamedMask understand_mask(const Loaded& mask, MaskType type, std::optional<double> treat_below, Reporter& reporter) {
  const engine::MaskKind kind = kind_of(mask, type);
  if (kind == engine::MaskKind::add) return additive(mask, "mask", treat_below, reporter);
  if (mask.array.dtype() != DType::boolean) {
    const Content content = content_of(mask);
    if (content.has_other)
      throw Error(Status::data, {.file = mask.name.text()},
                  fmt::format("--mask-type {} needs entries 0 and 1, but the mask holds {}", name_of(type), content.other),
                  "a mask that is added to the logits: --mask-type add");
  }
  return {.input = {mask.array, "mask " + mask.name.text()}, .kind = kind};
}

engine::NamedMask understand_bias(const Loaded& bias, std::optional<double> treat_below, Reporter& reporter) {
  return additive(bias, "bias", treat_below, reporter);
}

}  // namespace attn::request
