// What the tiled engine learns of a block's rows while it makes their sums.
#include "engine/row_notes.hpp"

#include "engine/logarithm.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <numbers>

namespace attn::engine {

using kernels::kKeys;
using kernels::kLanes;

namespace {

/// True when `a` goes before `b` in a list of the strongest keys.
template <class T>
bool is_stronger(const KeyLogit<T>& a, const KeyLogit<T>& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.key < b.key);
}

/// Calls f(lane) for each bit that is set.
template <class F>
void for_each_bit(std::uint64_t bits, F&& f) {
  for (; bits != 0; bits &= bits - 1) f(static_cast<std::size_t>(std::countr_zero(bits)));
}

/// sum u ln u when every u is multiplied by `factor`: factor * (sum u ln u + ln(factor) * sum u).
double rescaled_information(double information, double mass, double factor) {
  if (factor == 1) return information;
  return factor == 0 ? 0.0 : factor * (information + natural_log(factor) * mass);
}

/// What two running softmaxes with these maxima are multiplied with before they are added.
template <class T>
struct alignas(64) JoinFactors {
  T total[kLanes];
  T part[kLanes];

  JoinFactors(const kernels::KernelTable<T>& k, const T* first, const T* second, bool natural) {
    const T unit = natural ? std::numbers::log2e_v<T> : T(1);
    for (std::size_t i = 0; i < kLanes; ++i) {
      const T top = second[i] > first[i] ? second[i] : first[i];
      // Of two equal logits the difference is 0, even if both are infinite.
      total[i] = first[i] == top ? T(0) : (first[i] - top) * unit;
      part[i] = second[i] == top ? T(0) : (second[i] - top) * unit;
    }
    k.exp2(total, 1);
    k.exp2(part, 1);
  }
};

}  // namespace

template <class T>
void TopKeys<T>::reset(std::size_t most, std::size_t lanes) {
  most_ = most;
  std::fill_n(threshold_, kLanes, -std::numeric_limits<T>::infinity());
  heaps_.resize(most == 0 ? 0 : lanes);
  for (auto& heap : heaps_) heap.clear();
}

template <class T>
void TopKeys<T>::take(const kernels::KernelTable<T>& k, const T* tile, std::size_t count, std::size_t lanes, std::size_t first) {
  std::uint64_t bits[kKeys];
  if (most_ == 0 || !k.above(tile, count, lanes, threshold_, bits)) return;
  for (std::size_t j = 0; j < count; ++j)
    for_each_bit(bits[j], [&](std::size_t lane) { add(lane, {tile[j * kLanes + lane], first + j}); });
}

template <class T>
void TopKeys<T>::add(std::size_t lane, KeyLogit<T> entry) {
  // The threshold may have risen since the tile was looked through.
  if (!(entry.logit > threshold_[lane])) return;
  std::vector<KeyLogit<T>>& heap = heaps_[lane];
  if (most_ <= most_sorted) return insert(lane, entry);
  if (heap.size() == most_) {
    std::pop_heap(heap.begin(), heap.end(), is_stronger<T>);
    heap.back() = entry;
  } else {
    heap.push_back(entry);
  }
  std::push_heap(heap.begin(), heap.end(), is_stronger<T>);
  if (heap.size() == most_) threshold_[lane] = heap.front().logit;
}

template <class T>
void TopKeys<T>::insert(std::size_t lane, KeyLogit<T> entry) {
  std::vector<KeyLogit<T>>& list = heaps_[lane];
  if (list.size() < most_) list.push_back(entry);
  std::size_t at = list.size() - 1;
  // Keys come in ascending order: behind an equal logit is the right place.
  for (; at > 0 && entry.logit > list[at - 1].logit; --at) list[at] = list[at - 1];
  list[at] = entry;
  if (list.size() == most_) threshold_[lane] = list.back().logit;
}

template <class T>
void TopKeys<T>::join(const TopKeys& part) {
  for (std::size_t lane = 0; lane < heaps_.size(); ++lane) {
    std::vector<KeyLogit<T>> entries = part.heaps_[lane];
    std::sort(entries.begin(), entries.end(), is_stronger<T>);
    for (const KeyLogit<T>& entry : entries) add(lane, entry);
  }
}

template <class T>
const std::vector<KeyLogit<T>>& TopKeys<T>::sorted(std::size_t lane) {
  std::sort(heaps_[lane].begin(), heaps_[lane].end(), is_stronger<T>);
  return heaps_[lane];
}

template <class T>
void RowNotes<T>::reset(bool facts, std::size_t most, std::size_t lanes) {
  has_facts = facts;
  for (double* sums : {mass, information, distance}) std::fill_n(sums, kLanes, 0.0);
  std::fill_n(best, kLanes, -std::numeric_limits<T>::infinity());
  std::fill_n(key, kLanes, std::size_t{0});
  top.reset(most, lanes);
}

template <class T>
void RowNotes<T>::take_logits(const kernels::KernelTable<T>& k, const T* tile, std::size_t count, std::size_t lanes,
                              std::size_t first) {
  alignas(64) T row[kLanes];
  if (has_facts)
    for_each_bit(k.largest(tile, count, lanes, best, row),
                 [&](std::size_t lane) { key[lane] = first + static_cast<std::size_t>(row[lane]); });
  top.take(k, tile, count, lanes, first);
}

template <class T>
void RowNotes<T>::take_weights(const kernels::KernelTable<T>& k, const T* tile, std::size_t count, std::size_t lanes,
                               const T* position, const T* rescale) {
  alignas(64) T sums[3][kLanes];
  k.row_sums(tile, count, lanes, position, {.mass = sums[0], .information = sums[1], .distance = sums[2]});
  for (std::size_t i = 0; i < lanes; ++i) {
    const auto factor = static_cast<double>(rescale[i]);
    information[i] = rescaled_information(information[i], mass[i], factor) + static_cast<double>(sums[1][i]);
    distance[i] = distance[i] * factor + static_cast<double>(sums[2][i]);
    mass[i] = mass[i] * factor + static_cast<double>(sums[0][i]);
  }
}

template <class T>
void RowNotes<T>::join(const kernels::KernelTable<T>& k, const RowNotes& part, const kernels::SoftmaxRows<T>& rows,
                       const kernels::SoftmaxRows<T>& part_rows, std::size_t lanes, bool natural) {
  const JoinFactors<T> factors(k, rows.maximum, part_rows.maximum, natural);
  for (std::size_t i = 0; i < lanes; ++i) {
    if (part.best[i] > best[i]) {
      best[i] = part.best[i];
      key[i] = part.key[i];
    }
    if (part_rows.sum[i] == 0) continue;
    const double a = rows.sum[i] == 0 ? 0.0 : static_cast<double>(factors.total[i]);
    const double b = rows.sum[i] == 0 ? 1.0 : static_cast<double>(factors.part[i]);
    information[i] =
        rescaled_information(information[i], mass[i], a) + rescaled_information(part.information[i], part.mass[i], b);
    distance[i] = distance[i] * a + part.distance[i] * b;
    mass[i] = mass[i] * a + part.mass[i] * b;
  }
  top.join(part.top);
}

template class TopKeys<float>;
template class TopKeys<double>;
template struct RowNotes<float>;
template struct RowNotes<double>;

}  // namespace attn::engine
