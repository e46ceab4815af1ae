// A file of named tensors: a safetensors file, an NPZ, or the index of a checkpoint that is split over several safetensors files.
#include "model/parameter_file.hpp"

#include "io/array_names.hpp"
#include "io/input.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace attn::model {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kExpected = "parameters are read from a safetensors or NPZ file, or from a checkpoint's *.index.json";

}  // namespace

std::string beside(const std::string& path, std::string_view name) {
  const std::size_t slash = path.rfind('/');
  return (slash == std::string::npos ? "" : path.substr(0, slash + 1)) + std::string(name);
}

std::string read_text_file(const std::string& path) {
  constexpr std::size_t largest = std::size_t{1} << 26U;
  const Input input = open_input(path);
  if (input.bytes.size() > largest) throw Error(Status::data, {path}, "a text file of more than 64 MiB (expected a small one)");
  return std::string(input.text());
}

ParameterFile::ParameterFile(const std::string& path, Reporter& reporter) {
  const FileName name = FileName::parse(path);
  if (name.is_standard_stream()) throw Error(Status::usage, "--params must be a file: standard input cannot be searched by name");
  if (!name.selector.empty())
    throw Error(Status::usage, fmt::format("--params takes a whole file, and '{}' selects an array of one", path),
                "what stands before the names of a layer is given with --params-prefix");
  path_ = name.path;
  if (path_.ends_with(".json")) {
    read_index(reporter);
  } else {
    add(path_, reporter);
  }
}

void ParameterFile::add(const std::string& file, Reporter& reporter) {
  const std::optional<Format> format = format_of_path(file);
  if (format && *format != Format::npz && *format != Format::safetensors)
    throw Error(Status::data, {file},
                fmt::format("a file of the format {} holds no named tensors ({})", format_name(*format), kExpected));
  for (ArrayEntry& entry : list_arrays({file, {}}, {}, reporter)) {
    if (entry.name.empty()) throw Error(Status::data, {file}, fmt::format("the file holds no named tensors ({})", kExpected));
    if (!index_.try_emplace(entry.name, entries_.size()).second)
      throw Error(Status::data, {file}, fmt::format("the tensor {} is there twice", shown_name(entry.name)));
    entries_.push_back(std::move(entry));
    files_.push_back(file);
  }
}

void ParameterFile::read_index(Reporter& reporter) {
  const Json index = Json::parse(read_text_file(path_), nullptr, false);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object())
    throw Error(Status::data, {path_}, fmt::format("this JSON file has no weight_map ({})", kExpected));
  std::set<std::string> files;
  for (const Json& file : *map) {
    const std::string name = file.is_string() ? file.get<std::string>() : std::string();
    if (name.empty() || name.find('/') != std::string::npos)
      throw Error(Status::data, {path_}, fmt::format("weight_map names '{}' (expected a file beside it)", shown_name(name)));
    files.insert(name);
  }
  for (const std::string& file : files) add(beside(path_, file), reporter);
}

const ArrayEntry* ParameterFile::find(const std::string& name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : &entries_[at->second];
}

Loaded ParameterFile::load(const std::string& name, Reporter& reporter) const {
  const auto at = index_.find(name);
  if (at == index_.end()) throw Error(Status::defect, fmt::format("there is no tensor {} to load", shown_name(name)));
  return read_array({files_[at->second], name}, {}, reporter);
}

}  // namespace attn::model
