// The input files of one command, each read once, and the type they are computed in.
#pragma once

#include "engine/inputs.hpp"
#include "request/run_request.hpp"
#include "request/shared_inputs.hpp"

#include <attn/io.hpp>

#include <string>
#include <vector>

namespace attn::request {

/// The files of one request. Each is read once; standard input is read last, when the type of text numbers is known.
class InputFiles {
 public:
  /// `shared` may be null. `holds_double`: a file that is not among these does. What is referred to must outlive this.
  InputFiles(const RunRequest& request, Reporter& reporter, SharedInputs* shared, bool holds_double = false)
      : request_(request), reporter_(reporter), shared_(shared), holds_double_(holds_double) {}

  /// Registers a file under its role; empty text is "not given". Main inputs obey --from.
  void want(const std::string& role, const std::string& text, bool main_input);

  /// Reads everything and decides the type computed in.
  DType read_all();

  /// What was read under a role, or null.
  [[nodiscard]] const Loaded* find(const std::string& role) const;

  /// The same with what to call it in messages; an array without dimensions when there is none.
  [[nodiscard]] engine::NamedArray named(const std::string& role) const;

  [[nodiscard]] ReadFiles all() const;

 private:
  struct Wanted {
    std::string role;
    std::string text;
    bool main_input = false;
    Loaded loaded;
  };

  [[nodiscard]] Loaded load(const Wanted& w, DType type);
  void read(Wanted& w, DType type);
  [[nodiscard]] DType text_type() const;

  const RunRequest& request_;
  Reporter& reporter_;
  SharedInputs* shared_;
  std::vector<Wanted> wanted_;
  bool holds_double_;
};

/// Says so when an array of one dimension was taken as one row.
void notice_rows(const Loaded& loaded, Reporter& reporter);

}  // namespace attn::request
