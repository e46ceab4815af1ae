// Deviations in masks, positions and what is added to logits: one row each.
#include "analysis/deviations.hpp"
#include "analysis/rearrange.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

using List = std::vector<Deviation>;
using engine::MaskKind;

constexpr const char* kSomeHidden = "a mask that hides some keys of a row and leaves others";
constexpr const char* kManyKeys = "more keys than one in a row, with different values";

void add_mask(const Convention& asked, List& list) {
  if (!asked.has_mask) return;
  const MaskKind kind = asked.inputs.masks.front().kind;
  const auto add = [&](const char* name, const char* sentence, const std::string& flags, std::function<void(Convention&)> apply) {
    list.push_back({name, "mask", sentence, kSomeHidden, flags, std::move(apply)});
  };
  if (kind != MaskKind::add) {
    const MaskKind other = kind == MaskKind::keep ? MaskKind::block : MaskKind::keep;
    add("mask-inverted", "the mask is read the other way round: what should stay is hidden",
        fmt::format("--mask-type {}", other == MaskKind::keep ? "keep" : "block"),
        [other](Convention& c) { c.inputs.masks.front().kind = other; });
    add("mask-added", "the entries 0 and 1 of the mask are added to the logits instead of hiding keys", "--mask-type add",
        [](Convention& c) {
          engine::NamedMask& mask = c.inputs.masks.front();
          mask.kind = MaskKind::add;
          mask.input.array = mask.input.array.converted(DType::f64);
        });
  }
  add("mask-ignored", "the mask has no effect", "leave out --mask", [](Convention& c) {
    c.inputs.masks.erase(c.inputs.masks.begin());
    c.has_mask = false;
  });
  const Shape& shape = asked.inputs.masks.front().input.array.shape();
  if (shape.size() >= 2 && shape.back() == shape[shape.size() - 2] && shape.back() > 1)
    list.push_back({"mask-transposed", "mask", "the mask is transposed: its rows are keys", "a mask that is not symmetric",
                    "attn convert --transpose the mask", [](Convention& c) {
                      engine::NamedArray& input = c.inputs.masks.front().input;
                      input.array = transposed(input.array);
                    }});
}

bool hides_keys(const Convention& asked, const engine::Plan& plan) {
  const bool shortened = std::ranges::any_of(plan.key_length, [&](std::size_t n) { return n < plan.dims.kv_len; });
  return plan.may_hide() || asked.options.causal || !asked.options.window.open() || shortened;
}

/// True when some query has no key left; large problems are not searched for one.
bool has_empty_row(const engine::Plan& plan) {
  const engine::Dims& d = plan.dims;
  if (static_cast<double>(d.batch * d.heads) * static_cast<double>(d.q_len) * static_cast<double>(d.kv_len) > 2e7) return false;
  for (std::size_t b = 0; b < d.batch; ++b)
    for (std::size_t h = 0; h < d.heads; ++h)
      for (std::size_t i = 0; i < d.q_len; ++i) {
        bool any = false;
        for (std::size_t j = 0; j < d.kv_len && !any; ++j) any = plan.visible(b, h, i, j);
        if (!any) return true;
      }
  return false;
}

void add_hiding(const Convention& asked, const engine::Plan& plan, List& list) {
  if (!hides_keys(asked, plan)) return;
  if (asked.options.softcap > 0)
    list.push_back({"softcap-after-mask", "softcap",
                    "the softcap comes after the mask: hidden keys get the logit -softcap and keep a weight",
                    "keys that are hidden and have large values", "", [](Convention& c) { c.cap_after_mask = true; }});
  const Normalizer kind = asked.options.normalize;
  if (kind == Normalizer::softmax || kind == Normalizer::softmax1 || kind == Normalizer::double_softmax)
    list.push_back({"mask-after-softmax", "hiding",
                    "hidden keys are taken out after the softmax: they have their share of its sum",
                    "keys that are hidden and score high", "", [](Convention& c) { c.mask_after = true; }});
  if (kind == Normalizer::softmax || kind == Normalizer::double_softmax)
    list.push_back({"double-softmax-unmasked", "normalize",
                    "softmax is taken twice, the second time over hidden keys too, each of which gets exp(0) of its sum",
                    "keys that are hidden and have large values", "", [](Convention& c) {
                      c.options.normalize = Normalizer::double_softmax;
                      c.second_over_all = true;
                    }});
  if (kind == Normalizer::softmax && has_empty_row(plan))
    list.push_back({"mask-big-negative", "hiding",
                    "a query without a key left averages all values: hidden logits are -1e9, not -inf",
                    "a query without a key left", "", [](Convention& c) { c.big_negative = true; }});
}

void add_causal(const Convention& asked, const engine::Plan& plan, List& list) {
  const auto limit = [](std::int64_t right) {
    return [right](Convention& c) {
      c.options.causal = false;
      auto& side = c.options.window.right;
      side = side ? std::min(*side, right) : right;
    };
  };
  if (asked.options.causal) {
    list.push_back(
        {"causal-strict", "causal", "a query does not see the key of its own position (j < p)", kManyKeys, "", limit(-1)});
    list.push_back({"causal-peeks", "causal", "a query sees one key too far ahead (j <= p + 1)", kManyKeys,
                    "--window :1 instead of --causal", limit(1)});
    list.push_back({"causal-missing", "causal", "there is no causal mask", kManyKeys, "leave out --causal",
                    [](Convention& c) { c.options.causal = false; }});
    list.push_back({"causal-reversed", "causal", "the causal mask is turned: a query sees itself and what comes later (j >= p)",
                    kManyKeys, "--window 0: instead of --causal", [](Convention& c) {
                      c.options.causal = false;
                      c.options.window.left = 0;
                    }});
  } else if (plan.dims.q_len == plan.dims.kv_len && !asked.options.window.right) {
    list.push_back({"causal-added", "causal", "there is a causal mask", kManyKeys, "--causal",
                    [](Convention& c) { c.options.causal = true; }});
  }
}

void add_alignment(const Convention& asked, const engine::Plan& plan, List& list) {
  const AttentionOptions& o = asked.options;
  const bool is_used = o.causal || !o.window.open() || o.alibi || o.rope != RopePairing::none;
  if (!is_used) return;
  const auto add = [&](const char* name, const char* sentence, const char* flags, const QueryOffset& offset) {
    bool is_same = true;
    for (std::size_t b = 0; b < plan.dims.batch; ++b) {
      const std::int64_t end = static_cast<std::int64_t>(plan.key_length[b]) - static_cast<std::int64_t>(plan.dims.q_len);
      is_same = is_same && plan.query_offset[b] == (offset.kind == QueryOffset::Kind::end ? end : 0);
    }
    if (is_same) return;
    list.push_back({name, "alignment", sentence, "as many queries as keys show nothing: give more keys than queries", flags,
                    [offset](Convention& c) { c.options.query_offset = offset; }});
  };
  add("aligned-start", "the first query stands at the first key, not where it was said to", "--query-offset 0",
      {.kind = QueryOffset::Kind::given, .values = {0}});
  add("aligned-end", "the last query stands at the last key, not where it was said to", "--query-offset end",
      {.kind = QueryOffset::Kind::end, .values = {}});
}

void add_window(const Convention& asked, List& list) {
  const Window& window = asked.options.window;
  if (window.open()) return;
  const auto text = [](const Window& w) {
    const auto side = [](const std::optional<std::int64_t>& s) { return s ? std::to_string(*s) : std::string(); };
    return fmt::format("--window {}:{}", side(w.left), side(w.right));
  };
  const auto add = [&](const char* name, const char* sentence, std::int64_t left, std::int64_t right) {
    Window other = window;
    if (other.left) *other.left += left;
    if (other.right) *other.right += right;
    const bool can_be_asked = (!other.left || *other.left >= 0) && (!other.right || *other.right >= 0);
    list.push_back({name, "window", sentence, "more keys before and after a query than the window holds",
                    can_be_asked ? text(other) : "", [other](Convention& c) { c.options.window = other; }});
  };
  if (window.left) {
    add("window-left-shorter", "the window's left side is one key shorter", -1, 0);
    add("window-left-longer", "the window's left side is one key longer", 1, 0);
  }
  if (window.right) {
    add("window-right-shorter", "the window's right side is one key shorter", 0, -1);
    add("window-right-longer", "the window's right side is one key longer", 0, 1);
  }
  if (window.left && window.right) {
    add("window-narrower", "both sides of the window are one key shorter", -1, -1);
    add("window-wider", "both sides of the window are one key longer", 1, 1);
  }
  list.push_back({"window-missing", "window", "there is no window", "more keys than the window holds", "leave out --window",
                  [](Convention& c) { c.options.window = {}; }});
}

void add_positions(const Convention& asked, const engine::Plan& plan, List& list) {
  const AttentionOptions& o = asked.options;
  const auto add_rope = [&](const char* name, const char* sentence, const char* flags, RopePairing pairing) {
    list.push_back({name, "rope", sentence, "more than one position, and rows whose features differ", flags,
                    [pairing](Convention& c) { c.options.rope = pairing; }});
  };
  const bool can_turn = (o.rope_dim == 0 ? plan.dims.head_dim : o.rope_dim) % 2 == 0;
  if (o.rope != RopePairing::half && can_turn)
    add_rope("rope-half", "rotary positions pair feature m with m + dim/2", "--rope half", RopePairing::half);
  if (o.rope != RopePairing::interleaved && can_turn)
    add_rope("rope-interleaved", "rotary positions pair feature 2m with 2m + 1", "--rope interleaved", RopePairing::interleaved);
  if (o.rope != RopePairing::none)
    add_rope("rope-missing", "queries and keys are not rotated", "leave out --rope", RopePairing::none);
  if (o.alibi)
    list.push_back({"alibi-missing", "alibi", "there is no ALiBi", "more than one key", "leave out --alibi",
                    [](Convention& c) { c.options.alibi = false; }});
  if (asked.inputs.masks.size() > (asked.has_mask ? 1U : 0U))
    list.push_back({"bias-ignored", "bias", "the bias is not added", "a bias that differs within a row", "leave out --bias",
                    [](Convention& c) { c.inputs.masks.pop_back(); }});
  if (o.softcap > 0)
    list.push_back({"softcap-missing", "softcap", "the scores are not capped", "scores that are large against the cap",
                    "leave out --softcap", [](Convention& c) { c.options.softcap = 0; }});
}

}  // namespace

void append_mask_deviations(const Convention& asked, const engine::Plan& plan, List& list) {
  add_mask(asked, list);
  add_hiding(asked, plan, list);
  add_causal(asked, plan, list);
  add_alignment(asked, plan, list);
  add_window(asked, list);
  add_positions(asked, plan, list);
}

}  // namespace attn::analysis
