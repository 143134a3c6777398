#include "tests/hostile/probe_list.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "tests/temp_dir.h"

namespace tnode {
namespace {

const std::string folder = std::string(TNODE_SOURCE_DIR) + "/tests/hostile/probes";

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char buffer[4096];
  for (std::size_t got; (got = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, got);
  REQUIRE(pclose(pipe) == 0);
  return text;
}

}  // namespace

std::string name_of(Place place) {
  for (const auto& [each, name] : places)
    if (each == place) return name;
  return {};
}

void Probe::set_terms(RunLimits& limits) const {
  for (const auto& [term, value] : terms) {
    if (term == "wall_ms") limits.wall_ms = value;
    else if (term == "cpus") limits.cpus = value;
    else if (term == "memory_mib") limits.memory_bytes = value << 20;
    else if (term == "disk_mib") limits.disk_bytes = value << 20;
    else if (term == "output_files") limits.output_files = value;
    else if (term == "processes") limits.processes = value;
    else FAIL(name << " has an unknown term " << term);
  }
}

Probes::Probes() {
  std::istringstream lines(output_of("/usr/bin/python3 -B " + folder + "/run.py --list"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    Probe probe;
    std::string terms;
    std::getline(fields, probe.name, '\t');
    std::getline(fields, terms, '\t');
    for (const auto& [place, name] : places) {
      std::getline(fields, probe.ends[place].first, '\t');
      std::getline(fields, probe.ends[place].second, '\t');
    }
    std::istringstream words(terms);
    for (std::string word; words >> word;) probe.terms[word.substr(0, word.find('='))] = std::atoll(word.substr(word.find('=') + 1).c_str());
    list.push_back(std::move(probe));
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".py") files[entry.path().filename()] = content_of(entry.path());
}

}  // namespace tnode
