// The header of NPY files: a small reader for the Python dictionary in it, and the meaning of its element types.
#include "io/npy.hpp"
#include "io/text.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace attn {

namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t npy_header_limit = std::size_t{1} << 16U;

unsigned byte_at(std::span<const std::byte> bytes, std::size_t i) { return std::to_integer<unsigned>(bytes[i]); }

/// Reads a dictionary literal with the keys 'descr', 'fortran_order' and 'shape', in any order and spacing. Values have no
/// deeper structure than a tuple of numbers; anything else is refused without looking into it.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& label) : text_(text), label_(label) {}

  void read(NpyHeader& header) {
    expect('{', "a dictionary");
    for (;;) {
      if (accept('}')) break;
      const std::string_view key = string("a key");
      expect(':', "':' after a key");
      value_of(key, header);
      if (accept(',')) continue;
      expect('}', "',' or '}' after a value");
      break;
    }
    skip_space();
    if (at_ != text_.size()) fail("nothing after the dictionary");
    static constexpr std::array names{"descr", "fortran_order", "shape"};
    for (std::size_t i = 0; i < names.size(); ++i)
      if (!seen_[i]) throw Error(Status::data, {label_}, fmt::format("the NPY header has no '{}'", names[i]));
  }

 private:
  [[noreturn]] void fail(std::string_view expected) const {
    throw Error(Status::data, {label_},
                fmt::format("the NPY header is damaged at character {} (expected {})", at_ + 1, expected));
  }

  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }

  bool accept(char wanted) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void expect(char wanted, std::string_view what) {
    if (!accept(wanted)) fail(what);
  }

  bool accept_word(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::string_view string(std::string_view what) {
    skip_space();
    if (at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) fail(what);
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) fail("the end of a quoted text");
    const std::string_view result = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return result;
  }

  void value_of(std::string_view key, NpyHeader& header) {
    if (key == "descr") {
      once(0);
      skip_space();
      // Structured types are lists; their fields could be nested without end, so they are refused unread.
      if (at_ < text_.size() && (text_[at_] == '[' || text_[at_] == '(' || text_[at_] == '{'))
        throw Error(Status::data, {label_}, "the array holds records with several fields (expected plain numbers)",
                    "save each field as an array of its own");
      header.descr = string("the element type as a quoted text");
    } else if (key == "fortran_order") {
      once(1);
      if (accept_word("True")) {
        header.column_major = true;
      } else if (!accept_word("False")) {
        fail("True or False");
      }
    } else if (key == "shape") {
      once(2);
      header.shape = shape();
    } else {
      fail("only the keys 'descr', 'fortran_order' and 'shape'");
    }
  }

  void once(std::size_t key) {
    if (std::exchange(seen_[key], true)) fail("each key once");
  }

  Shape shape() {
    Shape result;
    expect('(', "the shape as a tuple of numbers");
    bool comma = true;
    while (!accept(')')) {
      if (!comma) fail("',' or ')' in the shape");
      result.push_back(dimension());
      comma = accept(',');
    }
    // A number in parentheses is no tuple in Python.
    if (result.size() == 1 && !comma) fail("',' after the only dimension");
    return result;
  }

  std::size_t dimension() {
    skip_space();
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with('-')) throw Error(Status::data, {label_}, "the NPY header gives a negative dimension");
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error == std::errc::result_out_of_range)
      throw Error(Status::data, {label_}, "the NPY header gives a dimension that is larger than memory can address");
    if (error != std::errc{}) fail("a number");
    at_ += static_cast<std::size_t>(end - rest.data());
    if (at_ < text_.size() && (text_[at_] == 'L' || text_[at_] == 'l')) ++at_;  // Python 2 wrote long integers so
    return value;
  }

  std::string_view text_;
  const std::string& label_;
  std::size_t at_ = 0;
  std::array<bool, 3> seen_{};
};

/// Element types by kind and size; the names that NumPy understands as well are few and harmless.
std::optional<DType> known_type(std::string_view code) {
  static constexpr std::array<std::pair<std::string_view, DType>, 14> codes{{{"f2", DType::f16},
                                                                             {"V2", DType::bf16},
                                                                             {"f4", DType::f32},
                                                                             {"f8", DType::f64},
                                                                             {"i1", DType::i8},
                                                                             {"i2", DType::i16},
                                                                             {"i4", DType::i32},
                                                                             {"i8", DType::i64},
                                                                             {"u1", DType::u8},
                                                                             {"u2", DType::u16},
                                                                             {"u4", DType::u32},
                                                                             {"u8", DType::u64},
                                                                             {"b1", DType::boolean},
                                                                             {"?", DType::boolean}}};
  for (const auto& [name, type] : codes)
    if (code == name || code == dtype_name(type)) return type;
  return std::nullopt;
}

/// `descr` is the file's own words as messages show them.
std::string refusal_of(std::string_view descr, std::string_view code) {
  const char kind = code.empty() ? '\0' : code.front();
  switch (kind) {
    case 'O':
      return "the array holds Python objects (pickle), which attn never loads (expected numbers)";
    case 'c':
      return fmt::format("the array holds complex numbers ({}; expected real numbers)", descr);
    case 'S':
    case 'U':
    case 'a':
      return fmt::format("the array holds text ({}; expected numbers)", descr);
    case 'M':
    case 'm':
      return fmt::format("the array holds dates or times ({}; expected numbers)", descr);
    case 'V':
      return fmt::format("the array holds raw bytes or records ({}; expected numbers)", descr);
    case 'f':
      return fmt::format("the array holds floats of a size that attn does not read ({}; expected 2, 4 or 8 bytes)", descr);
    default:
      return fmt::format("the array has the unknown element type {} (expected floats, integers or bools)", descr);
  }
}

/// Sets type, byte order and refusal from `descr`.
void understand_type(NpyHeader& header) {
  std::string_view code = header.descr;
  header.big_endian = std::endian::native == std::endian::big;
  if (!code.empty() && std::string_view("<>=|").find(code.front()) != std::string_view::npos) {
    if (code.front() == '>') header.big_endian = true;
    if (code.front() == '<') header.big_endian = false;
    code.remove_prefix(1);
  }
  header.type = known_type(code);
  if (header.type && item_size(*header.type) == 1) header.big_endian = false;
  if (!header.type) header.refusal = refusal_of(excerpt(header.descr), code);
}

}  // namespace

bool is_npy(std::span<const std::byte> bytes) noexcept {
  return bytes.size() >= magic.size() && std::ranges::equal(bytes.first(magic.size()), magic, [](std::byte a, char b) {
           return std::to_integer<unsigned char>(a) == static_cast<unsigned char>(b);
         });
}

std::size_t npy_data_offset(std::span<const std::byte> bytes, const std::string& label) {
  if (!is_npy(bytes)) throw Error(Status::data, {label}, "not an NPY file (its first bytes are not \\x93NUMPY)");
  const auto need = [&](std::size_t count) {
    if (bytes.size() < count)
      throw Error(Status::data, {label}, fmt::format("the NPY file ends within its header, after {} bytes", bytes.size()));
  };
  need(8);
  const unsigned major = byte_at(bytes, 6);
  const unsigned minor = byte_at(bytes, 7);
  if (major < 1 || major > 3)
    throw Error(Status::data, {label}, fmt::format("NPY version {}.{} is unknown (expected 1.0, 2.0 or 3.0)", major, minor));
  const std::size_t preamble = major == 1 ? 10 : 12;
  need(preamble);
  std::size_t length = 0;
  for (std::size_t i = preamble; i > 8; --i) length = length << 8U | byte_at(bytes, i - 1);
  if (length > npy_header_limit)
    throw Error(Status::data, {label},
                fmt::format("the NPY header says it has {} bytes (expected at most {})", length, npy_header_limit));
  return preamble + length;
}

NpyHeader parse_npy_header(std::span<const std::byte> bytes, const std::string& label) {
  NpyHeader header;
  header.data_offset = npy_data_offset(bytes, label);
  if (header.data_offset > bytes.size())
    throw Error(Status::data, {label},
                fmt::format("the NPY file ends within its header, after {} of {} bytes", bytes.size(), header.data_offset));
  const std::size_t preamble = byte_at(bytes, 6) == 1 ? 10 : 12;
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  HeaderReader({text + preamble, header.data_offset - preamble}, label).read(header);
  understand_type(header);
  if (header.refusal.empty() && header.shape.size() > 4)
    header.refusal = fmt::format("the array has more than 4 dimensions (its shape is {})", to_string(header.shape));
  return header;
}

}  // namespace attn
