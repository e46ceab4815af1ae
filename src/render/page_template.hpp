// The page around the data: src/render/page.html as text.
#pragma once

#include <string_view>

namespace attn::render {

/// "@TITLE@" and "@DATA@" stand where those belong.
extern const std::string_view page_template;

}  // namespace attn::render
