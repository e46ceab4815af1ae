// Unpacking deflated data with zlib, and checksums.
#include "io/zip.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>
#define ZLIB_CONST  // input is const
#include <zlib.h>

namespace attn {

struct Inflater::Stream {
  z_stream z{};
};

Inflater::Inflater(std::span<const std::byte> compressed, std::string label)
    : stream_(std::make_unique<Stream>()), rest_(compressed), label_(std::move(label)) {
  // ZIP entries are raw deflate data, without zlib's own header: negative window bits.
  if (inflateInit2(&stream_->z, -MAX_WBITS) != Z_OK) throw Error(Status::memory, {label_}, "no memory to unpack the entry");
}

Inflater::~Inflater() { inflateEnd(&stream_->z); }

std::size_t Inflater::read(std::span<std::byte> to) {
  constexpr std::size_t most = std::numeric_limits<uInt>::max();
  z_stream& z = stream_->z;
  std::size_t done = 0;
  while (done < to.size() && !ended_) {
    const std::size_t in = std::min(rest_.size(), most);
    const std::size_t out = std::min(to.size() - done, most);
    z.next_in = reinterpret_cast<const Bytef*>(rest_.data());
    z.avail_in = static_cast<uInt>(in);
    z.next_out = reinterpret_cast<Bytef*>(to.data() + done);
    z.avail_out = static_cast<uInt>(out);
    const int result = inflate(&z, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw Error(Status::memory, {label_}, "no memory to unpack the entry");
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      throw Error(Status::data, {label_}, "the deflated data of the entry are damaged");
    const std::size_t used = in - z.avail_in;
    const std::size_t made = out - z.avail_out;
    rest_ = rest_.subspan(used);
    done += made;
    ended_ = result == Z_STREAM_END;
    if (!ended_ && used == 0 && made == 0) break;  // the data end before they say so
  }
  crc_ = crc32_of(to.first(done), crc_);
  return done;
}

std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before) {
  return static_cast<std::uint32_t>(crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace attn
