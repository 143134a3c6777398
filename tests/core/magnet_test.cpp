// Magnet links: both hashes, names, peers, and what is refused.
#include "core/magnet.h"

#include "tests/catch.h"

using namespace tnode;

namespace {
const std::string v1_hex = "0102030405060708090a0b0c0d0e0f1011121314";
const std::string v2_hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

Magnet whole_magnet() {
  Magnet magnet;
  for (std::uint8_t i = 0; i < 20; ++i) magnet.v1_hash[i] = static_cast<std::uint8_t>(i + 1);
  for (std::uint8_t i = 0; i < 32; ++i) magnet.v2_hash.bytes[i] = i;
  magnet.name = "a b&c+d/é";
  magnet.peers = {"127.0.0.1:6881", "[::1]:80", "host.example:65535"};
  return magnet;
}
}  // namespace

TEST_CASE("magnet_is_written_in_one_form_and_read_back") {
  Magnet magnet = whole_magnet();
  std::string link = format_magnet(magnet);
  CHECK(link == "magnet:?xt=urn:btih:" + v1_hex + "&xt=urn:btmh:1220" + v2_hex +
                    "&dn=a%20b%26c%2Bd%2F%C3%A9&x.pe=127.0.0.1:6881&x.pe=[::1]:80&x.pe=host.example:65535");
  auto read = parse_magnet(link);
  REQUIRE(read);
  CHECK(read->v1_hash == magnet.v1_hash);
  CHECK(read->v2_hash == magnet.v2_hash);
  CHECK(read->name == magnet.name);
  CHECK(read->peers == magnet.peers);
}

TEST_CASE("magnet_with_one_hash_leaves_the_other_zero") {
  auto v1 = parse_magnet("magnet:?xt=urn:btih:" + v1_hex);
  REQUIRE(v1);
  CHECK(v1->v2_hash.is_zero());
  auto v2 = parse_magnet("magnet:?xt=urn:btmh:1220" + v2_hex + "\n");
  REQUIRE(v2);
  CHECK(v2->v1_hash == std::array<std::uint8_t, 20>{});
  CHECK(to_hex(v2->v2_hash) == v2_hex);
  CHECK(format_magnet(*v2) == "magnet:?xt=urn:btmh:1220" + v2_hex);
}

TEST_CASE("magnet_reads_base32_upper_case_and_unknown_parameters") {
  // The base32 form of v1_hex.
  auto base32 = parse_magnet("magnet:?tr=http%3A%2F%2Fx&xt.1=urn:btih:AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYU&xt=urn:sha1:ABC&so=0&flag");
  REQUIRE(base32);
  CHECK(base32->v1_hash == whole_magnet().v1_hash);
  auto upper = parse_magnet("magnet:?xt=urn:btih:0102030405060708090A0B0C0D0E0F1011121314&dn=a+b");
  REQUIRE(upper);
  CHECK(upper->v1_hash == whole_magnet().v1_hash);
  CHECK(upper->name == "a b");
}

TEST_CASE("magnet_leaves_out_a_name_that_is_not_plain_text") {
  for (std::string name : {"%1B%5B2J", "%FF%FE", "a%0Ab"}) {
    auto read = parse_magnet("magnet:?xt=urn:btih:" + v1_hex + "&dn=" + name);
    REQUIRE(read);
    CHECK(read->name.empty());
  }
}

TEST_CASE("magnet_refuses_malformed_links_with_a_reason") {
  std::string v1 = "magnet:?xt=urn:btih:" + v1_hex;
  std::vector<std::string> links = {"", "magnet:", "http://x", "magnet:?", "magnet:?dn=x", "magnet:?xt=urn:btih:0102", "magnet:?xt=urn:btih:" + v1_hex + "0",
                                    "magnet:?xt=urn:btih:zz02030405060708090a0b0c0d0e0f1011121314", "magnet:?xt=urn:btih:0EBAGBAFAYDQQCIKBMGA2DQPCAIREEYU",
                                    "magnet:?xt=urn:btmh:" + v2_hex, "magnet:?xt=urn:btmh:1114" + v2_hex, "magnet:?xt=urn:btmh:1220" + v2_hex.substr(2),
                                    "magnet:?xt=urn:btih:" + std::string(40, '0'), v1 + "&xt=urn:btih:" + std::string(40, '1'), v1 + "&dn=%2", v1 + "&dn=%zz",
                                    v1 + "&x.pe=nohost", v1 + "&x.pe=:80", v1 + "&x.pe=h:0", v1 + "&x.pe=h:65536", v1 + "&x.pe=h:8x", v1 + "&x.pe=::1:80",
                                    v1 + "&dn=" + std::string(max_magnet_bytes, 'a')};
  std::string many = v1;
  for (std::size_t i = 0; i <= max_magnet_peers; ++i) many += "&x.pe=h:1";
  links.push_back(many);
  for (const std::string& link : links) {
    CAPTURE(link);
    auto read = parse_magnet(link);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Code::invalid);
    CHECK(read.error().message.find("is no magnet link of a torrent: ") != std::string::npos);
  }
}
