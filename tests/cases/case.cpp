// Runs one case of the command line and compares, or refreshes what it expects.
#include "cases/case.hpp"

#include "tools/process.hpp"
#include "tools/text_diff.hpp"

#include <map>
#include <set>
#include <sstream>

namespace attn::testing {

namespace fs = std::filesystem;

namespace {

using Files = std::map<std::string, std::string>;  // path below a folder -> bytes

const std::set<std::string> own_names{"cmd", "expout", "experr", "status", "expfiles", "nofiles"};

/// All files below `folder`. What is not a plain file (a link, a pipe) counts by its kind.
Files files_below(const fs::path& folder) {
  Files result;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory() && !entry.is_symlink()) continue;
    const bool plain = entry.is_regular_file() && !entry.is_symlink();
    result[fs::relative(entry.path(), folder).string()] = plain ? read_file(entry.path()) : "(not a plain file)";
  }
  return result;
}

std::string read_if_there(const fs::path& path, const std::string& otherwise = {}) {
  return fs::exists(path) ? read_file(path) : otherwise;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

bool is_containment(const std::string& expected_error) { return expected_error.rfind("~\n", 0) == 0; }

/// One run of a case with all that came out of it.
struct Run {
  Ending ending;
  std::string output;
  std::string error;
  Files before;
  Files after;
};

Run execute(const fs::path& folder, const CaseOptions& options, const fs::path& scratch) {
  const fs::path work = scratch / "work";
  fs::create_directory(work);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (!own_names.contains(entry.path().filename().string()))
      fs::copy(entry.path(), work / entry.path().filename(), fs::copy_options::recursive);

  Run run;
  run.before = files_below(work);
  Surroundings surroundings;
  surroundings.directory = work;
  surroundings.environment = test_environment(options.program, work, options.root);
  surroundings.standard_output = scratch / "output";
  surroundings.standard_error = scratch / "error";
  surroundings.limit = std::chrono::seconds(options.limit_seconds);
  run.ending = run_shell(read_file(folder / "cmd"), surroundings);
  run.output = read_file(surroundings.standard_output);
  run.error = read_file(surroundings.standard_error);
  run.after = files_below(work);
  return run;
}

void check_error_text(const std::string& expected, const std::string& actual, std::vector<std::string>& findings) {
  if (!is_containment(expected)) {
    if (const std::string diff = text_diff(expected, actual); !diff.empty())
      findings.push_back("standard error differs:\n" + diff);
    return;
  }
  std::istringstream lines(expected.substr(2));
  for (std::string line; std::getline(lines, line);)
    if (actual.find(line) == std::string::npos)
      findings.push_back("standard error lacks: " + line + "\n" + text_diff("", actual));
}

/// Which files must be there afterwards: those the case brought, unchanged, and those of expfiles/.
void check_files(const Files& before, const Files& promised, const Files& after, std::vector<std::string>& findings) {
  Files expected = promised;
  expected.insert(before.begin(), before.end());
  for (const auto& [name, bytes] : expected) {
    const auto found = after.find(name);
    if (found == after.end()) {
      findings.push_back("the file " + name + " is missing afterwards");
    } else if (const std::string diff = text_diff(bytes, found->second); !diff.empty()) {
      findings.push_back("the file " + name + " differs:\n" + diff);
    }
  }
  for (const auto& [name, bytes] : after)
    if (!expected.contains(name))
      findings.push_back("the file " + name + " was left behind (" + std::to_string(bytes.size()) + " bytes)");
}

void write_or_remove(const fs::path& path, const std::string& text) {
  if (text.empty()) {
    fs::remove(path);
  } else {
    write_file(path, text);
  }
}

void update(const fs::path& folder, const Run& run) {
  write_or_remove(folder / "expout", run.output);
  if (!is_containment(read_if_there(folder / "experr"))) write_or_remove(folder / "experr", run.error);
  if (!run.ending.is(trimmed(read_if_there(folder / "status", "0"))))
    write_or_remove(folder / "status", run.ending.is("0") ? "" : run.ending.text() + "\n");
  if (!fs::exists(folder / "expfiles")) return;
  fs::remove_all(folder / "expfiles");
  fs::create_directory(folder / "expfiles");
  for (const auto& [name, bytes] : run.after) {
    const auto brought = run.before.find(name);
    if (brought != run.before.end() && brought->second == bytes) continue;
    fs::create_directories((folder / "expfiles" / name).parent_path());
    write_file(folder / "expfiles" / name, bytes);
  }
}

}  // namespace

std::vector<std::string> run_case(const fs::path& folder, const CaseOptions& options) {
  if (!fs::exists(folder / "cmd")) return {"no file cmd in " + folder.string()};
  TemporaryDirectory scratch;
  const Run run = execute(folder, options, scratch.path());

  std::vector<std::string> findings;
  if (options.update && !run.ending.timed_out) {
    update(folder, run);
    return findings;
  }
  const std::string status = trimmed(read_if_there(folder / "status", "0"));
  if (!run.ending.is(status)) findings.push_back("ended with " + run.ending.text() + ", expected " + status);
  if (const std::string diff = text_diff(read_if_there(folder / "expout"), run.output); !diff.empty())
    findings.push_back("standard output differs:\n" + diff);
  check_error_text(read_if_there(folder / "experr"), run.error, findings);
  const bool promised = fs::exists(folder / "expfiles");
  if (promised || fs::exists(folder / "nofiles"))
    check_files(run.before, promised ? files_below(folder / "expfiles") : Files{}, run.after, findings);
  if (!findings.empty() && options.keep) {
    scratch.keep();
    findings.push_back("the working folder is kept: " + (scratch.path() / "work").string());
  }
  return findings;
}

}  // namespace attn::testing
