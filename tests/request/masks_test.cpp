// What the entries of a mask file mean.
#include "request/masks.hpp"

#include "conformance/command.hpp"

#include <cmath>
#include <limits>
#include <optional>

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::request;
using attn::testing::Listener;
using engine::MaskKind;

Loaded loaded(Array array, Format format = Format::npy) {
  return {.array = std::move(array), .name = {.path = "m.npy", .selector = {}}, .format = format, .columns = {}, .mapped = {}};
}

template <class T>
Loaded loaded(const std::vector<T>& values, Format format = Format::npy) {
  return loaded(Array::of<T>({values.size()}, values), format);
}

Loaded of_bools() { return loaded(Array(DType::boolean, {3})); }

MaskKind kind_of(const Loaded& mask, MaskType type) {
  Listener listener;
  return understand_mask(mask, type, std::nullopt, listener).kind;
}

std::optional<Status> refused(const Loaded& mask, MaskType type) {
  try {
    (void)kind_of(mask, type);
  } catch (const Error& error) {
    CHECK_EQ(error.where().file, "m.npy");
    CHECK_FALSE(error.hint().empty());
    return error.status();
  }
  return std::nullopt;
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("bool arrays keep and float arrays add unless something else is said") {
  CHECK(kind_of(of_bools(), MaskType::automatic) == MaskKind::keep);
  CHECK(kind_of(of_bools(), MaskType::block) == MaskKind::block);
  CHECK(kind_of(loaded<float>({0, -1, 0}), MaskType::automatic) == MaskKind::add);
  CHECK(kind_of(loaded<float>({0, 1, 2}), MaskType::automatic) == MaskKind::add);
  CHECK(kind_of(loaded<float>({0, -kInfinity, 1}), MaskType::automatic) == MaskKind::add);
  CHECK(kind_of(loaded<double>({0, 0, 0}), MaskType::automatic) == MaskKind::add);
  CHECK(kind_of(loaded<float>({0, std::nanf(""), 1}), MaskType::automatic) == MaskKind::add);
  CHECK(kind_of(loaded<float>({0, 1, 1}), MaskType::keep) == MaskKind::keep);
  CHECK(kind_of(loaded<std::int64_t>({0, 1, 1}), MaskType::block) == MaskKind::block);
  CHECK(kind_of(loaded<std::int64_t>({0, 5, -3}), MaskType::add) == MaskKind::add);
}

TEST_CASE("masks with three readings must say theirs") {
  CHECK(refused(loaded<float>({0, 1, 1}), MaskType::automatic) == Status::usage);
  CHECK(refused(loaded<double>({1, 1}), MaskType::automatic) == Status::usage);
  CHECK(refused(loaded<std::int32_t>({0, -5}), MaskType::automatic) == Status::usage);
  CHECK(refused(loaded<std::uint8_t>({0, 1}), MaskType::automatic) == Status::usage);
  for (const Format text : {Format::csv, Format::tsv}) {
    CHECK(refused(loaded<float>({0, -5}, text), MaskType::automatic) == Status::usage);
    CHECK(kind_of(loaded<float>({0, -5}, text), MaskType::add) == MaskKind::add);
  }
}

TEST_CASE("keep and block take 0 and 1 only") {
  CHECK(refused(loaded<float>({0, 0.5F}), MaskType::keep) == Status::data);
  CHECK(refused(loaded<float>({0, -kInfinity}), MaskType::block) == Status::data);
  CHECK(refused(loaded<float>({0, std::nanf("")}), MaskType::keep) == Status::data);
  CHECK(refused(loaded<std::int8_t>({0, -1}), MaskType::keep) == Status::data);
}

TEST_CASE("big negative numbers mask only when told to, and a row of them deserves a word") {
  Listener listener;
  const Loaded mask = loaded(Array::of<float>({2, 2}, {-1e9F, -1e4F, 0, -1e9F}));
  const engine::NamedMask plain = understand_mask(mask, MaskType::automatic, std::nullopt, listener);
  CHECK_EQ(plain.input.array.at_flat(0), -1e9F);
  CHECK_EQ(listener.warnings.size(), 1);
  const engine::NamedMask cut = understand_mask(mask, MaskType::automatic, -1e4, listener);
  CHECK_EQ(cut.input.array.at_flat(0), -kInfinity);
  CHECK_EQ(cut.input.array.at_flat(1), -kInfinity);
  CHECK_EQ(cut.input.array.at_flat(2), 0);
  CHECK_EQ(listener.warnings.size(), 1);
  CHECK_EQ(understand_bias(mask, -1e9, listener).input.array.at_flat(1), -1e4F);
  CHECK(understand_bias(mask, std::nullopt, listener).kind == MaskKind::add);
}
