// A picture as one page for a browser.
#include "render/page.hpp"

#include "base/json_number.hpp"
#include "render/colour.hpp"
#include "render/page_template.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace attn::render {

namespace {

constexpr int kMantissas = 900;  ///< 100 to 999
constexpr std::size_t kColours = 33;

/// value = digits * 10^power, with three digits, rounded as decimal text is.
struct Decimal {
  int digits = 0;
  int power = 0;
};

Decimal decimal_of(double size) {
  std::array<char, 32> text{};
  const auto end = fmt::format_to_n(text.data(), text.size() - 1, "{:.2e}", size).out;
  *end = '\0';
  // "d.dde+x"
  const int digits = (text[0] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');
  return {digits, static_cast<int>(std::strtol(text.data() + 5, nullptr, 10)) - 2};
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t k) {
      return k < bytes.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[k])) : 0U;
    };
    const std::uint32_t three = byte(i) << 16U | byte(i + 1) << 8U | byte(i + 2);
    text += letters[three >> 18U];
    text += letters[three >> 12U & 63U];
    text += i + 1 < bytes.size() ? letters[three >> 6U & 63U] : '=';
    text += i + 2 < bytes.size() ? letters[three & 63U] : '=';
  }
  return text;
}

Json axis_json(const Axis& axis, std::size_t cells) {
  return {{"title", axis.title}, {"length", axis.length}, {"cells", cells}, {"names", axis.names}};
}

Json scale_json(const Scale& scale) {
  return {{"low", scale.low}, {"high", scale.high}, {"log", scale.is_log}, {"cut", scale.is_log && scale.is_cut}};
}

Json panel_json(const Panel& panel, const DecimalCode& decimals) {
  std::string bytes;
  bytes.reserve(2 * panel.cells.values.size());
  for (const double value : panel.cells.values) {
    const std::uint16_t code = decimals.code(value);
    bytes += static_cast<char>(code & 0xFFU);
    bytes += static_cast<char>(code >> 8U);
  }
  return {{"title", panel.title}, {"cells", base64(bytes)}};
}

Json data_json(const Picture& picture, const PageWords& words) {
  const Grid& grid = picture.panels.front().cells;
  ScaleMaker scales;
  for (const Panel& panel : picture.panels) scales.take(panel.cells.values);
  const DecimalCode decimals(picture.panels);
  const Scale logarithmic = scales.scale(true);
  Json data{{"title", picture.title}, {"remark", picture.remark}, {"unit", picture.scale.title}, {"pool", words.pool}};
  data["rows"] = axis_json(picture.rows, grid.rows);
  data["columns"] = axis_json(picture.columns, grid.columns);
  data["lineAxis"] = picture.line_axis;
  data["lineTitles"] = picture.line_titles.empty() ? std::vector<std::string>{""} : picture.line_titles;
  data["columnTitles"] = picture.column_titles;
  data["linear"] = scale_json(scales.scale(false));
  data["logarithmic"] = logarithmic.is_log && scales.lowest() >= 0 ? scale_json(logarithmic) : Json();
  data["log"] = picture.scale.is_log;
  data["hasNan"] = picture.scale.has_nan;
  data["code"] = {{"powers", decimals.powers()}, {"least", decimals.least()}};
  for (std::size_t i = 0; i < kColours; ++i) {
    const Colour c = viridis(static_cast<double>(i) / (kColours - 1));
    data["colours"].push_back({c.red, c.green, c.blue});
  }
  for (const Panel& panel : picture.panels) data["panels"].push_back(panel_json(panel, decimals));
  return data;
}

/// What a browser reads as text in a title.
std::string escaped(std::string_view text) {
  std::string shown;
  for (const char c : text) shown += c == '&' ? "&amp;" : c == '<' ? "&lt;" : std::string(1, c);
  return shown;
}

void append_filled(std::string& page, std::string_view text, std::string_view mark, std::string_view filling,
                   std::string_view& rest) {
  const std::size_t at = text.find(mark);
  page += text.substr(0, at);
  page += filling;
  rest = text.substr(at + mark.size());
}

}  // namespace

DecimalCode::DecimalCode(std::span<const Panel> panels) {
  double largest = 0;
  bool is_negative = false;
  for (const Panel& panel : panels)
    for (const double value : panel.cells.values) {
      if (!std::isfinite(value)) continue;
      largest = std::max(largest, std::abs(value));
      is_negative = is_negative || value < 0;
    }
  if (is_negative) powers_ = 36;
  const int most = largest > 0 ? decimal_of(largest).power : 0;
  least_ = most - powers_ + 1;
}

std::uint16_t DecimalCode::code(double value) const {
  if (std::isnan(value)) return nan;
  if (std::isinf(value)) return value > 0 ? infinity : minus_infinity;
  if (value == 0) return 0;
  const Decimal decimal = decimal_of(std::abs(value));
  if (decimal.power < least_) return tiny;
  const int place = 1 + (decimal.power - least_) * kMantissas + decimal.digits - 100;
  return static_cast<std::uint16_t>(value > 0 ? place : place + powers_ * kMantissas);
}

double DecimalCode::value(std::uint16_t code) const {
  if (code == 0) return 0;
  if (code >= tiny) return std::numeric_limits<double>::quiet_NaN();
  const bool is_negative = code > powers_ * kMantissas;
  const int place = code - 1 - (is_negative ? powers_ * kMantissas : 0);
  const std::string text = fmt::format("{}{}e{}", is_negative ? "-" : "", 100 + place % kMantissas, place / kMantissas + least_);
  return std::strtod(text.c_str(), nullptr);
}

std::string draw_page(const Picture& picture, const PageWords& words) {
  std::string data = data_json(picture, words).dump(-1, ' ', false, Json::error_handler_t::replace);
  // "</script" would end the data.
  for (std::size_t at = data.find('<'); at != std::string::npos; at = data.find('<', at)) data.replace(at, 1, "\\u003c");
  std::string page;
  std::string_view rest = page_template;
  append_filled(page, rest, "@TITLE@", escaped(picture.title), rest);
  append_filled(page, rest, "@DATA@", data, rest);
  page += rest;
  return page;
}

}  // namespace attn::render
