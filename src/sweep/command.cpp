// The commands that a sweep can run.
#include "sweep/command.hpp"

#include "base/nearest.hpp"
#include "request/layer.hpp"
#include "request/look.hpp"

#include <algorithm>
#include <type_traits>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::sweep {

namespace {

/// A command by its table, where its `attn run` part is, and what runs it.
template <class S>
SweepCommand make_command(const char* name, const request::Table<S>& (*table)(), request::RunRequest& (*part)(S&),
                          void (*run)(S&, const request::RunContext&)) {
  class Typed final : public Request {
   public:
    Typed(const request::Table<S>& rows, request::RunRequest& (*run_part)(S&), void (*how)(S&, const request::RunContext&))
        : rows_(rows), part_(run_part), run_(how) {}
    void set(std::size_t option, const std::string& text) override { rows_[option].set(settings_, text); }
    [[nodiscard]] std::vector<OptionValue> values() const override {
      std::vector<OptionValue> all;
      for (const request::Row<S>& row : rows_) all.push_back(row.get(settings_));
      return all;
    }
    void only_plan() override { part_(settings_).dry_run = true; }
    void run(const request::RunContext& context) override { run_(settings_, context); }

   private:
    const request::Table<S>& rows_;
    request::RunRequest& (*part_)(S&);
    void (*run_)(S&, const request::RunContext&);
    S settings_{};
  };
  return {.name = name,
          .options = request::options_of(table()),
          .has_rows = !std::is_same_v<S, request::LayerRequest>,
          .make = [=]() -> std::unique_ptr<Request> { return std::make_unique<Typed>(table(), part, run); }};
}

const std::vector<SweepCommand>& sweep_commands() {
  using request::LayerRequest;
  using request::LookRequest;
  using request::RunContext;
  using request::RunRequest;
  static const std::vector<SweepCommand> list{
      make_command<RunRequest>(
          "run", request::run_table, [](RunRequest& r) -> RunRequest& { return r; },
          [](RunRequest& r, const RunContext& context) { request::run(r, context); }),
      make_command<LayerRequest>(
          "layer", request::layer_table, [](LayerRequest& r) -> RunRequest& { return r.run; },
          [](LayerRequest& r, const RunContext& context) { request::run_layers(r, context); }),
      make_command<LookRequest>(
          "stats", request::stats_table, [](LookRequest& r) -> RunRequest& { return r; },
          [](LookRequest& r, const RunContext& context) { request::stats(r, context, false); }),
      make_command<LookRequest>(
          "topk", request::topk_table, [](LookRequest& r) -> RunRequest& { return r; },
          [](LookRequest& r, const RunContext& context) { request::topk(r, context); }),
  };
  return list;
}

}  // namespace

bool SweepCommand::has(const std::string& option) const {
  return std::ranges::find(options, option, &Option::name) != options.end();
}

std::size_t SweepCommand::find(const std::string& option) const {
  const auto at = std::ranges::find(options, option, &Option::name);
  if (at != options.end()) return static_cast<std::size_t>(at - options.begin());
  std::vector<std::string> names;
  for (const Option& known : options) names.push_back(known.name);
  const std::string near = nearest(option, names);
  throw Error(Status::usage, fmt::format("attn {} has no option '{}'", name, option),
              near.empty() ? fmt::format("attn {} --help lists them; here they stand without their dashes", name)
                           : fmt::format("did you mean {}?", near));
}

std::vector<std::string> sweep_command_names() {
  std::vector<std::string> names;
  for (const SweepCommand& command : sweep_commands()) names.push_back(command.name);
  return names;
}

const SweepCommand& find_sweep_command(const std::string& name) {
  for (const SweepCommand& command : sweep_commands()) {
    if (command.name == name) return command;
  }
  const std::vector<std::string> names = sweep_command_names();
  const std::string near = nearest(name, names);
  throw Error(Status::usage, fmt::format("a sweep cannot run '{}' (expected {})", name, fmt::join(names, ", ")),
              near.empty() ? "" : fmt::format("did you mean {}?", near));
}

}  // namespace attn::sweep
