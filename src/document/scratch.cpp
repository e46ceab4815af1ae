// Makes and removes scratch folders; reads and writes whole files.
#include "document/scratch.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace attn::document {

namespace fs = std::filesystem;

ScratchFolder::ScratchFolder(const fs::path& parent) {
  std::string name = (parent / "attn-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr)
    throw Error(Status::io, {parent.string()}, fmt::format("cannot make a folder there: {}", std::strerror(errno)));
  path_ = fs::canonical(name);
}

ScratchFolder::~ScratchFolder() {
  if (keep_) return;
  std::error_code ignored;  // a program may have taken away permissions; a full disk is not the caller's failure
  fs::permissions(path_, fs::perms::owner_all, fs::perm_options::add, ignored);
  fs::remove_all(path_, ignored);
}

bool lies_below(const fs::path& path, const fs::path& folder) {
  std::error_code error;
  const fs::path place = fs::weakly_canonical(fs::absolute(path).parent_path(), error);
  if (error) return false;
  const fs::path top = fs::canonical(folder, error);
  if (error || !path.has_filename() || path.filename() == "..") return false;
  return std::ranges::mismatch(top, place).in1 == top.end();
}

std::string read_text(const fs::path& path) {
  if (fs::is_directory(path)) throw Error(Status::io, {path.string()}, "this is a folder, not a file");
  if (!fs::exists(path)) throw Error(Status::io, {path.string()}, "there is no such file");
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  if (stream && stream.peek() != std::ifstream::traits_type::eof()) text << stream.rdbuf();
  if (stream.bad() || !stream.is_open()) throw Error(Status::io, {path.string()}, "cannot be read");
  return text.str();
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  stream.close();
  if (!stream) throw Error(Status::io, {path.string()}, "cannot be written");
}

}  // namespace attn::document
