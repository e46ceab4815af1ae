// What a cheaper attention is: its name, its setting, when it applies, what it costs, and how it computes.
#pragma once

#include "engine/engine.hpp"
#include "engine/tiled_memory.hpp"

#include <attn/array.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attn::approx {

/// What the tiled engine can hand out, and so each method that is a walk of it.
inline constexpr engine::Needs kOffersOfTiles{.output = true,
                                              .log_sum_exp = true,
                                              .weights = true,
                                              .raw_scores = true,
                                              .capped_scores = true,
                                              .masked_scores = true,
                                              .facts = true,
                                              .top = SIZE_MAX,
                                              .columns = true};

/// The numbers behind a method's name, in the order of its parameters: "window:512:4" is {512, 4}.
using Setting = std::vector<double>;

/// One number of a setting.
struct Parameter {
  std::string_view name;     ///< for help: "REACH"
  double fallback = 0;       ///< where it is not given
  double least = 0;          ///< smaller numbers are refused
  double most = 0;           ///< larger ones, too
  bool is_whole = true;      ///< fractions are refused
  std::string_view meaning;  ///< "keys to either side of a query's position"
};

/// The work of a method on one plan.
struct Cost {
  double flops = 0;
  std::uint64_t bytes = 0;  ///< held at once besides inputs and output
};

/// What a cost depends on besides the plan and the setting.
struct Means {
  DType type = DType::f32;  ///< computed in: f32 or f64
  std::size_t threads = 1;
  engine::CopiedRows copied = {};
};

/// What a method that leaves out keys can say for certain about one computation, over all queries that see a key.
struct Promise {
  double largest_dropped = 0;  ///< bound on the mass of its weights that a query has lost
  double mean_dropped = 0;     ///< the mean of the queries' bounds
  double largest_error = 0;    ///< bound on what any feature of an output is off: 2 * mass * largest |value|
  double kept = 0;             ///< keys that a query has kept, on average
};

/// One computation. A method hands its results to the observers as an engine does: every query's rows once, weights as tiles,
/// in the order that Observer asks for, the same bits for any number of threads.
template <class T>
struct Job {
  const engine::Plan& plan;
  const engine::Operands<T>& operands;
  std::span<engine::Observer<T>* const> observers;
  const engine::Execution& execution;
  /// What `plan` and `operands` are taken from: themselves, or, when only some queries' weights are looked at (plan.chosen), all
  /// queries. What a method learns from queries before it computes, it learns from these. Keys and values are the same in both.
  const engine::Plan& whole;
  const engine::Operands<T>& whole_operands;
  std::optional<Promise>* promise = nullptr;  ///< where a method that has one leaves it; may be null
};

/// A row of the table of methods. Functions must not keep what they are given.
struct Method {
  std::string_view name;     ///< as in --methods
  std::string_view summary;  ///< one line for help
  std::vector<Parameter> parameters;
  /// What observers may ask for; the output always.
  engine::Needs offers = {.output = true};
  /// Why the method has no meaning with this plan, as a sentence without its end ("a key behind a mask ..."); empty: it applies.
  std::string (*refusal)(const engine::Plan& plan, const Setting& setting);
  Cost (*cost)(const engine::Plan& plan, const Setting& setting, const Means& means);
  /// Settings from the coarsest to the most exact one, for --target-error; one where there is nothing to choose. The error is
  /// taken to fall along them.
  std::vector<Setting> (*settings)(const engine::Plan& plan, const Setting& given);
  void (*run_f32)(const Job<float>& job, const Setting& setting);
  void (*run_f64)(const Job<double>& job, const Setting& setting);

  void run(const Job<float>& job, const Setting& setting) const { run_f32(job, setting); }
  void run(const Job<double>& job, const Setting& setting) const { run_f64(job, setting); }
};

/// A method with numbers for all of its parameters.
struct Choice {
  const Method* method = nullptr;
  Setting setting;

  /// "window:512:4".
  [[nodiscard]] std::string text() const;
};

/// "512:4"; empty where a method has no parameters.
[[nodiscard]] std::string setting_text(const Setting& setting);

/// The table of methods, in the order in which they are shown.
[[nodiscard]] std::span<const Method* const> methods();

/// Reads "NAME" or "NAME:NUMBER:..."; what is left out is the parameter's default. Throws Error(usage), naming `option`, for a
/// name that is unknown and a number that is none, is out of range, or is one too many.
[[nodiscard]] Choice read_choice(const std::string& option, std::string_view text);

/// All of a list, separated by commas.
[[nodiscard]] std::vector<Choice> read_choices(const std::string& option, std::string_view text);

/// Whole numbers from `least` to `most`, each about a fifth more than the one before; `most` is the last. For the first number of
/// a setting, the others being those of `given`.
[[nodiscard]] std::vector<Setting> rising_settings(const Setting& given, std::size_t least, std::size_t most);

/// The bytes that the tiled engine works in on a plan.
[[nodiscard]] std::uint64_t tiled_bytes(const engine::Plan& plan, const Means& means);

/// 2 * visible pairs * (head_dim + value_dim).
[[nodiscard]] double exact_flops(const engine::Plan& plan);

// The methods.
[[nodiscard]] const Method& window_method();
[[nodiscard]] const Method& block_method();
[[nodiscard]] const Method& linear_method();
[[nodiscard]] const Method& features_method();
[[nodiscard]] const Method& nystrom_method();
[[nodiscard]] const Method& pool_method();
[[nodiscard]] const Method& heads_method();
[[nodiscard]] const Method& int8_method();
[[nodiscard]] const Method& bf16_method();
[[nodiscard]] const Method& split_method();
[[nodiscard]] const Method& mass_method();
[[nodiscard]] const Method& topk_method();

}  // namespace attn::approx
