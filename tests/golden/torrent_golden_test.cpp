// Info-hashes of known bundles. They name computations all over the network: a change here splits it in two.
// TNODE_REWRITE_GOLDEN=1 writes the file anew; libtorrent's opinion of the same bundles is asked in tests/core/torrent_test.cpp.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/catch.h"
#include "tests/core/torrent_bundles.h"

using namespace tnode;

TEST_CASE("info_hashes_of_known_bundles_never_change") {
  const std::string path = TNODE_SOURCE_DIR "/tests/golden/torrents.txt";
  std::ostringstream lines;
  lines << "# bundle, v1 info-hash, v2 info-hash, SHA-256 of the .torrent\n";
  for (const auto& set : test::sample_sets()) {
    auto torrent = test::sample_torrent(set.name, set.files);
    REQUIRE(torrent);
    lines << set.name << ' ' << to_hex(std::string_view(reinterpret_cast<const char*>(torrent->v1_hash.data()), 20)) << ' ' << to_hex(torrent->v2_hash) << ' '
          << to_hex(sha256(torrent->bytes)) << '\n';
  }
  if (std::getenv("TNODE_REWRITE_GOLDEN")) std::ofstream(path) << lines.str();
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  CHECK(lines.str() == golden.str());
}
