// attn_cases: runs the cases of the command line below the given folders, or rewrites what they expect (--update).
#include "cases/case.hpp"

#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using attn::testing::CaseOptions;

constexpr const char* usage =
    "usage: attn_cases --attn PROGRAM --root REPOSITORY [--update] [--keep] [--must-fail] [--limit SECONDS] FOLDER...\n"
    "Runs every case (a folder with a file cmd) below each FOLDER.\n"
    "  --update     rewrite expout, experr, status and expfiles/ with what happens now; review with git diff\n"
    "  --keep       leave the working folders of failed cases and print their names\n"
    "  --must-fail  succeed when every case fails: tests the runner itself\n";

struct Arguments {
  CaseOptions options;
  bool must_fail = false;
  std::vector<fs::path> folders;
};

Arguments parse(int argc, char** argv) {
  Arguments result;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) throw std::runtime_error(word + " needs a value");
      return argv[++i];
    };
    if (word == "--attn") {
      result.options.program = fs::absolute(value());
    } else if (word == "--root") {
      result.options.root = fs::canonical(value());
    } else if (word == "--limit") {
      result.options.limit_seconds = std::stoi(value());
    } else if (word == "--update") {
      result.options.update = true;
    } else if (word == "--keep") {
      result.options.keep = true;
    } else if (word == "--must-fail") {
      result.must_fail = true;
    } else if (word.rfind("-", 0) == 0) {
      throw std::runtime_error("unknown option " + word);
    } else {
      result.folders.push_back(fs::absolute(word).lexically_normal());
    }
  }
  if (result.folders.empty() || !fs::exists(result.options.program))
    throw std::runtime_error("needs --attn PROGRAM and a FOLDER");
  return result;
}

/// The case folders below `folder`, sorted. A folder that has neither a case nor folders of cases is an error, so that a
/// misspelt `cmd` is not a test that never runs.
void collect(const fs::path& folder, std::vector<fs::path>& cases) {
  if (fs::exists(folder / "cmd")) {
    cases.push_back(folder);
    return;
  }
  std::vector<fs::path> inner;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_directory()) inner.push_back(entry.path());
  if (inner.empty()) throw std::runtime_error("no file cmd in " + folder.string());
  std::sort(inner.begin(), inner.end());
  for (const fs::path& path : inner) collect(path, cases);
}

int run(const Arguments& arguments, const std::string& self) {
  std::vector<fs::path> cases;
  for (const fs::path& folder : arguments.folders) collect(folder, cases);
  std::size_t failed = 0;
  for (const fs::path& folder : cases) {
    const std::vector<std::string> findings = run_case(folder, arguments.options);
    if (findings.empty() == !arguments.must_fail) continue;
    ++failed;
    std::cout << "FAILED " << folder.string() << "\n";
    if (arguments.must_fail) std::cout << "  passed, but must fail\n";
    for (const std::string& finding : findings) std::cout << "  " << finding << (finding.back() == '\n' ? "" : "\n");
    std::cout << "  repeat: " << self << " --keep --attn " << arguments.options.program.string() << " --root "
              << arguments.options.root.string() << " " << folder.string() << "\n";
  }
  std::cout << cases.size() << " cases, " << failed << (arguments.options.update ? " not updated\n" : " failed\n");
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv), argv[0]);
  } catch (const std::exception& error) {
    std::cerr << "attn_cases: " << error.what() << "\n" << usage;
    return 2;
  }
}
