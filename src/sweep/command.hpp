// The commands that a sweep can run, each with the option table it has on the command line.
#pragma once

#include "request/option.hpp"
#include "request/run.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace attn::sweep {

using request::Option;
using request::OptionValue;

/// What one run is asked, of whatever command.
class Request {
 public:
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  virtual ~Request() = default;

  /// `option` is a place in the command's options. Switches are set with any text. Throws Error(usage) for text that is no value.
  virtual void set(std::size_t option, const std::string& text) = 0;
  /// The values in the order of the options.
  [[nodiscard]] virtual std::vector<OptionValue> values() const = 0;
  /// Only says what a run would need, to the guest of the context.
  virtual void only_plan() = 0;
  virtual void run(const request::RunContext& context) = 0;
};

struct SweepCommand {
  std::string name;
  std::vector<Option> options;
  bool has_rows = false;  ///< its walk is one that metrics can be taken from
  std::function<std::unique_ptr<Request>()> make;

  /// The place of an option by its long name (a positional one by its name), or Error(usage) naming the nearest.
  [[nodiscard]] std::size_t find(const std::string& option) const;
  /// The same without an error.
  [[nodiscard]] bool has(const std::string& option) const;
};

/// Throws Error(usage) naming the nearest command for one that cannot be swept.
[[nodiscard]] const SweepCommand& find_sweep_command(const std::string& name);
[[nodiscard]] std::vector<std::string> sweep_command_names();

}  // namespace attn::sweep
