// Uses the installed headers and library: makes an array, converts it and reads it back.
#include <attn/array.hpp>
#include <attn/io.hpp>

#include <cstdio>

int main() {
  const attn::Array array = attn::Array::of<float>({2, 2}, {1, 2, 3, 4}).converted(attn::DType::f64);
  if (array.at_flat(3) != 4.0) {
    std::fputs("an array changed its values\n", stderr);
    return 1;
  }
  return 0;
}
