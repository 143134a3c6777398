#include "core/result_manifest.h"

#include <functional>
#include "tests/swarm/net.h"

using namespace tnode;

namespace {

/// Writes a bundle below `parent` and gives its torrent.
Torrent make_bundle(const std::string& parent, const std::string& name, const std::vector<MemoryFile>& files) {
  auto torrent = torrent_of_memory(name, files);
  REQUIRE(torrent.ok());
  for (const auto& file : files) {
    write_file(parent + "/" + name + "/" + file.path, file.content);
  }
  return *torrent;
}

}  // namespace

TEST_CASE("two_nodes_meet_by_explicit_peer_and_prove_their_keys") {
  TestNode a(1);
  TestNode b(2, {a->listen_endpoint()});
  REQUIRE(a.expect<PeerUp>().key == b.key());
  REQUIRE(b.expect<PeerUp>().key == a.key());
}

TEST_CASE("nodes_meet_through_a_third_ones_dht_alone") {
  TestNode router(1);
  TestNode a(2, {}, {router->listen_endpoint()});
  TestNode b(3, {}, {router->listen_endpoint()});
  a.expect<PeerUp>([&](const PeerUp& up) { return up.key == b.key(); });
  b.expect<PeerUp>([&](const PeerUp& up) { return up.key == a.key(); });
}

TEST_CASE("messages_arrive_whole_and_in_order") {
  TestNode a(1);
  TestNode b(2, {a->listen_endpoint()});
  a.expect<PeerUp>();
  b.expect<PeerUp>();
  const Bytes large(max_message_bytes, 'x');
  for (int i = 0; i < 1000; ++i) a->send(b.key(), std::to_string(i) + (i % 100 == 0 ? large.substr(8) : Bytes()));
  for (int i = 0; i < 1000; ++i) {
    auto message = b.expect<MessageIn>();
    REQUIRE(message.from == a.key());
    REQUIRE(message.message == std::to_string(i) + (i % 100 == 0 ? large.substr(8) : Bytes()));
  }
  b->send(a.key(), "back");
  REQUIRE(a.expect<MessageIn>().message == "back");
}

TEST_CASE("a_node_that_stops_is_reported_and_one_that_returns_too") {
  TestNode a(1);
  {
    TestNode b(2, {a->listen_endpoint()});
    a.expect<PeerUp>();
    b.expect<PeerUp>();
  }
  a.expect<PeerDown>();
  TestNode again(2, {a->listen_endpoint()});
  REQUIRE(a.expect<PeerUp>().key == again.key());
}

TEST_CASE("a_banned_key_gets_no_channel") {
  TestNode a(1);
  TestNode b(2, {a->listen_endpoint()});
  a.expect<PeerUp>();
  a->ban(b.key());
  a.expect<PeerDown>();
  TestNode c(3, {a->listen_endpoint()});
  REQUIRE(a.expect<PeerUp>().key == c.key());
}

TEST_CASE("a_bundle_is_fetched_from_its_holder_by_hash_and_by_torrent") {
  for (bool with_torrent : {false, true}) {
    TestNode a(1);
    TestNode b(2, {a->listen_endpoint()});
    b.expect<PeerUp>();
    Bytes big(300'000, 'b');
    for (std::size_t i = 0; i < big.size(); i += 7) big[i] = static_cast<char>(i);
    auto torrent = make_bundle(a.dir.path, "tnode-bundle", {{"in/big", false, big}, {"in/empty", false, ""}, {"manifest", false, "m"}});
    a->seed({torrent.bytes, a.dir.path, true});
    FetchTorrent request;
    request.v2_hash = torrent.v2_hash;
    request.v1_hash = torrent.v1_hash;
    if (with_torrent) request.torrent = torrent.bytes;
    request.parent_dir = b.dir.path;
    request.holders = {a.key()};
    b->fetch(request);
    auto done = b.expect<FetchDone>();
    REQUIRE(done.v2_hash == torrent.v2_hash);
    REQUIRE(done.torrent.bytes == torrent.bytes);
    REQUIRE(content_of(done.dir + "/in/big") == big);
    REQUIRE(content_of(done.dir + "/manifest") == "m");
  }
}

TEST_CASE("a_bundle_is_found_through_the_dht_by_its_v2_hash_alone") {
  TestNode router(1);
  TestNode a(2, {}, {router->listen_endpoint()});
  TestNode b(3, {}, {router->listen_endpoint()});
  auto torrent = make_bundle(a.dir.path, "tnode-bundle", {{"manifest", false, "found"}});
  a->seed({torrent.bytes, a.dir.path, true});
  FetchTorrent request;
  request.v2_hash = torrent.v2_hash;
  request.parent_dir = b.dir.path;
  b->fetch(request);
  REQUIRE(content_of(b.expect<FetchDone>().dir + "/manifest") == "found");
}

TEST_CASE("a_torrent_that_is_no_bundle_or_too_large_is_refused_before_its_payload") {
  TestNode a(1);
  TestNode b(2, {a->listen_endpoint()});
  b.expect<PeerUp>();
  auto torrent = make_bundle(a.dir.path, "tnode-bundle", {{"in/data", false, Bytes(100'000, 'd')}, {"manifest", false, "m"}});
  auto twin = build_v1_twin(torrent, [&](const std::string& path, const std::function<void(std::string_view)>& chunk) -> Result<void> {
    chunk(content_of(a.dir.path + "/tnode-bundle/" + path));
    return {};
  });
  REQUIRE(twin.ok());
  a->seed({torrent.bytes, a.dir.path, true});
  a->seed({*twin, a.dir.path, true});
  FetchTorrent request;
  request.parent_dir = b.dir.path;
  request.holders = {a.key()};
  auto info_at = twin->find("4:info") + 6;
  request.v1_hash = sha1(std::string_view(*twin).substr(info_at, twin->size() - info_at - 1));
  b->fetch(request);
  REQUIRE_THAT(b.expect<FetchFailed>().reason, has_text("no bundle"));
  request.v1_hash = torrent.v1_hash;
  request.v2_hash = torrent.v2_hash;
  request.max_bytes = 1000;
  b->fetch(request);
  REQUIRE_THAT(b.expect<FetchFailed>().reason, has_text("at most 1000"));
  REQUIRE_FALSE(std::filesystem::exists(b.dir.path + "/tnode-bundle/in/data"));
}

TEST_CASE("a_fetch_that_nobody_answers_ends_after_its_stall") {
  TestNode a(1);
  FetchTorrent request;
  request.v2_hash.bytes.fill(7);
  request.parent_dir = a.dir.path;
  request.stall_ms = 300;
  a->fetch(request);
  REQUIRE_THAT(a.expect<FetchFailed>().reason, has_text("nobody had it"));
}

TEST_CASE("a_taken_port_is_a_clear_error") {
  TestNode a(1);
  SwarmOptions options;
  options.listen = a->listen_endpoint();
  auto second = Swarm::start(options, [](SwarmEvent) {});
  REQUIRE_FALSE(second.ok());
  REQUIRE(second.error().code == Code::unavailable);
  REQUIRE_THAT(second.error().message, has_text("--listen"));
}

TEST_CASE("a_wrong_v1_hash_beside_the_right_v2_hash_does_not_hide_a_torrent") {
  TestNode a(1);
  const Torrent torrent = make_bundle(a.dir.path, "tnode-result-1", {{"manifest", false, "m"}, {"out/a", false, std::string(100'000, 'a')}});
  a->seed({torrent.bytes, a.dir.path, true});
  TestNode b(2, {a->listen_endpoint()});
  b.expect<PeerUp>();
  FetchTorrent request;
  request.v2_hash = torrent.v2_hash;
  request.v1_hash[0] = 1;
  request.parent_dir = b.dir.path;
  request.holders = {a.key()};
  request.stall_ms = 5'000;
  b->fetch(request);
  REQUIRE(b.expect<FetchDone>().torrent.v2_hash == torrent.v2_hash);
}

TEST_CASE("a_peer_that_floods_is_let_go") {
  TestNode a(1);
  TestNode b(2, {a->listen_endpoint()});
  a.expect<PeerUp>();
  b.expect<PeerUp>();
  for (int i = 0; i < 200'000; ++i) a->send(b.key(), "x");
  b.expect<PeerDown>();
}

TEST_CASE("a_bundle_whose_name_is_none_of_tnodes_is_not_downloaded") {
  TestNode a(1);
  const Torrent torrent = make_bundle(a.dir.path, ".ssh", {{"authorized_keys", false, "mine"}});
  a->seed({torrent.bytes, a.dir.path, true});
  TestNode b(2, {a->listen_endpoint()});
  b.expect<PeerUp>();
  FetchTorrent request;
  request.v2_hash = torrent.v2_hash;
  request.v1_hash = torrent.v1_hash;
  request.parent_dir = b.dir.path;
  request.holders = {a.key()};
  b->fetch(request);
  REQUIRE_THAT(b.expect<FetchFailed>().reason, has_text("is none of tnode's"));
}
