# The flags every target of this project is built with, on the interface target attn_flags.
add_library(attn_flags INTERFACE)
target_compile_features(attn_flags INTERFACE cxx_std_20)
set(CMAKE_CXX_EXTENSIONS OFF)

target_compile_options(attn_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wnon-virtual-dtor
  -Woverloaded-virtual -Wnull-dereference -Wdouble-promotion
  # g++ 12 sees overlapping copies in `"text" + string` where there are none (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  # Results are the same bits with every compiler: a product and a sum are contracted only where the source says fma.
  -ffp-contract=off
  $<$<BOOL:${ATTN_WERROR}>:-Werror>)

# Only libraries that are called are loaded: Highway's headers suffice in most builds, and its library would slow every start.
target_link_options(attn_flags INTERFACE LINKER:--as-needed)

if(ATTN_SANITIZE)
  target_compile_options(attn_flags INTERFACE -fsanitize=${ATTN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(attn_flags INTERFACE -fsanitize=${ATTN_SANITIZE})
endif()
