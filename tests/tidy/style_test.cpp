// Rules of form, read from the text: length, openings, leftovers, and sleeps in tests that hope for the best.
#include <algorithm>
#include <map>
#include <regex>

#include "tests/catch.h"
#include "tests/tidy/source_file.h"

using namespace tnode::tidy;

namespace {

const std::vector<std::string> program_folders{"core", "swarm", "executor", "ledger", "cli"}, code_endings{".h", ".cpp", ".c"};

constexpr std::size_t most_lines = 500;
/// Files that are allowed to be longer, up to the number given, and why.
const std::map<std::string, std::size_t> longer{};

/// A pause inside a loop that waits for a condition is fine, and short. A long one is a guess about somebody else's speed.
constexpr double longest_pause_s = 0.1;

/// Programs that farmers must end: their sleeps are what is tested.
const std::vector<std::string> hostile_programs{"tests/functional/attacks.py", "tests/hostile/"};

/// Sleeps in a text of a test that are no short pauses: the offending lines.
std::vector<std::string> lucky_sleeps(const std::string& path, const std::string& text) {
  std::vector<std::string> found;
  const bool script = path.ends_with(".py") || path.ends_with(".sh");
  // In C++ what stands inside strings is a program for the sandbox: its sleeps are what is tested.
  const SourceFile file{path, script ? text : code_only(text)};
  static const std::regex any(R"(\b(sleep_for|sleep_until|nanosleep|usleep|sleep)\b\s*[( ]\s*(.*))"), milliseconds(R"((milliseconds\(|^)\s*(\d+)\s*(ms)?\)?.*)"), number(R"(^([0-9.]+).*)");
  for (const auto& line : file.lines()) {
    std::smatch match, amount;
    const auto comment = script ? line.find('#') : std::string::npos;
    const std::string code = line.substr(0, comment);
    if (!std::regex_search(code, match, any)) continue;
    const std::string call = match[1], argument = match[2];
    if (call == "sleep" && !script && code.find("sleep(") == std::string::npos) continue;
    double seconds = 1e9;
    if (argument.find("poll") != std::string::npos || argument.find("POLL") != std::string::npos || argument.find("pause") != std::string::npos) seconds = 0;
    else if (call == "sleep_for" && std::regex_search(argument, amount, milliseconds)) seconds = std::stod(amount[2]) / 1e3;
    else if (call == "usleep" && std::regex_match(argument, amount, number)) seconds = std::stod(amount[1]) / 1e6;
    else if (call == "sleep" && std::regex_match(argument, amount, number)) seconds = std::stod(amount[1]);
    if (seconds > longest_pause_s) found.push_back(path + ": " + line);
  }
  return found;
}

void expect_none(const std::vector<std::string>& complaints) {
  std::string all;
  for (const auto& complaint : complaints) all += complaint + "\n";
  INFO(all);
  CHECK(complaints.empty());
}

bool has_opening(const std::string& text) { return text.starts_with("//") || text.starts_with("/*"); }

}  // namespace

TEST_CASE("no_file_is_longer_than_one_idea") {
  std::vector<std::string> complaints;
  for (const auto& file : source_files(program_folders, code_endings)) {
    const auto exception = longer.find(file.path);
    const std::size_t allowed = exception == longer.end() ? most_lines : exception->second, lines = file.lines().size();
    if (lines > allowed) complaints.push_back(file.path + " has " + std::to_string(lines) + " lines, allowed are " + std::to_string(allowed) + ": which two ideas met?");
    if (exception != longer.end() && lines <= most_lines) complaints.push_back(file.path + " is short again: take it off the list of longer files");
  }
  expect_none(complaints);
}

TEST_CASE("every_file_of_the_program_opens_with_what_it_is") {
  std::map<std::string, bool> opened;
  const auto files = source_files(program_folders, code_endings);
  for (const auto& file : files) opened[file.path] = has_opening(file.text);
  std::vector<std::string> complaints;
  for (const auto& file : files) {
    if (opened[file.path]) continue;
    // Its header may be shared by a few small files: then it is the first of their own folder that they include.
    std::string header = file.path.substr(0, file.path.rfind('.')) + ".h";
    for (const auto& include : includes_of(file))
      if (!opened.count(header) && include.name.starts_with(file.folder() + "/")) header = include.name;
    if (file.is_header() || !opened.count(header) || !opened[header]) complaints.push_back(file.path + " has no opening comment, nor has its header");
  }
  expect_none(complaints);
}

TEST_CASE("no_leftovers_in_any_text") {
  // Put together here, so that this file does not find itself.
  const std::vector<std::string> leftovers{std::string("TO") + "DO", std::string("FIX") + "ME"};
  std::vector<std::string> complaints;
  auto files = source_files({"core", "swarm", "executor", "ledger", "cli", "tests", "scripts", "docs", "examples", ".ci"}, {".h", ".cpp", ".c", ".txt", ".md", ".py", ".sh", ".yaml", ".yml", ".cmake", "/run"});
  for (const char* name : {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CMakeLists.txt", "CMakePresets.json", "bootstrap.sh"}) {
    std::ifstream file(std::string(TNODE_SOURCE_DIR) + "/" + name, std::ios::binary);
    if (file) files.push_back({name, {std::istreambuf_iterator<char>(file), {}}});
  }
  for (const auto& file : files) {
    int number = 0;
    for (const auto& line : file.lines()) {
      ++number;
      const std::string place = file.path + ":" + std::to_string(number) + ": ";
      if (line.ends_with(' ') || line.ends_with('\t') || line.ends_with('\r')) complaints.push_back(place + "blanks at the end of the line");
      for (const auto& word : leftovers)
        if (line.find(word) != std::string::npos) complaints.push_back(place + "a " + word + ": do it, or open an issue");
    }
    if (!file.text.empty() && !file.text.ends_with('\n')) complaints.push_back(file.path + ": the last line has no end");
  }
  expect_none(complaints);
}

TEST_CASE("no_test_sleeps_for_luck") {
  std::vector<std::string> complaints;
  for (const auto& file : source_files({"tests"}, {".h", ".cpp", ".py", ".sh"})) {
    const bool hostile = std::any_of(hostile_programs.begin(), hostile_programs.end(), [&](const std::string& each) { return file.path.starts_with(each); });
    if (file.path == "tests/tidy/style_test.cpp" || hostile) continue;
    for (auto& line : lucky_sleeps(file.path, file.text)) complaints.push_back(std::move(line));
  }
  expect_none(complaints);
}

TEST_CASE("the_sleep_rule_tells_a_pause_from_a_guess") {
  CHECK(lucky_sleeps("tests/x.cpp", "std::this_thread::sleep_for(std::chrono::milliseconds(10));\n").empty());
  CHECK(lucky_sleeps("tests/x.cpp", "std::this_thread::sleep_for(10ms);\n").empty());
  CHECK(lucky_sleeps("tests/x.cpp", "std::this_thread::sleep_for(poll_interval);\n").empty());
  CHECK(lucky_sleeps("tests/x.cpp", "usleep(20000);\n").empty());
  CHECK(lucky_sleeps("tests/x.cpp", "run({\"sleep\", \"100\"}); auto p = \"import time; time.sleep(20)\"; // sleep(5)\n").empty());
  CHECK(lucky_sleeps("tests/x.py", "    time.sleep(0.05)\n").empty());
  CHECK(lucky_sleeps("tests/x.cpp", "std::this_thread::sleep_for(std::chrono::seconds(2));\n").size() == 1);
  CHECK(lucky_sleeps("tests/x.cpp", "std::this_thread::sleep_for(std::chrono::milliseconds(1500));\n").size() == 1);
  CHECK(lucky_sleeps("tests/x.cpp", "sleep(1);\n").size() == 1);
  CHECK(lucky_sleeps("tests/x.py", "time.sleep(2)\n").size() == 1);
  CHECK(lucky_sleeps("tests/x.sh", "sleep 3\n").size() == 1);
}
