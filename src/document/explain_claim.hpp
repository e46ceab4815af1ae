// Asks attn identify for the convention that gives what a document prints and a command does not.
#pragma once

#include "document/process.hpp"

#include <string>

namespace attn::document {

/// A sentence of attn identify on `printed`, taken as the output (or the weights) that `line` should have given. Empty where
/// there is nothing to ask: `line` is more than one attention on files, or what is printed is no matrix; and where none is found.
[[nodiscard]] std::string explain_claim(const CommandLine& line, const std::string& printed, const std::filesystem::path& work,
                                        const Surroundings& surroundings);

}  // namespace attn::document
