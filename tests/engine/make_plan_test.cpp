// Inputs and options that fit become a plan; all others become a message that helps.
#include "engine/engine_support.hpp"

#include <cmath>

namespace {

using namespace attn;
using namespace attn::engine;
using namespace attn::engine::test;

Plan plan_of(const Inputs& inputs, const AttentionOptions& options = {}) { return make_plan(inputs, options, DType::f32); }

Error planning_error(const Inputs& inputs, const AttentionOptions& options = {}) {
  return error_of([&] { (void)plan_of(inputs, options); });
}

void check_misfit(const Inputs& inputs, const std::vector<std::string>& parts, const std::string& hint = {}) {
  const Error error = planning_error(inputs);
  CHECK(error.status() == Status::data);
  check_contains(error.what(), parts);
  // Every shape is named.
  check_contains(error.what(), {inputs.query.name + " " + to_string(inputs.query.array.shape()),
                                inputs.key.name + " " + to_string(inputs.key.array.shape()),
                                inputs.value.name + " " + to_string(inputs.value.array.shape())});
  check_contains(error.hint(), {hint});
}

void check_usage(const AttentionOptions& options, const std::vector<std::string>& parts) {
  const Error error = planning_error(inputs_of({3, 4}, {3, 4}, {3, 4}), options);
  CHECK(error.status() == Status::usage);
  check_contains(error.what(), parts);
}

NamedMask mask_of(const Shape& shape, MaskKind kind = MaskKind::keep) {
  return {{Array(kind == MaskKind::add ? DType::f32 : DType::boolean, shape), "mask m.npy"}, kind};
}

}  // namespace

TEST_CASE("sizes come from the shapes") {
  Inputs inputs = inputs_of({2, 5, 24}, {2, 7, 12}, {2, 7, 18});
  inputs.heads = 6;
  inputs.kv_heads = 3;
  const Plan plan = plan_of(inputs);
  CHECK_EQ(plan.dims.batch, 2);
  CHECK_EQ(plan.dims.heads, 6);
  CHECK_EQ(plan.dims.kv_heads, 3);
  CHECK_EQ(plan.dims.q_len, 5);
  CHECK_EQ(plan.dims.kv_len, 7);
  CHECK_EQ(plan.dims.head_dim, 4);
  CHECK_EQ(plan.dims.value_dim, 6);
  CHECK_EQ(plan.dims.kv_head(5), 2);
  CHECK_EQ(plan.factor, 0.5);
  CHECK_EQ(plan.key_length, std::vector<std::size_t>{7, 7});
  CHECK_EQ(plan.query_offset, std::vector<std::int64_t>{0, 0});
}

TEST_CASE("scale and temperature become one factor") {
  const Inputs inputs = inputs_of({3, 16}, {3, 16}, {3, 2});
  AttentionOptions options;
  CHECK_EQ(plan_of(inputs, options).factor, 0.25);
  options.temperature = 0.5;
  CHECK_EQ(plan_of(inputs, options).factor, 0.5);
  options.score = Score::euclidean;
  CHECK_EQ(plan_of(inputs, options).factor, 2);
  options.scale = -3;
  CHECK_EQ(plan_of(inputs, options).factor, -6);
}

TEST_CASE("shapes that do not fit are all named") {
  check_misfit(inputs_of({2, 3, 4}, {1, 3, 4}, {1, 3, 4}), {"differ in batch size"});
  check_misfit(inputs_of({3, 4}, {5, 4}, {6, 4}), {"key has 5 rows and value 6"});
  check_misfit(inputs_of({3, 4}, {3, 4}, {6, 4}), {"key has 3 rows and value 6"}, "is -v the file you meant?");
  check_misfit(inputs_of({3, 4}, {4, 5}, {4, 5}), {"queries are 4 wide and keys 5"}, "--transpose");
  check_misfit(inputs_of({3, 4}, {6, 5}, {6, 5}), {"queries are 4 wide and keys 5"});
  check_misfit(inputs_of({1, 4, 3, 8}, {1, 3, 3, 8}, {1, 3, 3, 8}), {"4 query heads cannot share 3 key and value heads"});
  check_misfit(inputs_of({1, 4, 3, 8}, {1, 2, 3, 8}, {1, 4, 3, 8}), {"key and value differ in the number of heads"});
  check_misfit(inputs_of({3, 0}, {3, 0}, {3, 4}), {"0 columns"});
  Inputs grouped = inputs_of({5, 24}, {5, 8}, {5, 8});
  grouped.heads = 6;
  grouped.kv_heads = 4;
  check_misfit(grouped, {"6 query heads cannot share 4"});
  Inputs fewer = inputs_of({5, 32}, {5, 8}, {5, 8});
  fewer.heads = 8;
  check_misfit(fewer, {"queries are 4 wide and keys 1"}, "if keys have fewer heads: --kv-heads 2");
}

TEST_CASE("a past must be complete and fit") {
  Inputs inputs = inputs_of({2, 4}, {2, 4}, {2, 6});
  inputs.past_key = counted<float>("past key", {1, 1, 5, 4});
  CHECK(planning_error(inputs).status() == Status::usage);
  check_contains(planning_error(inputs).what(), {"--past-key", "--past-value"});
  inputs.past_value = counted<float>("past value", {1, 1, 5, 6});
  const Plan plan = plan_of(inputs);
  CHECK_EQ(plan.dims.kv_len, 7);
  CHECK_EQ(plan.query_offset, std::vector<std::int64_t>{5});
  inputs.past_value = counted<float>("past value", {1, 1, 5, 4});
  check_misfit(inputs, {"differ in width", "past key past key.npy [1, 1, 5, 4]", "past value past value.npy [1, 1, 5, 4]"});
  inputs.past_value = counted<float>("past value", {1, 1, 4, 6});
  check_misfit(inputs, {"differ in length"});
  inputs.past_value = counted<float>("past value", {2, 1, 5, 6});
  check_misfit(inputs, {"differ in batch size"});
  inputs.past_value = counted<float>("past value", {1, 2, 5, 6});
  check_misfit(inputs, {"differ in the number of heads"});
  inputs.past_value = counted<float>("past value", {5, 6});
  CHECK(planning_error(inputs).status() == Status::data);
  check_contains(planning_error(inputs).what(),
                 {"past value past value.npy has the shape [5, 6]", "[batch, kv_heads, length, dim]"});
}

TEST_CASE("positions that have two readings must be said") {
  const Inputs wide = inputs_of({2, 4}, {5, 4}, {5, 4});
  AttentionOptions options;
  CHECK_EQ(plan_of(wide, options).query_offset, std::vector<std::int64_t>{0});
  options.causal = true;
  const Error error = planning_error(wide, options);
  CHECK(error.status() == Status::usage);
  CHECK_EQ(std::string(error.what()),
           "--causal with 2 queries and 5 keys has two readings: say with --query-offset where the first query stands");
  CHECK_EQ(error.hint(),
           "--query-offset 0          --query-offset end\n"
           " x . . .                   x x x .\n"
           " x x . .                   x x x x\n"
           "(rows are queries, columns keys; drawn for 2 queries and 4 keys)");
  options = {};
  options.window.left = 3;
  check_contains(planning_error(wide, options).what(), {"--window with 2 queries"});
  options = {};
  options.alibi = true;
  check_contains(planning_error(wide, options).what(), {"--alibi with 2 queries"});
  // RoPE alone has its default, as has a square problem.
  options = {};
  options.rope = RopePairing::half;
  CHECK_EQ(plan_of(wide, options).query_offset, std::vector<std::int64_t>{0});
  options.causal = true;
  CHECK_EQ(plan_of(inputs_of({5, 4}, {5, 4}, {5, 4}), options).query_offset, std::vector<std::int64_t>{0});
}

TEST_CASE("the query offset may be the end, one number, or one for each batch entry") {
  Inputs inputs = inputs_of({3, 2, 4}, {3, 5, 4}, {3, 5, 4});
  inputs.key_lengths = {5, 0, 2};
  AttentionOptions options;
  options.query_offset.kind = QueryOffset::Kind::end;
  CHECK_EQ(plan_of(inputs, options).query_offset, std::vector<std::int64_t>{3, -2, 0});
  options.query_offset = {.kind = QueryOffset::Kind::given, .values = {-7}};
  CHECK_EQ(plan_of(inputs, options).query_offset, std::vector<std::int64_t>{-7, -7, -7});
  options.query_offset.values = {1, 2, 3};
  CHECK_EQ(plan_of(inputs, options).query_offset, std::vector<std::int64_t>{1, 2, 3});
  options.query_offset.values = {1, 2};
  CHECK_EQ(std::string(planning_error(inputs, options).what()),
           "--query-offset has 2 numbers for 3 batch entries (expected 1 or 3)");
  inputs.key_lengths = {4};
  options.query_offset = {};
  CHECK_EQ(plan_of(inputs, options).key_length, std::vector<std::size_t>{4, 4, 4});
  inputs.key_lengths = {4, 4};
  CHECK(planning_error(inputs).status() == Status::data);
  inputs.key_lengths = {6};
  CHECK_EQ(std::string(planning_error(inputs).what()), "--key-lengths: 6 is not between 0 and the 5 keys there are");
  inputs.key_lengths = {-1};
  CHECK(planning_error(inputs).status() == Status::data);
}

TEST_CASE("numbers without a meaning are refused") {
  AttentionOptions o;
  o.temperature = 0;
  check_usage(o, {"--temperature"});
  o.temperature = std::nan("");
  check_usage(o, {"--temperature"});
  o = {};
  o.scale = std::nan("");
  check_usage(o, {"--scale"});
  o = {};
  o.softcap = -1;
  check_usage(o, {"--softcap"});
  o = {};
  o.window.left = -1;
  check_usage(o, {"--window", "not negative"});
  o = {};
  o.rope = RopePairing::half;
  o.rope_dim = 3;
  check_usage(o, {"--rope-dim must be even and at most 4 (it is 3)"});
  o.rope_dim = 6;
  check_usage(o, {"--rope-dim must be even and at most 4 (it is 6)"});
  o.rope_dim = 2;
  o.rope_base = 0;
  check_usage(o, {"--rope-base"});
  o = {};
  o.residual = true;
  o.combine = Combine::rows;
  check_usage(o, {"--residual", "--combine rows"});
  o.combine = Combine::sum;
  const Error widths = planning_error(inputs_of({3, 4}, {3, 4}, {3, 5}), o);
  CHECK(widths.status() == Status::data);
  check_contains(widths.what(), {"the query (4 wide)", "the output (5 wide)", "value value.npy [3, 5]"});
}

TEST_CASE("masks broadcast right-aligned, and may stop early") {
  Inputs inputs = inputs_of({2, 3, 4, 8}, {2, 3, 5, 8}, {2, 3, 5, 8});
  const auto part_of = [&](const Shape& shape) {
    inputs.masks = {mask_of(shape)};
    return plan_of(inputs).masks.at(0);
  };
  const auto check_strides = [&](const Shape& shape, const std::vector<std::size_t>& strides, std::size_t key_count) {
    INFO(to_string(shape));
    const MaskPart part = part_of(shape);
    CHECK_EQ(std::vector<std::size_t>(part.stride, part.stride + 4), strides);
    CHECK_EQ(part.key_count, key_count);
  };
  check_strides({2, 3, 4, 5}, {60, 20, 5, 1}, 5);
  check_strides({4, 5}, {0, 0, 5, 1}, 5);
  check_strides({5}, {0, 0, 0, 1}, 5);
  check_strides({3, 1, 5}, {0, 5, 0, 1}, 5);
  check_strides({2, 1, 1, 1}, {1, 0, 0, 0}, 5);
  check_strides({4, 1}, {0, 0, 1, 0}, 5);
  check_strides({4, 3}, {0, 0, 3, 1}, 3);
  check_strides({4, 0}, {0, 0, 0, 1}, 0);
  for (const Shape& shape : {Shape{4, 6}, Shape{3, 5}, Shape{2, 4, 5}, Shape{3, 3, 4, 5}, Shape{5, 4}, Shape{2, 0, 4, 5}}) {
    INFO(to_string(shape));
    inputs.masks = {mask_of(shape)};
    const Error error = planning_error(inputs);
    CHECK(error.status() == Status::data);
    check_contains(error.what(),
                   {"mask m.npy " + to_string(shape), "does not broadcast to [batch 2, heads 3, queries 4, keys 5]"});
    CHECK_EQ(error.hint().find("transpose") != std::string::npos, shape == Shape{5, 4});
  }
}

TEST_CASE("segments name every query and key") {
  Inputs inputs = inputs_of({2, 3, 4}, {2, 3, 4}, {2, 3, 4});
  inputs.segments = {Array::of<std::int32_t>({3}, {1, 1, 2}), "segments s.npy"};
  const Plan plan = plan_of(inputs);
  CHECK(plan.visible(1, 0, 0, 1));
  CHECK_FALSE(plan.visible(1, 0, 0, 2));
  inputs.segments = {Array::of<float>({3, 1}, {1, 1, 2}), "segments s.csv"};
  CHECK_FALSE(plan_of(inputs).visible(0, 0, 2, 1));
  inputs.segments = {Array::of<float>({3}, {1, 1.5, 2}), "segments s.csv"};
  CHECK_EQ(std::string(planning_error(inputs).what()), "segments s.csv: entry 1 is 1.5 (expected an integer id)");
  inputs.segments = {Array::of<std::int32_t>({2}, {1, 2}), "segments s.npy"};
  CHECK_EQ(std::string(planning_error(inputs).what()),
           "segments s.npy [2] does not name the segment of every query (expected [3] or [2, 3])");
  inputs.segments = {Array::of<std::int32_t>({2, 3}, {1, 1, 2, 3, 3, 3}), "segments s.npy"};
  CHECK(plan_of(inputs).visible(1, 0, 0, 2));
  inputs.key_segments = {Array::of<std::int32_t>({3}, {3, 1, 1}), "key segments k.npy"};
  CHECK(plan_of(inputs).visible(1, 0, 0, 0));
  CHECK_FALSE(plan_of(inputs).visible(1, 0, 0, 1));
  inputs.segments = {};
  CHECK(planning_error(inputs).status() == Status::usage);
  Inputs wide = inputs_of({2, 4}, {3, 4}, {3, 4});
  wide.segments = {Array::of<std::int32_t>({2}, {1, 2}), "segments s.npy"};
  check_contains(planning_error(wide).what(), {"the 3 keys need --key-segments"});
}
