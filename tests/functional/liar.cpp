// A farmer that lies: the shipped program's farm command with outputs altered before they are packed. Built for tests alone.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace tnode;
  GlobalOptions global;
  FarmOptions farm;
  std::int64_t size = 0;  // what each output file is blown up to
  for (int i = 1; i < argc; ++i) {
    auto value = [&] { return std::string(i + 1 < argc ? argv[++i] : ""); };
    if (std::strcmp(argv[i], "--home") == 0) global.home = value();
    else if (std::strcmp(argv[i], "--listen") == 0) global.listen = value();
    else if (std::strcmp(argv[i], "--bootstrap") == 0) global.bootstrap.push_back(value());
    else if (std::strcmp(argv[i], "--peer") == 0) global.peers.push_back(value());
    else if (std::strcmp(argv[i], "-o") == 0) value(), global.output = OutputFormat::jsonl;
    else if (std::strcmp(argv[i], "--slots") == 0) farm.slots = std::stoll(value());
    else if (std::strcmp(argv[i], "--size") == 0) size = std::stoll(value());
    else if (std::strcmp(argv[i], "--min-price") == 0) farm.min_price = value();
  }
  farm.tamper = [size](const std::string& collected_dir, ExecutionReport& report) {
    for (auto& file : report.files) {
      if (size > 0) {
        std::filesystem::resize_file(collected_dir + "/" + file.path, static_cast<std::uintmax_t>(size));
        file.size = size;
        continue;
      }
      std::ofstream(collected_dir + "/" + file.path, std::ios::app) << "lie";
      file.size += 3;
    }
  };
  return run_farm(global, farm);
}
