// The command line: any arguments give settings or one error of usage, and what the settings show reads back to the same.
// Arguments are separated by newlines.
#include "cli/command.hpp"
#include "fuzz/fuzz.hpp"
#include "request/run_request.hpp"

#include <string_view>
#include <vector>

using namespace attn;
using request::OptionValue;
using request::RunRequest;

namespace {

std::vector<std::string> arguments_of(std::string_view text) {
  std::vector<std::string> arguments;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    arguments.emplace_back(text.substr(0, newline));
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
  }
  return arguments;
}

bool is_text(const OptionValue& value) { return std::holds_alternative<std::string>(value); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const request::Table<RunRequest>& rows = request::run_table();
  const std::vector<request::Option> options = request::options_of(rows);
  const cli::CommandInfo info{.name = "run", .usage = "attn run [X] [options]"};
  RunRequest settings;
  const bool parsed = fuzz::attempt({Status::usage}, [&] {
    cli::parse_arguments(info, options, arguments_of(text),
                         [&](std::size_t index, const std::string& value) { rows[index].set(settings, value); });
  });
  if (!parsed) return 0;
  RunRequest again;
  for (const request::Row<RunRequest>& row : rows) {
    const OptionValue shown = row.get(settings);
    if (!is_text(shown)) continue;
    row.set(again, std::get<std::string>(shown));
    fuzz::require(row.get(again) == shown,
                  "--" + row.option.name + " " + std::get<std::string>(shown) + " reads back as another value");
  }
  return 0;
}
