// attn_docs_test: runs the commands printed in Markdown documents and compares what they print, to the last character.
#include "document/markdown.hpp"
#include "tools/process.hpp"
#include "tools/text_diff.hpp"

#include <attn/error.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>

namespace {

namespace fs = std::filesystem;
using attn::document::Printed;

constexpr const char* usage =
    "usage: attn_docs_test --attn PROGRAM --root REPOSITORY [--update] FILE.md...\n"
    "Runs each `$ command` of the ```console blocks; what follows must be all that it prints on both streams.\n"
    "  --update  put in what is printed now; review with git diff\n";

struct Arguments {
  fs::path program;
  fs::path root;
  bool update = false;
  std::vector<fs::path> documents;
};

Arguments parse(int argc, char** argv) {
  Arguments result;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool takes_value = word == "--attn" || word == "--root";
    if (takes_value && i + 1 >= argc) throw std::runtime_error(word + " needs a value");
    if (word == "--attn") {
      result.program = fs::absolute(argv[++i]);
    } else if (word == "--root") {
      result.root = fs::absolute(argv[++i]);
    } else if (word == "--update") {
      result.update = true;
    } else if (word.rfind("-", 0) == 0) {
      throw std::runtime_error("unknown option " + word);
    } else {
      result.documents.push_back(fs::absolute(word));
    }
  }
  if (result.documents.empty() || !fs::exists(result.program) || !fs::is_directory(result.root))
    throw std::runtime_error("needs --attn PROGRAM, --root REPOSITORY and a FILE.md");
  return result;
}

/// Makes `work` look like `folder`: its entries are linked, so that commands find the files they name and what they write stays
/// out of the repository.
void link_entries(const fs::path& folder, const fs::path& work) {
  fs::create_directories(work);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name != ".git" && name != "build") fs::create_symlink(fs::canonical(entry.path()), work / name);
  }
}

/// Runs one command in the folder of its block; commands of one document share these folders.
std::string printed_now(const Printed& printed, const std::string& folder, const Arguments& arguments, const fs::path& scratch) {
  std::string name = "in-" + folder;
  for (char& letter : name)
    if (letter == '/') letter = '_';
  const fs::path work = scratch / name;
  if (!fs::exists(work)) link_entries(arguments.root / folder, work);

  attn::testing::Surroundings surroundings;
  surroundings.directory = work;
  surroundings.environment = attn::testing::test_environment(arguments.program, scratch, arguments.root);
  surroundings.standard_output = scratch / "printed";
  surroundings.standard_error = scratch / "printed";
  fs::remove(scratch / "printed");
  const attn::testing::Ending ending = run_shell(printed.command, surroundings);
  std::string output = attn::testing::read_file(scratch / "printed");
  if (ending.timed_out) output += "(stopped by the time limit)\n";
  if (ending.signal != 0) output += "(ended by " + ending.text() + ")\n";
  return output;
}

/// Puts new outputs into the document; from the last to the first, so that the indices stay true.
void rewrite(const fs::path& document, std::vector<std::string> lines, const std::vector<Printed>& commands,
             const std::vector<std::string>& outputs) {
  for (std::size_t i = commands.size(); i-- > 0;) {
    const auto at = lines.begin() + static_cast<std::ptrdiff_t>(commands[i].output_at);
    lines.erase(at, at + static_cast<std::ptrdiff_t>(commands[i].output_count));
    const std::vector<std::string> fresh = attn::document::lines_of(outputs[i]);
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(commands[i].output_at), fresh.begin(), fresh.end());
  }
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  attn::testing::write_file(document, text);
}

/// Number of commands that print something else; throws when the document has none, as a check of nothing checks nothing.
std::size_t check(const fs::path& document, const Arguments& arguments) {
  const std::vector<std::string> lines = attn::document::lines_of(attn::testing::read_file(document));
  std::vector<Printed> commands;
  std::vector<std::string> folders;
  for (const attn::document::Block& block : attn::document::read_document(lines, document.string()).blocks) {
    commands.insert(commands.end(), block.commands.begin(), block.commands.end());
    folders.resize(commands.size(), block.folder);
  }
  if (commands.empty()) throw std::runtime_error(document.string() + " has no ```console block with a command");
  const attn::testing::TemporaryDirectory scratch;
  std::vector<std::string> outputs;
  std::size_t different = 0;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    const Printed& printed = commands[i];
    outputs.push_back(printed_now(printed, folders[i], arguments, scratch.path()));
    const std::string diff = attn::testing::text_diff(printed.output, outputs.back());
    if (diff.empty()) continue;
    ++different;
    if (!arguments.update)
      std::cout << document.string() << ":" << printed.line << ": prints something else: " << printed.command << diff;
  }
  if (arguments.update && different > 0) rewrite(document, lines, commands, outputs);
  std::cout << document.filename().string() << ": " << commands.size() << " commands, " << different
            << (arguments.update ? " updated\n" : " differ\n");
  return arguments.update ? 0 : different;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Arguments arguments = parse(argc, argv);
    std::size_t different = 0;
    for (const fs::path& document : arguments.documents) different += check(document, arguments);
    return different == 0 ? 0 : 1;
  } catch (const attn::Error& error) {
    std::cerr << "attn_docs_test: " << error.where().file << ":" << error.where().line << ": " << error.what() << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "attn_docs_test: " << error.what() << "\n" << usage;
    return 2;
  }
}
