// The program's entry: finds the command, and is the only place that catches and that decides the exit status.
#include "base/nearest.hpp"
#include "cli/blas.hpp"
#include "cli/cluster.hpp"
#include "cli/command.hpp"
#include "cli/interrupt.hpp"
#include "cli/overview.hpp"
#include "document/process.hpp"
#include "io/target.hpp"

#include <csignal>
#include <cstdlib>
#include <new>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

namespace {

using attn::Error;
using attn::Status;

Status dispatch(const std::vector<std::string>& arguments, attn::cli::Console& console) {
  if (arguments.empty()) {
    console.print(attn::cli::overview());
    return Status::ok;
  }
  std::string name = arguments.front();
  std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (name == "--version" || name == "-V") {
    console.print(attn::cli::version_line());
    return Status::ok;
  }
  if (name == "--help" || name == "-h") name = "help";
  if (name.starts_with('-')) {
    const std::string near = attn::nearest(name, {"--help", "--version"});
    throw Error(Status::usage, "there is no option " + name + " before the command",
                near.empty() ? "options stand behind it: attn run x.csv --causal" : "did you mean " + near + "?");
  }
  return attn::cli::find_command(name).run(rest, console);
}

/// An input that another program shortens while it is mapped: nothing can be computed, and nothing has been named yet.
extern "C" void on_lost_input(int /*signal*/) {
  constexpr std::string_view message = "attn: error: an input file was shortened while it was read\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, message.data(), message.size());
  ::_exit(static_cast<int>(Status::io));
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away ends attn as it ends cat, even if the parent ignores the signal.
  attn::cli::set_handler(SIGPIPE, SIG_DFL);
  // A limit on file sizes is an error of writing like any other.
  attn::cli::set_handler(SIGXFSZ, SIG_IGN);
  attn::cli::set_handler(SIGBUS, on_lost_input);
  attn::cli::tune_blas_when_it_loads();
  attn::cli::Console console;
  Status status = Status::defect;
  try {
    if (const char* folder = std::getenv(attn::document::kConfinement); folder != nullptr) attn::confine_outputs(folder);
    status = dispatch({argv + (argc > 0 ? 1 : 0), argv + argc}, console);
  } catch (const Error& error) {
    status = error.status();
    if (status == Status::usage) attn::cli::let_first_speak();
    console.error(error);
  } catch (const std::bad_alloc&) {
    console.error("there is not enough memory");
    status = Status::memory;
  } catch (const std::exception& error) {
    console.error(fmt::format("a defect of attn, please report it: {}", error.what()));
  }
  return static_cast<int>(status);
}
