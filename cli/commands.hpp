// The makers of all commands; each lives in the file named after it.
#pragma once

#include "cli/command.hpp"

namespace attn::cli {

[[nodiscard]] Command run_command();
[[nodiscard]] Command cosine_command();
[[nodiscard]] Command dot_command();
[[nodiscard]] Command scaled_command();
[[nodiscard]] Command multihead_command();
[[nodiscard]] Command layer_command();
[[nodiscard]] Command linear_command();
[[nodiscard]] Command approx_command();
[[nodiscard]] Command stats_command();
[[nodiscard]] Command topk_command();
[[nodiscard]] Command sweep_command();
[[nodiscard]] Command plot_command();
[[nodiscard]] Command convert_command();
[[nodiscard]] Command info_command();
[[nodiscard]] Command gen_command();
[[nodiscard]] Command mask_command();
[[nodiscard]] Command compare_command();
[[nodiscard]] Command verify_command();
[[nodiscard]] Command identify_command();
[[nodiscard]] Command explain_command();
[[nodiscard]] Command reproduce_command();
[[nodiscard]] Command bench_command();
[[nodiscard]] Command help_command();
[[nodiscard]] Command completions_command();
[[nodiscard]] Command man_command();

}  // namespace attn::cli
