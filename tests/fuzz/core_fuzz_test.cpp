// Every reader of bytes from outside in core: nothing crashes or hangs, and what is accepted is exactly what would be written.
#include <algorithm>

#include "core/amount.h"
#include "core/block.h"
#include "core/certificate.h"
#include "core/key_backup.h"
#include "core/magnet.h"
#include "core/messages.h"
#include "core/result_manifest.h"
#include "core/task.h"
#include "core/torrent.h"
#include "tests/core/torrent_bundles.h"
#include "tests/fuzz/driver.h"

using namespace tnode;
using namespace tnode::fuzz;

namespace {

const std::string v2_hash = "1220" + std::string(64, 'a');

std::vector<std::string> sample_manifests() {
  TaskSpec plain;
  plain.command = {"true"};
  TaskSpec rich;
  rich.command = {"python3", "in/x.py", "{index}", "{value}"};
  rich.env = {{"A", "{index}"}, {"B", ""}};
  rich.runtime = "magnet:?xt=urn:btmh:" + v2_hash;
  rich.foreign_inputs = {{"data", sha256("data")}, {"deep/er", sha256("deeper")}};
  rich.outputs = {"out/**", "out/*.png"};
  rich.array.values = {"a", "b", "c"};
  rich.array.batch = 2;
  TaskSpec range = plain;
  range.array.last = 5999;
  range.array.batch = 50;
  return {encode_manifest(plain), encode_manifest(rich), encode_manifest(range)};
}

std::vector<std::string> sample_torrents() {
  std::vector<std::string> all;
  for (const auto& set : test::sample_sets()) {
    auto torrent = test::sample_torrent("tnode-sample", set.files);
    REQUIRE(torrent);
    // Large ones only cost rounds; their rules are those of the others.
    if (torrent->bytes.size() < 40'000) all.push_back(torrent->bytes);
  }
  return all;
}

/// What a message carries for third parties is read on its own, too.
template <class Decode>
bool reads_back(std::string_view body, Decode decode) {
  auto value = decode(body);
  if (value) CHECK(encode(*value) == body);
  return value.ok();
}

}  // namespace

TEST_CASE("fuzz_bencoding_reads_one_spelling_of_a_value") {
  std::vector<std::string> corpus = sample_manifests();
  corpus.insert(corpus.end(), {"i0e", "le", "de", "0:", "d1:ai-1e1:bl1:c1:dee", "lllli9223372036854775807eeeee", "i-9223372036854775808e"});
  run_campaign({corpus, {"i", "e", "l", "d", "-", "0:", "1:a", "99999999999:"}, true, 20'000}, [](const std::string& input) {
    auto value = bencode::decode(input);
    if (value) CHECK(bencode::encode(*value) == input);
    return value.ok();
  });
}

TEST_CASE("fuzz_torrents_are_what_would_have_been_built") {
  run_campaign({sample_torrents(), {}, true, 6'000}, [](const std::string& input) {
    auto torrent = parse_canonical_torrent(input);
    if (!torrent) return false;
    CHECK(torrent->bytes == input);
    CHECK(torrent->v2_hash == sha256(torrent->info));
    auto again = parse_canonical_info(torrent->info);
    REQUIRE(again);
    CHECK(again->v2_hash == torrent->v2_hash);
    CHECK(again->files.size() == torrent->files.size());
    return true;
  });
}

TEST_CASE("fuzz_manifests_decode_to_tasks_that_stay_small") {
  run_campaign({sample_manifests(), {}, true, 20'000}, [](const std::string& input) {
    auto spec = decode_manifest(input);
    if (!spec) return false;
    CHECK(encode_manifest(*spec) == input);
    CHECK(check_task(*spec));
    REQUIRE(unit_count(*spec) >= 1);
    // Expansion is bounded by check_task; large batches would only make the test slow.
    if (spec->array.batch <= 1000) CHECK(expand_unit(*spec, unit_count(*spec) - 1).size() >= 1);
    return true;
  });
}

TEST_CASE("fuzz_messages_survive_decode_and_encode") {
  run_campaign({golden_bytes("messages.txt"), {}, true, 30'000}, [](const std::string& input) {
    auto message = decode_message(input);
    if (message) CHECK(encode_message(*message) == input);
    return message.ok();
  });
}

TEST_CASE("fuzz_signed_bodies_survive_decode_and_encode") {
  std::vector<std::string> bodies;
  for (const auto& frame : golden_bytes("messages.txt")) {
    auto message = decode_message(frame);
    REQUIRE(message);
    std::visit([&](const auto& m) {
      if constexpr (requires { m.offer.body; }) bodies.push_back(m.offer.body);
      if constexpr (requires { m.award.body; }) bodies.push_back(m.award.body);
      if constexpr (requires { m.commit.body; }) bodies.push_back(m.commit.body);
      if constexpr (requires { m.commit_set.body; }) bodies.push_back(m.commit_set.body);
      if constexpr (requires { m.reveal.body; }) bodies.push_back(m.reveal.body);
      if constexpr (requires { m.verdict.body; }) bodies.push_back(m.verdict.body);
    }, *message);
  }
  REQUIRE(bodies.size() >= 6);
  run_campaign({bodies, {}, true, 20'000}, [](const std::string& input) {
    bool read = false;
    read |= reads_back(input, decode_offer);
    read |= reads_back(input, decode_award);
    read |= reads_back(input, decode_commit);
    read |= reads_back(input, decode_commit_set);
    read |= reads_back(input, decode_reveal);
    read |= reads_back(input, decode_verdict);
    return read;
  });
}

TEST_CASE("fuzz_backups_of_keys_have_one_form") {
  const KeyPair key = KeyPair::from_seed({1});
  Block genesis;
  genesis.key = key.key();
  sign_block(genesis, key);
  const ScryptCost cheap{4, 8, 1};
  const std::vector<std::string> corpus{seal_key(key, {}, "passphrase", {}, {}, cheap), seal_key(key, {12, {}, genesis}, "passphrase", {}, {}, cheap)};
  run_campaign({corpus, {" ", "\n", "-", "tnode key backup", "0", "99999999999999999999"}, false, 20'000}, [&](const std::string& input) {
    auto backup = read_key_backup(input);
    // What reads back opens to the key that it names, or not at all.
    if (backup && backup->cost.log2_n <= 8 && backup->cost.r <= 8)
      if (auto opened = open_key_backup(*backup, "passphrase")) CHECK(opened->key() == key.key());
    return backup.ok();
  });
}

TEST_CASE("fuzz_certificates_have_one_form_and_prove_nothing_by_accident") {
  // Bodies and signatures of a certificate are checked apart from its form: here only the form is real.
  auto whole = test::sample_torrent("tnode-sample", test::sample_sets().front().files);
  REQUIRE(whole);
  Certificate certificate;
  certificate.offer.body = "an offer";
  certificate.result = rename_id<ResultId>(whole->v2_hash);
  certificate.units = {{0, whole->info}, {7, whole->info}};
  certificate.reveals = {{rename_id<NodeKey>(sha256("a")), {"a reveal", {}}}, {rename_id<NodeKey>(sha256("b")), {"another", {}}}};
  run_campaign({{encode_certificate(certificate)}, {}, true, 10'000}, [&](const std::string& input) {
    auto decoded = decode_certificate(input);
    if (!decoded) return false;
    CHECK(encode_certificate(*decoded) == input);
    CHECK_FALSE(check_certificate(*decoded, *whole));
    return true;
  });
}

TEST_CASE("fuzz_blocks_have_one_form_and_no_forged_signature_passes") {
  const auto corpus = golden_bytes("blocks.txt");
  int forged = 0;
  run_campaign({corpus, {}, false, 10'000}, [&](const std::string& input) {
    auto block = decode_block(input);
    if (!block) return false;
    CHECK(encode_block(*block) == input);
    const bool genuine = std::find(corpus.begin(), corpus.end(), input) != corpus.end();
    // Verifying is slow: every good one, and some of the others.
    if (genuine || ++forged % 8 == 0) CHECK(verify_block(*block) == genuine);
    (void)check_next_block(nullptr, *block, block->amount, 0);
    (void)check_next_block(&*block, *block, INT64_MAX, INT64_MAX);
    return true;
  });
}

TEST_CASE("fuzz_magnets_keep_their_meaning") {
  const std::vector<std::string> corpus{"magnet:?xt=urn:btmh:" + v2_hash, "magnet:?xt=urn:btih:" + std::string(40, 'b') + "&xt=urn:btmh:" + v2_hash + "&dn=a%20name&x.pe=127.0.0.1:6881&x.pe=[::1]:6881"};
  run_campaign({corpus, {"magnet:?", "&xt=", "urn:btih:", "urn:btmh:1220", "&dn=", "%", "%00", "&x.pe=", "[::1]:", ":65536", "&"}, false, 20'000}, [](const std::string& input) {
    auto magnet = parse_magnet(input);
    if (!magnet) return false;
    auto again = parse_magnet(format_magnet(*magnet));
    REQUIRE(again);
    CHECK(again->v2_hash == magnet->v2_hash);
    CHECK(again->v1_hash == magnet->v1_hash);
    CHECK(again->name == magnet->name);
    CHECK(again->peers == magnet->peers);
    return true;
  });
}

TEST_CASE("fuzz_names_and_amounts_are_read_without_harm") {
  run_campaign({{"in/a/b.txt", "out/frame-1.png", "é/ü", "a.b"}, {"..", "/", "\\", ".pad", "\xe2\x80\xae"}, false, 20'000}, [](const std::string& input) {
    const bool good = check_bundle_paths({input}).ok();
    if (good) {
      CHECK(("/" + input + "/").find("/../") == std::string::npos);
      CHECK(input.front() != '/');
      CHECK(is_plain_text(input));
    }
    CHECK(is_plain_text(quoted_name(input)));
    return good;
  });
  run_campaign({{"2.5", "-0.000001", "1000000"}, {".", "-", "e9"}, false, 20'000}, [](const std::string& input) {
    auto amount = parse_credits(input);
    if (amount) CHECK(*parse_credits(format_credits(*amount)) == *amount);
    return amount.ok();
  });
}
