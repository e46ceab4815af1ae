// Running `attn run`, as a program of its own or inside the test.
#include "conformance/command.hpp"

#include "request/layer.hpp"
#include "request/linear.hpp"
#include "request/run.hpp"
#include "tools/process.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace attn::testing {

namespace fs = std::filesystem;

namespace {

/// Sets one option of the request from the words at `word`; leaves `word` at the last one used.
template <class Request>
void take_option(const request::Table<Request>& table, Request& request, Words::const_iterator& word, Words::const_iterator end) {
  const auto row = std::ranges::find_if(table, [&](const auto& r) {
    const request::Option& o = r.option;
    if (o.positional) return (*word)[0] != '-';
    return *word == "--" + o.name || (o.letter != 0 && *word == std::string("-") + o.letter);
  });
  if (row == table.end()) throw std::runtime_error("the table has no row for " + *word);
  if (row->option.is_switch()) return row->set(request, "");
  if (!row->option.positional && ++word == end) throw std::runtime_error("the last option has no value");
  row->set(request, *word);
}

}  // namespace

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string shell_text(const Words& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                            "-_=+.,:/") == std::string::npos;
    if (plain) {
      text += word;
      continue;
    }
    text += '\'';
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    text += '\'';
  }
  return text;
}

Outcome run_program(const fs::path& directory, const Words& arguments) {
  const fs::path program = ATTN_PROGRAM;
  const fs::path out = directory / "standard-output";
  const fs::path err = directory / "standard-error";
  const Surroundings surroundings{.directory = directory,
                                  .environment = test_environment(program, directory, ATTN_TEST_DATA),
                                  .standard_output = out,
                                  .standard_error = err};
  const Ending ending = run_shell("exec " + shell_text(joined({program.string()}, arguments)), surroundings);
  Outcome outcome{.ending = ending.text(), .output = read_file(out), .messages = read_file(err)};
  fs::remove(out);
  fs::remove(err);
  return outcome;
}

std::vector<std::string> run_inside(const Words& arguments, Transport* transport, const std::atomic<bool>* cancelled) {
  request::RunRequest request;
  for (auto word = arguments.begin(); word != arguments.end(); ++word)
    take_option(request::run_table(), request, word, arguments.end());
  Listener listener;
  request::RunContext context{.reporter = listener, .print = [](std::string_view) {}, .progress = {}, .cancelled = cancelled};
  context.transport = transport;
  request::run(request, context);
  return listener.warnings;
}

std::vector<std::string> run_layers_inside(const Words& arguments) {
  request::LayerRequest request;
  for (auto word = arguments.begin(); word != arguments.end(); ++word)
    take_option(request::layer_table(), request, word, arguments.end());
  Listener listener;
  request::run_layers(request, {.reporter = listener, .print = [](std::string_view) {}, .progress = {}, .cancelled = nullptr});
  return listener.warnings;
}

std::vector<std::string> run_linear_inside(const Words& arguments) {
  request::LinearRequest request;
  for (auto word = arguments.begin(); word != arguments.end(); ++word)
    take_option(request::linear_table(), request, word, arguments.end());
  Listener listener;
  request::run_linear(request, {.reporter = listener, .print = [](std::string_view) {}, .progress = {}, .cancelled = nullptr});
  return listener.warnings;
}

Array read_result(const fs::path& path) {
  const std::string bytes = read_file(path);
  const std::size_t shape_at = bytes.find("'shape': (");
  const std::size_t data_at = bytes.find('\n') + 1;
  const bool is_float = bytes.find("'<f4'") < data_at;
  if (bytes.compare(1, 5, "NUMPY") != 0 || shape_at > data_at || (!is_float && bytes.find("'<f8'") > data_at) ||
      bytes.find("'fortran_order': False") > data_at)
    throw std::runtime_error("no NPY file of float32 or float64: " + path.string());
  Shape shape;
  for (const char* at = bytes.data() + shape_at + 10; *at != ')';) {
    const bool is_digit = *at >= '0' && *at <= '9';
    std::size_t number = 0;
    if (is_digit) {
      at = std::from_chars(at, bytes.data() + data_at, number).ptr;
      shape.push_back(number);
    } else {
      ++at;
    }
  }
  Array array(is_float ? DType::f32 : DType::f64, shape);
  if (bytes.size() - data_at != array.bytes()) throw std::runtime_error("the wrong number of bytes: " + path.string());
  if (!array.empty()) std::memcpy(array.mutable_data(), bytes.data() + data_at, array.bytes());
  return array;
}

}  // namespace attn::testing
