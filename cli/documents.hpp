// Where this program, its installed documents and temporary files are, and the environment that documents run in.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace attn::cli {

/// The file of the running program. Throws Error(io) when the system does not tell.
[[nodiscard]] std::filesystem::path this_program();

/// A program's file, absolute. Throws Error(io) when there is none or it may not be run.
[[nodiscard]] std::filesystem::path program_file(const std::string& name);

/// A folder, absolute. Throws Error(io) when there is none.
[[nodiscard]] std::filesystem::path folder(const std::string& name);

/// The documents that came with the program, sorted by name: those installed with it or, in a build folder, those of the
/// sources. Throws Error(io) when there are none.
[[nodiscard]] std::vector<std::string> installed_documents();

/// Where POSIX programs put their temporary files.
[[nodiscard]] std::string temporary_folder();

/// "NAME=value": the C locale, no colour, and of the caller's environment only what loads libraries and sets up sanitizers.
[[nodiscard]] std::vector<std::string> document_environment();

}  // namespace attn::cli
