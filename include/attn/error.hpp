// Errors as data: what went wrong, where, and with which exit status it ends the program.
#pragma once

#include <concepts>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

namespace attn {

/// Exit statuses of the program, and the kinds of error the library throws.
enum class Status : int {
  ok = 0,
  differs = 1,        ///< a comparison found a difference
  usage = 2,          ///< wrong usage: the caller asked for something that has no meaning
  data = 3,           ///< unusable input data
  io = 4,             ///< could not read or write
  memory = 5,         ///< more memory than allowed or to be had
  defect = 70,        ///< a defect of attn itself
  interrupted = 130,  ///< stopped by SIGINT or SIGTERM
};

/// Where in an input an error was found. Lines and columns count from 1; 0 means "not known".
struct Location {
  std::string file;
  std::size_t line = 0;
  std::size_t column = 0;
};

/// The one exception type of the library. `what()` is one line a person understands, without the location; `hint` is an
/// optional second line that says what to do about it.
class Error : public std::runtime_error {
 public:
  /// A template so that a Location in braces, Error(status, {file}, message), is never taken for a message.
  template <std::convertible_to<std::string> Message>
  Error(Status status, const Message& message, std::string hint = {})
      : std::runtime_error(std::string(message)), status_(status), hint_(std::move(hint)) {}

  Error(Status status, Location where, const std::string& message, std::string hint = {})
      : std::runtime_error(message), status_(status), where_(std::move(where)), hint_(std::move(hint)) {}

  [[nodiscard]] Status status() const noexcept { return status_; }
  [[nodiscard]] const Location& where() const noexcept { return where_; }
  [[nodiscard]] const std::string& hint() const noexcept { return hint_; }

 private:
  Status status_;
  Location where_;
  std::string hint_;
};

/// Receives what the library has to say besides its results. The library never prints; the program decides what is shown.
class Reporter {
 public:
  Reporter() = default;
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;
  virtual ~Reporter() = default;

  /// Something the user should know even when everything went well ("3 queries have no key left; the first is 17").
  virtual void warn(const std::string& message) = 0;
  /// A detail for `--verbose` ("header row found in train.csv").
  virtual void note(const std::string& message) = 0;
};

}  // namespace attn
