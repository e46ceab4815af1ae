// Runs documents and judges what they print.
#include "document/reproduce.hpp"

#include "base/stopwatch.hpp"
#include "document/explain_claim.hpp"

#include <attn/error.hpp>

#include <algorithm>

#include <fmt/format.h>

namespace attn::document {

namespace fs = std::filesystem;

namespace {

/// Makes `work` look like `folder`: its entries are linked, so that commands find the files they name.
void link_entries(const fs::path& folder, const fs::path& work) {
  fs::create_directories(work);
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name == ".git") continue;
    fs::create_symlink(fs::absolute(entry.path()), work / name, error);
  }
  if (error) throw Error(Status::io, {folder.string()}, fmt::format("cannot be read: {}", error.message()));
}

/// The working folders of one document, made when they are first wanted.
class Folders {
 public:
  Folders(fs::path root, const fs::path& temporary) : root_(std::move(root)), scratch_(temporary) {}

  fs::path folder(const std::string& name) const {
    std::string flat = "in-" + name;
    std::ranges::replace(flat, '/', '_');
    fs::path work = scratch_.path() / flat;
    if (!fs::exists(work)) link_entries(root_ / name, work);
    return work;
  }

  /// A data file takes the place of whatever has its name; what was linked stays as it is.
  void write(const DataFile& data, const std::string& document) const {
    const fs::path work = folder(data.folder);
    const fs::path path = work / data.name;
    if (!lies_below(path, work) || fs::is_directory(path))
      throw Error(Status::data, {document, data.line},
                  fmt::format("file={} would change what lies beside the document: another name is needed", data.name));
    std::error_code absent;
    fs::remove(path, absent);
    fs::create_directories(path.parent_path());
    write_text(path, data.text);
  }

  [[nodiscard]] const fs::path& scratch() const noexcept { return scratch_.path(); }

 private:
  fs::path root_;
  ScratchFolder scratch_;
};

CommandResult run_command(const Printed& printed, const fs::path& work, const Surroundings& surroundings) {
  CommandResult result;
  result.printed = &printed;
  CommandLine line;
  try {
    line = split_command(printed.command);
  } catch (const Error& error) {
    result.problem = error.what();
    return result;
  }
  Ending ending = run_command_line(line, work, surroundings);
  result.output = std::move(ending.output);
  result.comparison = compare_printed(printed.output, result.output);
  if (!ending.ran) result.problem = ending.problem;
  // Status 1 is what comparisons end with. Another one is fine where the document prints the message that explains it.
  const bool announced = result.comparison.differences.empty() && !result.output.empty();
  if (ending.ran && ending.status > 1 && !announced) {
    const std::string_view said = std::string_view(result.output).substr(0, result.output.find('\n'));
    result.problem = said.empty() ? fmt::format("it ended with status {}", ending.status) : std::string(said);
  }
  if (!result.problem.empty())
    result.comparison = {};
  else if (!result.comparison.differences.empty())
    result.explanation = explain_claim(line, printed.output, work, surroundings);
  return result;
}

Verdict judge(const Block& block, const std::vector<CommandResult>& commands) {
  bool same = true;
  for (const CommandResult& command : commands) {
    if (!command.problem.empty()) return Verdict::does_not_run;
    same = same && command.comparison.differences.empty();
  }
  if (same) return Verdict::holds;
  return block.must_differ ? Verdict::differs_as_expected : Verdict::differs;
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::holds:
      return "holds";
    case Verdict::differs_as_expected:
      return "differs as expected";
    case Verdict::differs:
      return "differs";
    case Verdict::does_not_run:
      return "does not run";
  }
  return "";
}

DocumentResult open_document(const std::string& file) {
  DocumentResult result{.file = file, .document = read_document(lines_of(read_text(file)), file), .blocks = {}, .left_out = 0};
  std::size_t commands = 0;
  for (const Block& block : result.document.blocks) commands += block.commands.size();
  if (commands == 0)
    throw Error(Status::data, {file}, "there is no command in this document (a ```console block with a line `$ attn ...`)");
  return result;
}

void run_document(DocumentResult& result, const Reproduction& how) {
  const fs::path root = how.root ? *how.root : fs::absolute(result.file).parent_path();
  const Folders folders(root, how.temporary);
  const Surroundings surroundings{.program = how.program,
                                  .scratch = folders.scratch(),
                                  .environment = how.environment,
                                  .limit = how.limit,
                                  .cancelled = how.cancelled};
  auto data = result.document.files.begin();
  for (const Block& block : result.document.blocks) {
    for (; data != result.document.files.end() && data->line < block.line; ++data) folders.write(*data, result.file);
    if (block.needs_shell) {
      ++result.left_out;
      continue;
    }
    Stopwatch watch;
    BlockResult done;
    done.block = &block;
    for (const Printed& printed : block.commands)
      done.commands.push_back(run_command(printed, folders.folder(block.folder), surroundings));
    done.verdict = judge(block, done.commands);
    done.seconds = watch.lap();
    result.blocks.push_back(std::move(done));
  }
}

}  // namespace attn::document
