// Which convention made an output.
#include "analysis/identify.hpp"

#include "analysis/reals.hpp"
#include "base/groups.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <span>

namespace attn::analysis {

namespace {

/// Candidates that are looked at again after the first rows, and that are held to all rows.
constexpr std::size_t kSecondLook = 64;
constexpr std::size_t kConfirmed = 8;
constexpr std::size_t kShown = 10;

struct RowPlace {
  std::size_t b, h, i;
  auto operator<=>(const RowPlace&) const = default;
};

class Search {
 public:
  Search(const Convention& asked, const ClaimedRun& claim, const Likeness& likeness, const engine::Execution& execution)
      : asked_(asked), claim_(claim), likeness_(likeness), execution_(execution), base_(asked) {
    result_.deviations = deviations_of(asked, base_.plan);
    // Progress would run from nothing to all several times.
    execution_.progress = {};
  }

  Identification run() {
    std::vector<Candidate> candidates = all_candidates();
    result_.tried = candidates.size();
    measure_some(candidates, first_rows());
    sort(candidates);
    std::vector<Candidate> near;
    std::ranges::copy_if(candidates, std::back_inserter(near), [&](const Candidate& c) { return may_fit(c.misfit); });
    if (near.size() > kSecondLook) near.resize(kSecondLook);
    measure_some(near, more_rows());
    sort(near);
    drop_idle_pairs(near);
    confirm(near);
    choose(near, candidates);
    return std::move(result_);
  }

 private:
  std::vector<Candidate> all_candidates() const {
    std::vector<Candidate> all(1);
    const auto& d = result_.deviations;
    for (std::size_t a = 0; a < d.size(); ++a) all.push_back({.deviations = {a}, .misfit = {}});
    for (std::size_t a = 0; a < d.size(); ++a)
      for (std::size_t b = a + 1; b < d.size(); ++b)
        if (d[a].group != d[b].group) all.push_back({.deviations = {a, b}, .misfit = {}});
    return all;
  }

  Convention convention_of(const Candidate& c) const {
    Convention convention = asked_;
    for (const std::size_t number : c.deviations) result_.deviations[number].apply(convention);
    return convention;
  }

  /// Two rows of the second head, which is where head orders differ: an early one, where each key counts, and a late one.
  std::vector<RowPlace> first_rows() const {
    const engine::Dims& d = base_.plan.dims;
    if (d.batch * d.heads * d.q_len == 0) return {};
    const std::size_t h = asked_.projection ? 0 : std::min<std::size_t>(1, d.heads - 1);
    const std::size_t early = std::min(d.q_len - 1, d.q_len / 5 + 1);
    const std::size_t late = d.q_len - 1 - d.q_len / 7;
    std::set<RowPlace> rows{{0, h, early}, {0, h, late}};
    return {rows.begin(), rows.end()};
  }

  std::vector<RowPlace> more_rows() const {
    const engine::Dims& d = base_.plan.dims;
    if (d.batch * d.heads * d.q_len == 0) return {};
    std::set<RowPlace> rows;
    for (const std::size_t b : {std::size_t{0}, d.batch - 1})
      for (const std::size_t h : {std::size_t{0}, std::min<std::size_t>(1, d.heads - 1), d.heads - 1})
        for (const std::size_t i : {std::size_t{0}, d.q_len / 8, d.q_len / 3, d.q_len / 2, d.q_len - 1})
          rows.insert({b, asked_.projection ? 0 : h, i});
    return {rows.begin(), rows.end()};
  }

  /// Where the rows of the claim lie under this convention.
  ClaimedArray output_of(const Convention& c) const {
    ClaimedArray output = *claim_.output;
    const engine::Dims& d = base_.plan.dims;
    if (c.merge_missing && !c.projection)
      output.strides = {.batch = d.heads * d.q_len * d.value_dim, .head = d.q_len * d.value_dim, .query = d.value_dim};
    return output;
  }

  static void compare(const ClaimedArray& claim, const RowPlace& row, const std::vector<double>& computed, bool is_empty,
                      std::vector<double>& buffer, Misfit& misfit) {
    buffer.resize(computed.size());
    claim.read(claim.first(row.b, row.h, row.i), computed.size(), buffer.data());
    for (std::size_t c = 0; c < computed.size(); ++c) {
      ++misfit.elements;
      // Some programs write NaN for a query without a key.
      if (std::isnan(buffer[c]) && is_empty) continue;
      const double difference = std::abs(buffer[c] - computed[c]);
      misfit.squares += difference * difference;
      misfit.claim_squares += buffer[c] * buffer[c];
      misfit.largest = std::isnan(difference) ? kInfinity : std::max(misfit.largest, difference);
    }
  }

  Misfit measure(const PreparedConvention& prepared, std::span<const RowPlace> places) const {
    ConventionRows rows(prepared);
    Misfit misfit;
    std::vector<double> buffer;
    const ClaimedArray output = claim_.output != nullptr ? output_of(prepared.convention) : ClaimedArray{};
    for (const RowPlace& row : places) {
      if (asked_.projection) {
        measure_projected(rows, row, output, buffer, misfit);
        continue;
      }
      rows.compute(row.b, row.h, row.i);
      const bool is_empty = std::ranges::all_of(rows.weights(), [](double w) { return w == 0; });
      if (claim_.output != nullptr) compare(output, row, rows.output(), is_empty, buffer, misfit);
      if (claim_.weights != nullptr) compare(*claim_.weights, row, rows.weights(), is_empty, buffer, misfit);
    }
    return misfit;
  }

  /// A row behind an output projection is made of all heads: `row.h` is 0.
  void measure_projected(ConventionRows& rows, const RowPlace& row, const ClaimedArray& output, std::vector<double>& buffer,
                         Misfit& misfit) const {
    bool is_empty = true;
    const std::vector<double>& computed = rows.compute_projected(row.b, row.i, [&](std::size_t h, std::size_t i) {
      const bool no_key = std::ranges::all_of(rows.weights(), [](double w) { return w == 0; });
      is_empty = is_empty && no_key;
      if (claim_.weights != nullptr) compare(*claim_.weights, {row.b, h, i}, rows.weights(), no_key, buffer, misfit);
    });
    if (claim_.output != nullptr) compare(output, {row.b, 0, row.i}, computed, is_empty, buffer, misfit);
  }

  void measure_some(std::vector<Candidate>& candidates, const std::vector<RowPlace>& rows) const {
    engine::for_each_task(candidates.size(), execution_, [&](std::size_t i) {
      const PreparedConvention prepared(convention_of(candidates[i]));
      candidates[i].misfit = measure(prepared, rows);
    });
  }

  /// All rows, in pieces whose order of addition does not depend on threads.
  Misfit measure_all(const Candidate& candidate) const {
    const PreparedConvention prepared(convention_of(candidate));
    const engine::Dims& d = base_.plan.dims;
    // A head's columns are summed for all of its queries at once.
    const std::size_t piece = prepared.convention.sums_over == SumsOver::queries ? d.q_len : std::min<std::size_t>(d.q_len, 64);
    if (piece == 0) return {};
    const std::size_t in_head = groups_of(d.q_len, piece);
    const std::size_t heads = asked_.projection ? 1 : d.heads;
    std::vector<Misfit> parts(d.batch * heads * in_head);
    engine::for_each_task(parts.size(), execution_, [&](std::size_t task) {
      const std::size_t head = task / in_head;
      const std::size_t first = task % in_head * piece;
      std::vector<RowPlace> rows;
      for (std::size_t i = first; i < std::min(first + piece, d.q_len); ++i) rows.push_back({head / heads, head % heads, i});
      parts[task] = measure(prepared, rows);
    });
    Misfit all;
    for (const Misfit& part : parts) all.add(part);
    return all;
  }

  /// A few rows may be less like the claim than all rows are.
  bool may_fit(const Misfit& m) const {
    return likeness_.absolute ? m.largest <= 4 * *likeness_.absolute : m.relative() <= 4 * likeness_.relative;
  }
  bool fits(const Misfit& m) const {
    return likeness_.absolute ? m.largest <= *likeness_.absolute : m.relative() <= likeness_.relative;
  }

  static void sort(std::vector<Candidate>& candidates) {
    std::ranges::stable_sort(candidates,
                             [](const Candidate& a, const Candidate& b) { return a.misfit.relative() < b.misfit.relative(); });
  }

  /// Two misfits are the same when they differ by less than the differences scatter. With rounding noise of n elements the mean
  /// square scatters by about sqrt(2/n) of itself.
  static bool as_good(const Misfit& m, const Misfit& best) {
    const double scatter = 1 + 4 / std::sqrt(static_cast<double>(std::max<std::size_t>(best.elements, 1)));
    const double floor = 1e-12 * std::sqrt(best.claim_squares);
    return std::sqrt(m.squares) <= scatter * std::sqrt(best.squares) + floor;
  }

  /// Pairs of which one deviation alone gives the same rows say nothing that the single one does not.
  static void drop_idle_pairs(std::vector<Candidate>& near) {
    const auto is_idle = [&](const Candidate& pair) {
      return std::ranges::any_of(near, [&](const Candidate& other) {
        const bool is_part =
            other.deviations.size() < pair.deviations.size() && std::ranges::includes(pair.deviations, other.deviations);
        return is_part && std::abs(other.misfit.squares - pair.misfit.squares) <=
                              1e-9 * std::max(other.misfit.squares, 1e-20 * other.misfit.claim_squares);
      });
    };
    std::vector<Candidate> kept;
    std::ranges::copy_if(near, std::back_inserter(kept),
                         [&](const Candidate& c) { return c.deviations.size() < 2 || !is_idle(c); });
    near = std::move(kept);
  }

  void confirm(std::vector<Candidate>& near) const {
    std::size_t done = 0;
    const double best = near.empty() ? 0 : near.front().misfit.relative();
    for (Candidate& c : near) {
      // On a few rows the right convention may come out behind one that is nearly right, but not far behind.
      if (done >= kConfirmed && c.deviations.size() > 1) continue;
      if (c.misfit.relative() > 4 * best + 1e-6) continue;
      c.misfit = measure_all(c);
      c.is_confirmed = true;
      c.fits = fits(c.misfit);
      ++done;
    }
    std::ranges::stable_sort(near, [](const Candidate& a, const Candidate& b) {
      if (a.is_confirmed != b.is_confirmed) return a.is_confirmed;
      return a.misfit.relative() < b.misfit.relative();
    });
  }

  void choose(const std::vector<Candidate>& near, const std::vector<Candidate>& all) {
    const auto nearest = std::ranges::find_if(near, &Candidate::fits);
    if (nearest != near.end()) {
      std::vector<Candidate> equals;
      std::ranges::copy_if(near, std::back_inserter(equals),
                           [&](const Candidate& c) { return c.fits && as_good(c.misfit, nearest->misfit); });
      std::ranges::stable_sort(equals, [](const Candidate& a, const Candidate& b) {
        return a.deviations.size() != b.deviations.size() ? a.deviations.size() < b.deviations.size()
                                                          : a.deviations < b.deviations;
      });
      result_.best = equals.front();
      const std::size_t simple = std::max<std::size_t>(equals.front().deviations.size(), 1);
      std::copy_if(equals.begin() + 1, equals.end(), std::back_inserter(result_.indistinguishable),
                   [&](const Candidate& c) { return c.deviations.size() <= simple; });
      result_.candidates.push_back(*result_.best);
    }
    const auto is_listed = [&](const Candidate& c) {
      return std::ranges::find(result_.candidates, c.deviations, &Candidate::deviations) != result_.candidates.end();
    };
    for (const auto* list : {&near, &all})
      for (const Candidate& c : *list) {
        // What came near on the first rows and is not among the near any more says nothing that another does not.
        const bool is_dropped = list == &all && may_fit(c.misfit);
        if (result_.candidates.size() < kShown && !is_dropped && !is_listed(c)) result_.candidates.push_back(c);
      }
  }

  const Convention& asked_;
  const ClaimedRun& claim_;
  const Likeness& likeness_;
  engine::Execution execution_;
  PreparedConvention base_;
  Identification result_;
};

}  // namespace

void Misfit::add(const Misfit& other) noexcept {
  elements += other.elements;
  squares += other.squares;
  claim_squares += other.claim_squares;
  largest = std::max(largest, other.largest);
}

double Misfit::root_mean_square() const noexcept {
  const double mean = squares / static_cast<double>(std::max<std::size_t>(elements, 1));
  return std::isnan(mean) ? kInfinity : std::sqrt(mean);
}

double Misfit::relative() const noexcept {
  if (squares == 0) return largest == 0 ? 0 : kInfinity;
  const double ratio = std::sqrt(squares / claim_squares);
  return std::isnan(ratio) ? kInfinity : ratio;
}

Identification identify(const Convention& asked, const ClaimedRun& claim, const Likeness& likeness,
                        const engine::Execution& execution) {
  return Search(asked, claim, likeness, execution).run();
}

}  // namespace attn::analysis
