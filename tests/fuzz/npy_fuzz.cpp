// NPY: any bytes give an array or an error, and an array that is written again reads back the same.
#include "fuzz/fuzz.hpp"
#include "io/npy.hpp"

#include <vector>

using namespace attn;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Copy input(data, size);
  for (const Trailing trailing : {Trailing::refused, Trailing::ignored}) {
    Array array;
    const bool read = fuzz::attempt({Status::data}, [&] { array = parse_npy(input.bytes, input.owner, "input.npy", trailing); });
    if (!read) continue;
    fuzz::touch(array);
    const std::string header = npy_header(array.dtype(), array.shape());
    std::vector<std::byte> file(header.size() + array.bytes());
    std::memcpy(file.data(), header.data(), header.size());
    if (array.bytes() > 0) std::memcpy(file.data() + header.size(), array.data(), array.bytes());
    const Array again = parse_npy(file, nullptr, "again.npy", Trailing::refused);
    fuzz::require(fuzz::same_bytes(array, again), "written again, the array is another one");
  }
  return 0;
}
