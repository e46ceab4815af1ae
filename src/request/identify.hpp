// Identification from files to a ranking: read, plan, search.
#pragma once

#include "analysis/identify.hpp"
#include "request/claim.hpp"
#include "request/run.hpp"

#include <string>

namespace attn::request {

[[nodiscard]] const Table<ClaimRequest>& identify_table();

/// What a search found, and what it was about.
struct Identified {
  analysis::Identification found;
  analysis::Convention asked;
  double scale = 1;    ///< of the scores, as asked for
  std::string budget;  ///< the precision that decides how near is near enough
  std::size_t elements = 0;
  double seconds = 0;
};

/// Throws what reading and planning throw, and Error(usage) without a claim and with --combine rows.
[[nodiscard]] Identified identify(const ClaimRequest& request, const RunContext& context);

[[nodiscard]] std::string identified_text(const Identified& identified);
[[nodiscard]] std::string identified_json(const Identified& identified);

}  // namespace attn::request
