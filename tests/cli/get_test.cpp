// `tnode get` before nodes that lie about certificates.
#include <filesystem>
#include <iterator>
#include <thread>

#include "cli/commands.h"
#include "core/messages.h"
#include "core/result_manifest.h"
#include "tests/catch.h"
#include "tests/swarm/net.h"

using namespace tnode;

namespace {

Torrent made(const std::string& parent, const std::string& name, const std::vector<MemoryFile>& files) {
  for (const auto& file : files) write_file(parent + "/" + name + "/" + file.path, file.content);
  auto torrent = torrent_of_memory(name, files);
  REQUIRE(torrent.ok());
  return *torrent;
}

}  // namespace

TEST_CASE("a_false_certificate_proves_nothing_and_touches_nothing_that_was_downloaded") {
  TestNode liar(1);
  const std::string honest_dir = liar.dir.path + "/honest", false_dir = liar.dir.path + "/false", name = "tnode-result-1";
  const Torrent result = made(honest_dir, name, {{"manifest", false, "m"}, {"out/a", false, "right"}});
  const Torrent certificate = made(false_dir, name, {{"certificate", false, "none"}, {"out/a", false, "wrong"}});
  liar->seed({result.bytes, honest_dir, true});
  liar->seed({certificate.bytes, false_dir, true});
  std::thread answering([&] {
    const auto question = liar.expect<MessageIn>();
    CertificateAt at{rename_id<ResultId>(result.v2_hash), certificate.v2_hash, certificate.v1_hash};
    liar->send(question.from, encode_message(CertificateAtMessage{at}));
  });

  TempDir home, out;
  GlobalOptions global;
  global.home = home.path;
  global.listen = "127.0.0.1:0";
  global.peers = {liar->listen_endpoint()};
  GetOptions get;
  get.what = "magnet:?xt=urn:btmh:1220" + to_hex(result.v2_hash);
  get.out = out.path;
  get.timeout = "3s";
  get.verify = true;
  CHECK(run_get(global, get) != exit_done);
  answering.join();
  CHECK(content_of(out.path + "/" + name + "/out/a") == "right");
  // The result, and nothing else.
  CHECK(std::distance(std::filesystem::directory_iterator(out.path), std::filesystem::directory_iterator()) == 1);
}
