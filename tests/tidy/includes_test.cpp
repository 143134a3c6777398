// The house's rules on who may use what, read from the includes: core decides, adapters do, cli wires.
#include <map>
#include <set>

#include "tests/catch.h"
#include "tests/tidy/source_file.h"

using namespace tnode::tidy;

namespace {

/// A third-party library by the start of its headers' names, and where it may be included: a folder, or one file.
struct Library { std::string prefix; std::vector<std::string> places; };
const std::vector<Library> libraries{
    {"openssl/", {"core/crypto.cpp", "swarm"}},  // the swarm's channel is TLS
    {"libtorrent/", {"swarm"}},
    {"boost/", {"swarm"}},
    {"seccomp.h", {"executor"}},
    {"sqlite3.h", {"ledger"}},
    {"CLI/", {"cli"}},
    {"yaml-cpp/", {"cli"}},
    {"nlohmann/", {"cli"}},
    {"fmt/", {"cli"}},
    {"catch2/", {"tests"}},
};

/// C, C++ and Linux itself.
bool is_system_header(const std::string& name) {
  static const std::set<std::string> posix{"aio.h", "arpa/inet.h", "dirent.h", "dlfcn.h", "errno.h", "fcntl.h", "glob.h", "grp.h", "ifaddrs.h", "limits.h", "netdb.h", "poll.h", "pthread.h", "pwd.h",
                                           "sched.h", "signal.h", "spawn.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h", "termios.h", "time.h", "unistd.h"};
  const bool cpp = name.find('.') == std::string::npos && name.find('/') == std::string::npos;
  return cpp || posix.count(name) != 0 || name.starts_with("sys/") || name.starts_with("linux/") || name.starts_with("net/") || name.starts_with("netinet/");
}

/// What core cannot have: clocks, threads, files, the environment, randomness of its own, an order that changes from run to run.
const std::set<std::string> impure{"atomic", "chrono", "condition_variable", "csignal", "ctime", "filesystem", "fstream", "future", "iostream", "mutex",
                                   "random", "shared_mutex", "stop_token", "thread", "unordered_map", "unordered_set"};

const std::set<std::string> house{"core", "swarm", "executor", "ledger", "cli"};

bool in_place(const std::string& path, const std::string& place) { return path == place || path.starts_with(place + "/"); }

std::vector<std::string> complaints_about(const SourceFile& file) {
  std::vector<std::string> complaints;
  const std::string from = file.folder();
  for (const auto& include : includes_of(file)) {
    auto complain = [&](const std::string& why) { complaints.push_back(file.path + ":" + std::to_string(include.line) + ": includes " + include.name + ": " + why); };
    const std::string to = include.name.substr(0, include.name.find('/'));
    if (!include.angled) {
      if (in_place(file.path, "executor/init")) continue;  // a program of its own, made without the project's include path
      if (!house.count(to) && to != "tests") complain("own headers are named from the project's folder");
      else if (to == "tests" && from != "tests") complain("the program does not depend on its tests");
      else if (from == "core" && to != "core") complain("core knows nobody");
      else if (house.count(from) && from != "core" && from != "cli" && to != from && to != "core") complain("adapters know core alone, never each other");
      continue;
    }
    const Library* library = nullptr;
    for (const auto& each : libraries)
      if (include.name.starts_with(each.prefix)) library = &each;
    if (library) {
      const bool allowed = from == "tests" || std::any_of(library->places.begin(), library->places.end(), [&](const std::string& place) { return in_place(file.path, place); });
      if (!allowed) complain("this library belongs elsewhere");
    } else if (!is_system_header(include.name)) {
      complain("an unknown header; add its library to the table in tests/tidy and to the design");
    } else if (from == "core" && (impure.count(include.name) || include.name.ends_with(".h"))) {
      complain("core has no clock, thread, file, environment or randomness");
    }
  }
  return complaints;
}

void expect_none(const std::vector<std::string>& complaints) {
  std::string all;
  for (const auto& complaint : complaints) all += complaint + "\n";
  INFO(all);
  CHECK(complaints.empty());
}

const std::vector<std::string> code_folders{"core", "swarm", "executor", "ledger", "cli", "tests"}, code_endings{".h", ".cpp", ".c"};

}  // namespace

TEST_CASE("each_folder_includes_only_what_the_house_allows_it") {
  const auto files = source_files(code_folders, code_endings);
  REQUIRE(files.size() > 40);
  std::vector<std::string> complaints;
  for (const auto& file : files)
    for (auto& complaint : complaints_about(file)) complaints.push_back(std::move(complaint));
  expect_none(complaints);
}

TEST_CASE("the_include_rules_catch_what_they_are_for") {
  auto count = [](const std::string& path, const std::string& text) { return complaints_about({path, text}).size(); };
  CHECK(count("core/crypto.cpp", "#include <openssl/evp.h>\n") == 0);
  CHECK(count("core/task.cpp", "#include <openssl/evp.h>\n") == 1);
  CHECK(count("core/task.cpp", "#include <chrono>\n#include <unistd.h>\n#include <algorithm>\n") == 2);
  CHECK(count("core/task.cpp", "#include \"ledger/store.h\"\n") == 1);
  CHECK(count("swarm/swarm.cpp", "#include <libtorrent/session.hpp>\n#include \"core/types.h\"\n") == 0);
  CHECK(count("swarm/swarm.cpp", "#include \"executor/executor.h\"\n") == 1);
  CHECK(count("ledger/store.cpp", "#  include <yaml-cpp/yaml.h>\n") == 1);
  CHECK(count("cli/main.cpp", "#include \"swarm/swarm.h\"\n#include \"ledger/store.h\"\n#include <sqlite3.h>\n") == 1);
  CHECK(count("cli/main.cpp", "#include \"main.h\"\n#include <curl/curl.h>\n") == 2);
  CHECK(count("executor/plan.cpp", "#include \"tests/catch.h\"\n") == 1);
}

TEST_CASE("headers_that_other_folders_include_name_no_library") {
  const std::vector<std::string> library_words{"libtorrent", "lt::", "boost::", "sqlite3", "scmp_", "SSL", "EVP_", "YAML::", "CLI::", "nlohmann", "fmt::"};
  std::map<std::string, SourceFile> headers;
  for (auto& file : source_files({"core", "swarm", "executor", "ledger", "cli"}, {".h"})) headers.emplace(file.path, file);
  // Those that cross a folder's border, and whatever they bring with them.
  std::vector<std::string> open;
  for (const auto& file : source_files(code_folders, code_endings))
    for (const auto& include : includes_of(file))
      if (!include.angled && headers.count(include.name) && file.folder() != "tests" && headers.at(include.name).folder() != file.folder()) open.push_back(include.name);
  std::set<std::string> seen;
  std::vector<std::string> complaints;
  while (!open.empty()) {
    const std::string name = open.back();
    open.pop_back();
    if (!seen.insert(name).second) continue;
    const SourceFile& header = headers.at(name);
    for (const auto& include : includes_of(header)) {
      if (!include.angled && headers.count(include.name)) open.push_back(include.name);
      for (const auto& library : libraries)
        if (include.angled && include.name.starts_with(library.prefix)) complaints.push_back(name + " includes " + include.name);
    }
    const std::string code = code_only(header.text);
    for (const auto& word : library_words)
      if (code.find(word) != std::string::npos) complaints.push_back(name + " names " + word);
  }
  CHECK(seen.count("swarm/swarm.h") == 1);
  CHECK(seen.count("executor/executor.h") == 1);
  CHECK(seen.count("ledger/store.h") == 1);
  expect_none(complaints);
}

TEST_CASE("bubblewrap_is_the_executors_affair") {
  std::vector<std::string> complaints;
  for (const auto& file : source_files({"core", "swarm", "ledger", "cli"}, code_endings))
    if (code_only(file.text).find("bwrap") != std::string::npos || file.text.find("\"bwrap") != std::string::npos) complaints.push_back(file.path + " names bwrap");
  expect_none(complaints);
}

TEST_CASE("every_header_is_included_by_somebody") {
  std::set<std::string> included;
  for (const auto& file : source_files(code_folders, code_endings))
    for (const auto& include : includes_of(file)) {
      included.insert(include.name);
      included.insert(file.path.substr(0, file.path.rfind('/') + 1) + include.name);  // a neighbour, as C names it
    }
  std::vector<std::string> complaints;
  for (const auto& file : source_files(code_folders, {".h"}))
    if (!included.count(file.path)) complaints.push_back(file.path + " is included by nobody");
  expect_none(complaints);
}
