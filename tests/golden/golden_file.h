// A golden file pins lines that two versions of this program must agree on. TNODE_REWRITE_GOLDEN=1 writes it anew: do so only
// when the format is meant to change, and say why in the commit.
#pragma once
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/catch.h"

namespace tnode {

inline void compare_with_golden(const std::string& name, const std::string& lines) {
  const std::string path = std::string(TNODE_SOURCE_DIR "/tests/golden/") + name;
  if (std::getenv("TNODE_REWRITE_GOLDEN")) std::ofstream(path, std::ios::binary) << lines;
  std::ifstream file(path, std::ios::binary);
  std::stringstream golden;
  golden << file.rdbuf();
  INFO("golden file " << path);
  CHECK(lines == golden.str());
}

}  // namespace tnode
