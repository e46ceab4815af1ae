// The header of safetensors files: JSON read event by event into tensors, then checked against the size of the file.
#include "io/array_names.hpp"
#include "io/safetensors.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <bit>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace attn {

namespace {

constexpr std::size_t safetensors_header_limit = 100'000'000;  // the format's own limit
constexpr std::size_t rank_limit = 32;

using Json = nlohmann::json;

/// Takes {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {"KEY": "VALUE", ...}} and
/// nothing else. Events, not a document: memory is bounded by the tensors, and depth by this grammar.
class HeaderEvents final : public nlohmann::json_sax<Json> {
 public:
  HeaderEvents(std::vector<SafetensorsEntry>& entries, const std::string& label) : entries_(entries), label_(label) {}

  bool null() override { fail(); }
  bool boolean(bool /*value*/) override { fail(); }
  bool number_integer(number_integer_t /*value*/) override { fail("numbers must not be negative"); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { fail("numbers must be whole"); }
  bool binary(binary_t& /*value*/) override { fail(); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::shape && entry().shape.size() < rank_limit) {
      entry().shape.push_back(value);
    } else if (place_ == Place::offsets && offsets_ < 2) {
      (offsets_++ == 0 ? entry().begin : entry().end) = value;
    } else {
      fail();
    }
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::tensor && key_ == Key::type) {
      entry().type = value;
    } else if (place_ != Place::metadata) {
      fail();
    }
    return true;
  }

  bool start_object(std::size_t /*size*/) override {
    if (place_ == Place::outside && !done_) {
      place_ = Place::root;
    } else if (place_ == Place::root) {
      place_ = in_metadata_ ? Place::metadata : Place::tensor;
      seen_ = 0;
    } else {
      fail();
    }
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::root) {
      if (!names_.insert(name).second)
        throw Error(Status::data, {label_}, fmt::format("the safetensors header names '{}' twice", shown_name(name)));
      in_metadata_ = name == "__metadata__";
      if (!in_metadata_) entries_.push_back({name, {}, {}, 0, 0});
    } else if (place_ == Place::tensor) {
      key_ = name == "dtype" ? Key::type : name == "shape" ? Key::shape : name == "data_offsets" ? Key::offsets : Key::none;
      if (key_ == Key::none) fail(fmt::format("the unknown field '{}'", shown_name(name)));
      const unsigned bit = 1U << static_cast<unsigned>(key_);
      if ((seen_ & bit) != 0) fail(fmt::format("the field '{}' twice", name));
      seen_ |= bit;
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor && seen_ != all_fields) fail("a field is missing (expected dtype, shape and data_offsets)");
    done_ = place_ == Place::root;
    place_ = done_ ? Place::outside : Place::root;
    return true;
  }

  bool start_array(std::size_t /*size*/) override {
    if (place_ != Place::tensor || key_ == Key::type) fail();
    place_ = key_ == Key::shape ? Place::shape : Place::offsets;
    offsets_ = 0;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets && offsets_ != 2) fail("data_offsets must be two numbers");
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/, const Json::exception& /*error*/) override {
    throw Error(Status::data, {label_},
                fmt::format("the safetensors header is not valid JSON at byte {}", safetensors_length_bytes + position));
  }

 private:
  enum class Place { outside, root, metadata, tensor, shape, offsets };
  enum class Key : unsigned { type, shape, offsets, none };
  static constexpr unsigned all_fields = 7;

  [[noreturn]] void fail(std::string_view what = "something that does not belong there") const {
    const std::string where =
        entries_.empty() || in_metadata_ ? std::string() : fmt::format(" at tensor '{}'", shown_name(entries_.back().name));
    throw Error(Status::data, {label_}, fmt::format("the safetensors header is damaged{}: {}", where, what));
  }
  SafetensorsEntry& entry() { return entries_.back(); }

  std::vector<SafetensorsEntry>& entries_;
  const std::string& label_;
  std::unordered_set<std::string> names_;
  Place place_ = Place::outside;
  Key key_ = Key::none;
  unsigned seen_ = 0;
  int offsets_ = 0;
  bool in_metadata_ = false;
  bool done_ = false;
};

/// The format allows neither overlaps nor gaps, so that no byte can be meant twice or hide something.
void check_places(const SafetensorsHeader& header, std::uint64_t data_size, const std::string& label) {
  const auto fail = [&](const SafetensorsEntry& entry, std::string_view what) {
    throw Error(Status::data, location_of(label, entry.name),
                fmt::format("the tensor's data_offsets [{}, {}] {}", entry.begin, entry.end, what));
  };
  std::uint64_t next = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.end < entry.begin) fail(entry, "end before they begin");
    if (entry.end > data_size)
      fail(entry, fmt::format("reach beyond the {} bytes of data in the file (is it cut short?)", data_size));
    if (entry.begin < next) fail(entry, "overlap those of another tensor");
    if (entry.begin > next) fail(entry, fmt::format("leave a gap after byte {}", next));
    next = entry.end;
    const std::optional<DType> type = safetensors_type(entry.type);
    if (!type) continue;
    const std::size_t item = item_size(*type);
    std::size_t bytes = 0;
    try {
      bytes = element_count(entry.shape, item) * item;
    } catch (const Error& error) {
      throw Error(Status::data, location_of(label, entry.name), error.what());
    }
    if (bytes != entry.end - entry.begin)
      fail(entry, fmt::format("do not fit its shape {} of {} (expected {} bytes)", to_string(entry.shape), entry.type, bytes));
  }
  if (next != data_size)
    throw Error(Status::data, {label}, fmt::format("the file is too long: its tensors take {} bytes, found {}", next, data_size));
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes, const std::string& label) {
  if (bytes.size() < safetensors_length_bytes)
    throw Error(Status::data, {label},
                fmt::format("the safetensors file ends after {} bytes, within its first number", bytes.size()));
  std::uint64_t length = 0;
  for (std::size_t i = safetensors_length_bytes; i > 0; --i) length = length << 8U | std::to_integer<std::uint64_t>(bytes[i - 1]);
  if (length > safetensors_header_limit)
    throw Error(Status::data, {label},
                fmt::format("not a safetensors file (its header would have {} bytes, at most {} are allowed)", length,
                            safetensors_header_limit));
  if (length > bytes.size() - safetensors_length_bytes)
    throw Error(
        Status::data, {label},
        fmt::format("the file is cut short: its header has {} bytes, found {}", length, bytes.size() - safetensors_length_bytes));
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + safetensors_length_bytes;
  if (length == 0 || *text != '{')
    throw Error(Status::data, {label}, "not a safetensors file (its header does not start with '{')");

  SafetensorsHeader header;
  header.data_offset = safetensors_length_bytes + static_cast<std::size_t>(length);
  HeaderEvents events(header.entries, label);
  Json::sax_parse(text, text + length, &events);
  std::ranges::sort(header.entries, {}, [](const SafetensorsEntry& entry) { return std::pair(entry.begin, entry.end); });
  check_places(header, bytes.size() - header.data_offset, label);
  return header;
}

}  // namespace attn
