// NPZ: any bytes give a list of arrays or an error; each array that is listed can be read, or a sentence says why not.
#include "fuzz/fuzz.hpp"
#include "io/npz.hpp"

#include <vector>

using namespace attn;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Copy input(data, size);
  std::vector<ArrayEntry> entries;
  const bool listed = fuzz::attempt({Status::data}, [&] { entries = list_npz(input.bytes, "input.npz"); });
  const auto read = [&](const std::string& name) {
    fuzz::attempt({Status::data}, [&] { fuzz::touch(parse_npz(input.bytes, input.owner, "input.npz", name)); });
  };
  read("");
  read("no such array");
  if (!listed) return 0;
  for (std::size_t i = 0; i < entries.size() && i < 8; ++i) {
    fuzz::require(entries[i].shape.size() <= 4, "an entry of more than 4 dimensions");
    read(entries[i].name);
  }
  return 0;
}
