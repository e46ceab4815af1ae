// What the tiled engine takes from the heap, counted: it is what tiled_bytes() says, and little for each thread.
#include "engine/tiled_memory.hpp"

#include "engine/findings.hpp"
#include "engine/prepare.hpp"
#include "engine/tiled_support.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include <doctest/doctest.h>
#include <malloc.h>

namespace {

std::atomic<std::size_t> held = 0;
std::atomic<std::size_t> most_held = 0;

void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  const std::size_t now = held += ::malloc_usable_size(memory);
  std::size_t most = most_held;
  while (now > most && !most_held.compare_exchange_weak(most, now)) {
  }
  return memory;
}

void release(void* memory) noexcept {
  if (memory == nullptr) return;
  held -= ::malloc_usable_size(memory);
  std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc)
}

}  // namespace

// NOLINTBEGIN(cppcoreguidelines-no-malloc)
void* operator new(std::size_t size) { return counted(std::malloc(std::max<std::size_t>(size, 1))); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto step = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(step, (std::max<std::size_t>(size, 1) + step - 1) / step * step));
}
// NOLINTEND(cppcoreguidelines-no-malloc)
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { release(memory); }
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept { release(memory); }

namespace attn::engine::test {

namespace {

/// Asks and drops what it gets.
template <class T>
class Drop : public Observer<T> {
 public:
  explicit Drop(Needs needs) : needs_(needs) {}
  [[nodiscard]] Needs needs() const override { return needs_; }

 private:
  Needs needs_;
};

Array numbers(const Shape& shape, DType type) {
  Array values(DType::f32, shape);
  float x = 0;
  for (float& value : values.mutable_values<float>()) {
    x = x > 2 ? -2.1F : x + 0.37F;
    value = x;
  }
  return values.converted(type);
}

struct Scene {
  const char* name = "";
  DType type = DType::f32;
  bool packed = false;
  bool past = false;
  AttentionOptions options;
};

Inputs inputs_of(const Scene& scene, std::size_t q_len, std::size_t kv_len) {
  constexpr std::size_t dim = 64;
  constexpr std::size_t heads = 2;
  const auto make = [&](std::size_t length) {
    return numbers(scene.packed ? Shape{1, length, heads * dim} : Shape{1, heads, length, dim}, scene.type);
  };
  const std::size_t old = scene.past ? kv_len / 3 : 0;
  Inputs inputs;
  if (scene.packed) inputs.heads = heads;
  inputs.query = {make(q_len), "query"};
  inputs.key = {make(kv_len - old), "key"};
  inputs.value = {make(kv_len - old), "value"};
  if (!scene.past) return inputs;
  inputs.past_key = {numbers({1, heads, old, dim}, scene.type), "past key"};
  inputs.past_value = inputs.past_key;
  return inputs;
}

template <class T>
void check_memory(const Scene& scene, const Inputs& inputs, Needs needs, std::size_t threads) {
  CAPTURE(scene.name);
  CAPTURE(threads);
  const Plan plan = make_plan(inputs, scene.options, dtype_of<T>);
  CAPTURE(plan.dims.q_len);
  Drop<T> drop(needs);
  Observer<T>* const observers[] = {&drop};
  Execution execution;
  execution.threads = threads;
  const std::size_t before = held;
  most_held = before;
  Findings findings;
  const Operands<T> operands = prepare<T>(plan, inputs, findings);
  run_tiled<T>(plan, operands, observers, execution);
  const std::size_t taken = most_held - before;

  const bool makes = scene.type != dtype_of<T> || scene.past || scene.packed;
  const bool turns = scene.options.rope != RopePairing::none || scene.options.score == Score::cosine;
  const std::uint64_t said = tiled_bytes<T>(plan, {.keys = makes || turns, .values = makes}, needs, threads);
  // Tables of angles and what the scheduler keeps.
  constexpr std::uint64_t other = std::uint64_t{1} << 20U;
  CHECK(taken <= said + other);
  // On a busy machine one thread may do it all; and heads side by side are read in place where a strip is but one block.
  if (threads == 1 && !scene.packed)
    CHECK(static_cast<double>(said) <= 1.5 * static_cast<double>(taken) + static_cast<double>(other));
  if (!needs.weights && !needs.any_scores()) CHECK(taken <= threads << 24U);
}

template <class T>
void check_scene(const Scene& scene) {
  const Inputs many = inputs_of(scene, 300, 5000);
  const Inputs one = inputs_of(scene, 1, 30000);
  for (const std::size_t threads : {1U, 2U, 3U}) {
    check_memory<T>(scene, many, {.output = true}, threads);
    check_memory<T>(scene, one, {.output = true, .log_sum_exp = true}, threads);
  }
  const Inputs few = inputs_of(scene, 130, 5000);
  for (const std::size_t threads : {1U, 2U})
    check_memory<T>(scene, few, {.output = true, .weights = true, .masked_scores = true}, threads);
}

}  // namespace

TEST_CASE_TEMPLATE("a thread takes little memory, whatever rows are made of, and as much as was said", T, float, double) {
  AttentionOptions plain;
  plain.query_offset = {QueryOffset::Kind::given, {7}};
  AttentionOptions rope = plain;
  rope.rope = RopePairing::half;
  AttentionOptions cosine = plain;
  cosine.score = Score::cosine;
  constexpr DType own = dtype_of<T>;
  check_scene<T>({"there", own, false, false, plain});
  check_scene<T>({"float16", DType::f16, false, false, plain});
  check_scene<T>({"bfloat16", DType::bf16, false, false, plain});
  check_scene<T>({"packed", own, true, false, plain});
  check_scene<T>({"past", own, false, true, plain});
  check_scene<T>({"float16 after a past, rotated", DType::f16, false, true, rope});
  check_scene<T>({"rotated", own, false, false, rope});
  check_scene<T>({"cosine", own, false, false, cosine});
}

}  // namespace attn::engine::test
