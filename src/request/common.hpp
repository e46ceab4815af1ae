// Options that several commands share: how files are read and written, and how much is said.
#pragma once

#include "request/option.hpp"

#include <attn/io.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace attn::request {

enum class NanPolicy { compute, error };

/// What every command understands.
struct CommonSettings {
  bool help = false;
  bool quiet = false;
  bool verbose = false;
};

/// How input files are read.
struct ReadingSettings {
  std::optional<Format> from;
  std::optional<char> delimiter;
  Header header = Header::automatic;
  char decimal = '.';
  std::optional<double> missing;
  std::optional<double> ragged;
  bool lossy = false;     ///< integers beyond 2^53 are rounded instead of refused
  bool as_float = false;  ///< a bool array may serve as numbers

  /// `text_type` is what the numbers of a CSV become: f32 or f64.
  [[nodiscard]] ReadOptions options(DType text_type) const;
};

/// How output files are written.
struct WritingSettings {
  std::optional<Format> to;
  bool deflate = false;

  [[nodiscard]] WriteOptions options() const;
};

[[nodiscard]] const Table<CommonSettings>& common_table();
[[nodiscard]] const Table<ReadingSettings>& reading_table();
[[nodiscard]] const Table<WritingSettings>& writing_table();

/// Adds the rows of the shared parts to a command's own rows; S has members `reading`, `writing` and `common`.
template <class S>
void append_reading(Table<S>& table) {
  append(table, reading_table(), [](auto& s) -> auto& { return s.reading; });
}
template <class S>
void append_writing(Table<S>& table) {
  append(table, writing_table(), [](auto& s) -> auto& { return s.writing; });
}
template <class S>
void append_common(Table<S>& table) {
  append(table, common_table(), [](auto& s) -> auto& { return s.common; });
}

/// What was read: the role that each file plays ("query") and its content, in the order of the request.
using ReadFiles = std::vector<std::pair<std::string, Loaded>>;

/// An input array that numbers are computed from: bool is refused without --as-float, integers beyond 2^53 without --lossy.
void require_numbers(const Loaded& loaded, const ReadingSettings& reading);

/// The position of the first NaN at or behind `from` in the flat array, or its size.
[[nodiscard]] std::size_t first_nan(const Array& array, std::size_t from = 0);

template <>
struct Names<Format> {
  static constexpr std::array<std::pair<std::string_view, Format>, 5> list{{{"csv", Format::csv},
                                                                            {"tsv", Format::tsv},
                                                                            {"npy", Format::npy},
                                                                            {"npz", Format::npz},
                                                                            {"safetensors", Format::safetensors}}};
};
template <>
struct Names<Header> {
  static constexpr std::array<std::pair<std::string_view, Header>, 3> list{
      {{"auto", Header::automatic}, {"yes", Header::yes}, {"no", Header::no}}};
};
template <>
struct Names<NanPolicy> {
  static constexpr std::array<std::pair<std::string_view, NanPolicy>, 2> list{
      {{"compute", NanPolicy::compute}, {"error", NanPolicy::error}}};
};

}  // namespace attn::request
