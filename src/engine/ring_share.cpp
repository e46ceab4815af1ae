// Who does what where one attention is shared by several processes.
#include "engine/ring_share.hpp"

#include "base/groups.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <iterator>

namespace attn::engine {

namespace {

/// The way of a span or a block through one rank: from its reader upwards through all that need it, and from the last rank on to
/// rank 0.
void find_way(RingStep& step, int rank, int reader, const std::vector<bool>& needed) {
  const int ranks = static_cast<int>(needed.size());
  step.is_needed = needed[static_cast<std::size_t>(rank)];
  const auto takes_part = [&](int distance) {
    return distance == 0 || needed[static_cast<std::size_t>((reader + distance) % ranks)];
  };
  const int own = (rank - reader + ranks) % ranks;
  if (!takes_part(own)) return;
  for (int distance = own - 1; distance >= 0 && step.from == RingStep::nobody; --distance)
    if (takes_part(distance)) step.from = (reader + distance) % ranks;
  for (int distance = own + 1; distance < ranks && step.to == RingStep::nobody; ++distance)
    if (takes_part(distance)) step.to = (reader + distance) % ranks;
}

/// Some pieces for each rank, so that all have as much to do where later keys are seen by fewer queries.
std::size_t column_length(std::size_t kv_len, std::size_t ranks, std::size_t most) {
  constexpr std::size_t pieces = 4;
  const std::size_t share = kv_len / (pieces * ranks);
  return std::clamp(whole_groups(share, kernels::kKeys), kernels::kKeys,
                    std::max(most / kernels::kKeys * kernels::kKeys, kernels::kKeys));
}

}  // namespace

RingShare::RingShare(const Plan& plan, std::size_t span_length, int ranks)
    : plan_(plan),
      blocks_(plan.dims),
      span_length_(span_length),
      spans_(groups_of(plan.dims.kv_len, span_length)),
      column_length_(column_length(plan.dims.kv_len, static_cast<std::size_t>(ranks), span_length)),
      ranks_(ranks) {}

int RingShare::rank_of(std::size_t batch, std::size_t kv_head, std::size_t block) const noexcept {
  const std::size_t all = std::max<std::size_t>(blocks_.in_head(), 1);
  const std::size_t head = (batch * plan_.dims.kv_heads + kv_head) * (blocks_.in_kv_head() / all) + block / all;
  const std::size_t place = block % all;
  // Whole rounds are the same in every head, so that a rank needs its own rows of a mask that heads share. What is over is dealt
  // on from head to head.
  const std::size_t over = all % (2 * static_cast<std::size_t>(ranks_));
  const std::size_t rounds = all - over;
  return dealt(place < rounds ? place : head * over + place - rounds);
}

int RingShare::dealt(std::size_t number) const noexcept {
  const auto ranks = static_cast<std::size_t>(ranks_);
  const std::size_t place = number % (2 * ranks);
  return static_cast<int>(place < ranks ? place : 2 * ranks - 1 - place);
}

std::vector<BlockPlace> RingShare::places(int rank, std::size_t batch, std::size_t kv_head) const {
  std::vector<BlockPlace> all;
  for (std::size_t block = 0; block < blocks_.in_kv_head(); ++block)
    if (rank_of(batch, kv_head, block) == rank) all.push_back(blocks_.place(batch, kv_head, block));
  return all;
}

std::vector<BlockPlace> RingShare::places(int rank) const {
  std::vector<BlockPlace> all;
  for (std::size_t batch = 0; batch < plan_.dims.batch; ++batch) {
    for (std::size_t kv_head = 0; kv_head < plan_.dims.kv_heads; ++kv_head) {
      const std::vector<BlockPlace> some = places(rank, batch, kv_head);
      all.insert(all.end(), some.begin(), some.end());
    }
  }
  return all;
}

std::vector<std::vector<bool>> RingShare::find_needed(std::size_t batch, std::size_t kv_head, bool all_keys) const {
  std::vector<std::vector<bool>> needed(spans_, std::vector<bool>(static_cast<std::size_t>(ranks_), false));
  for (std::size_t block = 0; block < blocks_.in_kv_head(); ++block) {
    const BlockPlace place = blocks_.place(batch, kv_head, block);
    const KeyRange seen = all_keys ? KeyRange{0, plan_.dims.kv_len} : plan_.range(batch, place.first, place.queries);
    if (seen.empty()) continue;
    const auto rank = static_cast<std::size_t>(rank_of(batch, kv_head, block));
    for (std::size_t span = seen.begin / span_length_; span * span_length_ < seen.end; ++span) needed[span][rank] = true;
  }
  return needed;
}

std::vector<RingStep> RingShare::steps(int rank, const std::vector<RingPass>& passes) const {
  std::vector<RingStep> all;
  std::uint64_t number = 0;
  const Dims& d = plan_.dims;
  for (std::size_t head = 0; head < d.batch * d.kv_heads; ++head) {
    for (std::size_t pass = 0; pass < passes.size(); ++pass) {
      RingStep step{.batch = head / d.kv_heads, .kv_head = head % d.kv_heads, .pass = pass, .keys = {}};
      step.with_values = passes[pass].with_values;
      const auto needed = find_needed(step.batch, step.kv_head, passes[pass].all_keys);
      for (std::size_t span = 0; span < spans_; ++span) {
        if (std::ranges::find(needed[span], true) == needed[span].end()) continue;
        step.keys = {span * span_length_, std::min((span + 1) * span_length_, d.kv_len)};
        step.number = number++;
        step.from = step.to = RingStep::nobody;
        // The same rank in every pass: it reads no other part of the files.
        const auto reader = static_cast<int>((head * spans_ + span) % static_cast<std::size_t>(ranks_));
        find_way(step, rank, reader, needed[span]);
        if (step.is_needed || rank == reader) all.push_back(step);
      }
    }
  }
  return all;
}

std::vector<ColumnPart> RingShare::columns(int rank, std::size_t batch, std::size_t kv_head) const {
  std::vector<ColumnPart> all;
  const std::size_t length = plan_.dims.kv_len;
  std::size_t number = (batch * plan_.dims.kv_heads + kv_head) * groups_of(length, column_length_);
  for (std::size_t first = 0; first < length; first += column_length_)
    if (dealt(number++) == rank) all.push_back({batch, kv_head, {first, std::min(first + column_length_, length)}});
  return all;
}

std::vector<ColumnPart> RingShare::columns(int rank) const {
  std::vector<ColumnPart> all;
  for (std::size_t head = 0; head < plan_.dims.batch * plan_.dims.kv_heads; ++head)
    std::ranges::copy(columns(rank, head / plan_.dims.kv_heads, head % plan_.dims.kv_heads), std::back_inserter(all));
  return all;
}

std::vector<RingStep> RingShare::column_steps(int rank, std::size_t batch, std::size_t kv_head) const {
  std::vector<std::vector<ColumnPart>> parts;
  for (int other = 0; other < ranks_; ++other) parts.push_back(columns(other, batch, kv_head));
  std::vector<RingStep> all;
  for (std::size_t block = 0; block < blocks_.in_kv_head(); ++block) {
    const BlockPlace place = blocks_.place(batch, kv_head, block);
    const KeyRange seen = plan_.range(batch, place.first, place.queries);
    std::vector<bool> needed;
    for (const std::vector<ColumnPart>& own : parts)
      needed.push_back(!seen.empty() && std::ranges::any_of(own, [&seen](const ColumnPart& part) {
        return part.keys.begin < seen.end && part.keys.end > seen.begin;
      }));
    RingStep step{.batch = batch, .kv_head = kv_head, .keys = seen, .block = block};
    step.number = (batch * plan_.dims.kv_heads + kv_head) * blocks_.in_kv_head() + block;
    const int owner = rank_of(batch, kv_head, block);
    find_way(step, rank, owner, needed);
    if (step.is_needed || (rank == owner && step.to != RingStep::nobody)) all.push_back(step);
  }
  return all;
}

}  // namespace attn::engine
