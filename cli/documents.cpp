// Finds the program and what was installed with it.
#include "cli/documents.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <unistd.h>

namespace attn::cli {

namespace fs = std::filesystem;

fs::path this_program() {
  std::error_code error;
  fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) throw Error(Status::io, fmt::format("cannot find the running program: {}", error.message()), "--attn names one");
  return program;
}

fs::path program_file(const std::string& name) {
  fs::path program = fs::absolute(name);
  if (!fs::is_regular_file(program) || ::access(program.c_str(), X_OK) != 0)
    throw Error(Status::io, {name}, "is no program that can be run");
  return program;
}

fs::path folder(const std::string& name) {
  if (!fs::is_directory(name)) throw Error(Status::io, {name}, "is no folder");
  return fs::absolute(name);
}

std::vector<std::string> installed_documents() {
  const fs::path here = this_program().parent_path();
  // Installed programs find their documents by a relative way, so that an installation can be moved.
  for (const fs::path& place : {here / ATTN_DOCUMENTS_FROM_BIN, here / "documents"}) {
    std::vector<std::string> files;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(place, error))
      if (entry.path().extension() == ".md") files.push_back(entry.path().lexically_normal().string());
    std::ranges::sort(files);
    if (!files.empty()) return files;
  }
  throw Error(Status::io,
              fmt::format("the documents that come with attn are not there: {}",
                          (here / ATTN_DOCUMENTS_FROM_BIN).lexically_normal().string()),
              "attn reproduce FILE runs a document of yours");
}

std::string temporary_folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder == nullptr || *folder == '\0' ? "/tmp" : folder;
}

std::vector<std::string> document_environment() {
  std::vector<std::string> result{"LC_ALL=C", "NO_COLOR=1"};
  for (const char* name : {"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "ASAN_SYMBOLIZER_PATH"})
    if (const char* value = std::getenv(name); value != nullptr) result.push_back(fmt::format("{}={}", name, value));
  return result;
}

}  // namespace attn::cli
