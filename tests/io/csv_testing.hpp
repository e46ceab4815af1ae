// What the CSV tests share: reading from a string, and errors and notes as values.
#pragma once

#include "io/csv.hpp"
#include "tools/listener.hpp"

#include <attn/io.hpp>

#include <cstddef>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace attn::testing {

/// What went wrong: nothing when `status` is ok.
struct Failure {
  Status status = Status::ok;
  std::size_t line = 0;
  std::size_t column = 0;
  std::string message;
  std::string hint;

  friend bool operator==(const Failure&, const Failure&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Failure& f) {
    return out << static_cast<int>(f.status) << " at " << f.line << ":" << f.column << ": " << f.message << " | " << f.hint;
  }
};

template <class F>
Failure failure_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return {error.status(), error.where().line, error.where().column, error.what(), error.hint()};
  }
  return {};
}

/// What a text holds, or why it cannot be read.
struct Parsed {
  Shape shape;
  std::vector<double> values;
  std::vector<std::string> columns;
  std::vector<std::string> notes;
  Failure failure;
};

struct Case {
  std::string selector;
  ReadOptions options;
  CsvTuning tuning;
  std::string path = "x.csv";
};

inline Parsed parse(std::string_view text, const Case& how = {}) {
  Parsed result;
  Listener notes;
  result.failure = failure_of([&] {
    const Loaded loaded = parse_csv(text, FileName{how.path, how.selector}, how.options, notes, how.tuning);
    result.shape = loaded.array.shape();
    result.columns = loaded.columns;
    for (std::size_t i = 0; i < loaded.array.size(); ++i) result.values.push_back(loaded.array.at_flat(i));
  });
  result.notes = notes.notes;
  return result;
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// Collects what is written.
class StringSink : public Outputs::TextSink {
 public:
  void write(std::string_view piece) override {
    text += piece;
    ++pieces;
  }
  std::string text;
  std::size_t pieces = 0;
};

}  // namespace attn::testing
