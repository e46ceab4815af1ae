// What came of judging a claimed array element by element: how many fail, the worst one, and the reports of it.
#pragma once

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace attn::analysis {

/// One claimed number against the exact one.
struct JudgedElement {
  std::size_t index = 0;  ///< in the flattened array
  double claimed = 0;
  double exact = 0;
  double bound = 0;

  [[nodiscard]] double error() const noexcept;
  /// error over bound: at most 1 passes. Equal numbers have 0, also where both are the same infinity; a NaN has infinity.
  [[nodiscard]] double ratio() const noexcept;
};

/// The judgement over one array.
struct Verdict {
  std::string what;  ///< "output", "weights", "lse"
  std::string file;
  Shape shape;
  std::size_t elements = 0;
  std::size_t failed = 0;
  std::size_t nan = 0;       ///< of these, where claimed or exact is NaN
  double largest_error = 0;  ///< over elements without NaN
  JudgedElement worst;       ///< the largest ratio, the first of equals

  [[nodiscard]] bool holds() const noexcept { return failed == 0; }
};

/// Collects judged elements of one thread's rows; not for several threads.
class Tally {
 public:
  void take(const JudgedElement& element) noexcept;
  /// A NaN where NaN was asked for.
  void take_expected_nan() noexcept { ++elements_; }

 private:
  friend class Judgement;
  std::size_t elements_ = 0;
  std::size_t failed_ = 0;
  std::size_t nan_ = 0;
  double largest_error_ = 0;
  double largest_ratio_ = -1;
  JudgedElement worst_;
};

/// Joins tallies of several threads; the verdict does not depend on their order.
class Judgement {
 public:
  Judgement(std::string what, std::string file, Shape shape);
  void join(const Tally& tally);
  [[nodiscard]] const Verdict& verdict() const noexcept { return verdict_; }

 private:
  std::mutex mutex_;
  Verdict verdict_;
  double largest_ratio_ = -1;
};

/// Everything `attn verify` has to say.
struct Verification {
  std::string budget;
  std::vector<Verdict> verdicts;
  std::uint64_t empty_queries = 0;  ///< queries without a visible key
  double seconds = 0;
  [[nodiscard]] bool holds() const noexcept;
};

[[nodiscard]] std::string verification_text(const Verification& verification);
[[nodiscard]] std::string verification_json(const Verification& verification);

}  // namespace attn::analysis
