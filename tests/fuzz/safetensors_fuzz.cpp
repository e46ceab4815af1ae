// safetensors: any bytes give a list of tensors or an error; what the header promises lies within the file.
#include "fuzz/fuzz.hpp"
#include "io/safetensors.hpp"

#include <vector>

using namespace attn;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Copy input(data, size);
  SafetensorsHeader header;
  const bool parsed = fuzz::attempt({Status::data}, [&] { header = parse_safetensors_header(input.bytes, "input.safetensors"); });
  const auto read = [&](const std::string& name) {
    fuzz::attempt({Status::data}, [&] { fuzz::touch(parse_safetensors(input.bytes, input.owner, "input.safetensors", name)); });
  };
  read("");
  fuzz::attempt({Status::data}, [&] { (void)list_safetensors(input.bytes, "input.safetensors"); });
  if (!parsed) return 0;
  fuzz::require(header.data_offset <= size, "the data begin behind the end");
  std::uint64_t covered = 0;
  for (std::size_t i = 0; i < header.entries.size(); ++i) {
    const SafetensorsEntry& entry = header.entries[i];
    fuzz::require(entry.begin <= entry.end && entry.end <= size - header.data_offset, "a tensor lies outside the file");
    covered += entry.end - entry.begin;
    if (i < 8) read(entry.name);
  }
  fuzz::require(covered == size - header.data_offset, "the tensors do not cover the data");
  return 0;
}
