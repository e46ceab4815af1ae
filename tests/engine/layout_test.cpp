// Seeing arrays as [batch, heads, length, dim].
#include "engine/engine_support.hpp"

namespace {

using namespace attn;
using namespace attn::engine;
using namespace attn::engine::test;

/// The element of the array that stands at (b, h, i, c) of its layout.
double at(const NamedArray& input, const HeadLayout& l, std::size_t b, std::size_t h, std::size_t i, std::size_t c) {
  return input.array.at_flat(b * l.batch_stride + h * l.head_stride + i * l.row_stride + c);
}

void check_sizes(const HeadLayout& l, std::size_t batch, std::size_t heads, std::size_t length, std::size_t dim) {
  CHECK_EQ(l.batch, batch);
  CHECK_EQ(l.heads, heads);
  CHECK_EQ(l.length, length);
  CHECK_EQ(l.dim, dim);
}

}  // namespace

TEST_CASE("every rank has its layout") {
  const NamedArray four = counted<double>("q", {2, 3, 5, 7});
  const HeadLayout l4 = head_layout(four, 0);
  check_sizes(l4, 2, 3, 5, 7);
  CHECK_EQ(at(four, l4, 1, 2, 4, 6), (2 * 3 * 5 * 7 - 1) / 8.0);
  CHECK_EQ(at(four, l4, 1, 0, 2, 3), ((1 * 3 + 0) * 35 + 2 * 7 + 3) / 8.0);
  check_sizes(head_layout(four, 3), 2, 3, 5, 7);

  const NamedArray three = counted<double>("q", {2, 5, 7});
  check_sizes(head_layout(three, 0), 2, 1, 5, 7);
  check_sizes(head_layout(counted<float>("q", {5, 7}), 0), 1, 1, 5, 7);
  check_sizes(head_layout(counted<float>("q", {7}), 0), 1, 1, 1, 7);
  check_sizes(head_layout(counted<float>("q", {0, 7}), 0), 1, 1, 0, 7);
  check_sizes(head_layout(counted<float>("q", {7, 0}), 0), 1, 1, 7, 0);
}

TEST_CASE("packed heads lie side by side in the last dimension") {
  const NamedArray three = counted<double>("q", {2, 5, 6});
  const HeadLayout l = head_layout(three, 3);
  check_sizes(l, 2, 3, 5, 2);
  CHECK_EQ(at(three, l, 1, 2, 3, 1), (1 * 30 + 3 * 6 + 2 * 2 + 1) / 8.0);
  const NamedArray two = counted<double>("q", {5, 6});
  const HeadLayout l2 = head_layout(two, 2);
  check_sizes(l2, 1, 2, 5, 3);
  CHECK_EQ(at(two, l2, 0, 1, 4, 2), 29 / 8.0);
}

TEST_CASE("what has no layout is refused") {
  const Error width = error_of([] { (void)head_layout(counted<float>("query", {5, 12}), 5); });
  CHECK(width.status() == Status::data);
  CHECK_EQ(std::string(width.what()),
           "query query.npy [5, 12] cannot be split into 5 heads: its last dimension 12 is not a multiple of 5");
  CHECK_EQ(width.hint(), "numbers of heads that divide 12: 1, 2, 3, 4, 6, 12");

  const Error heads = error_of([] { (void)head_layout(counted<float>("query", {1, 4, 2, 2}), 2); });
  CHECK(heads.status() == Status::usage);
  check_contains(heads.what(), {"query query.npy [1, 4, 2, 2] has 4 heads", "2 were asked for"});

  const Error rank = error_of([] { (void)head_layout(counted<float>("query", {1, 1, 1, 1, 1}), 0); });
  CHECK(rank.status() == Status::data);
  check_contains(rank.what(), {"query query.npy has 5 dimensions", "[batch, heads, length, dim]"});
  CHECK(error_of([] { (void)head_layout({Array(DType::f32, {}), "query"}, 0); }).status() == Status::data);
}
