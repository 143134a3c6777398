// A secret under a passphrase: it opens with the right one, and with nothing else.
#include "core/key_backup.h"
#include "tests/catch.h"

using namespace tnode;

namespace {

constexpr ScryptCost cheap{4, 8, 1};
const KeyPair key = KeyPair::from_seed({1, 2, 3});

ChainMark mark() {
  Block genesis;
  genesis.key = key.key();
  genesis.amount = 1000 * credit_micro;
  genesis.time_ms = 1'700'000'000'000;
  sign_block(genesis, key);
  return {7, rename_id<BlockId>(sha256("head")), genesis};
}

Bytes backup_of(const ChainMark& chain) { return seal_key(key, chain, "correct horse", sha256("salt"), {9}, cheap); }

}  // namespace

TEST_CASE("a_backup_opens_with_its_passphrase_alone") {
  for (const ChainMark& chain : {mark(), ChainMark{}}) {
    auto backup = read_key_backup(backup_of(chain));
    REQUIRE(backup.ok());
    CHECK(backup->key == key.key());
    CHECK(backup->chain.blocks == chain.blocks);
    CHECK(backup->chain.head == chain.head);
    CHECK(backup->chain.genesis == chain.genesis);
    auto opened = open_key_backup(*backup, "correct horse");
    REQUIRE(opened.ok());
    CHECK(opened->seed() == key.seed());
    for (const char* wrong : {"", "correct hors", "correct horse ", "Correct horse"}) CHECK(open_key_backup(*backup, wrong).error().code == Code::refused);
  }
}

TEST_CASE("no_byte_of_a_backup_can_be_changed_unnoticed") {
  const Bytes text = backup_of(mark());
  for (std::size_t at = 0; at < text.size(); ++at)
    for (char other : {'0', '1', ' ', '\n', 'A'}) {
      if (text[at] == other) continue;
      Bytes changed = text;
      changed[at] = other;
      auto backup = read_key_backup(changed);
      if (!backup) continue;
      INFO(changed);
      if (backup->cost.log2_n <= cheap.log2_n + 8) CHECK_FALSE(open_key_backup(*backup, "correct horse").ok());
    }
  for (std::size_t size = 0; size < text.size(); ++size) CHECK_FALSE(read_key_backup(text.substr(0, size)).ok());
  CHECK_FALSE(read_key_backup(text + "\n").ok());
}

TEST_CASE("a_backup_of_a_later_version_says_so") {
  CHECK(read_key_backup("tnode key backup 2\nanything\n").error().code == Code::newer);
  CHECK(read_key_backup("-----BEGIN PRIVATE KEY-----\n").error().code == Code::invalid);
}

TEST_CASE("a_hostile_backup_cannot_ask_for_all_memory") {
  auto backup = read_key_backup(backup_of({}));
  REQUIRE(backup.ok());
  for (ScryptCost cost : {ScryptCost{30, 8, 1}, {0, 8, 1}, {63, 1, 1}, {-1, 8, 1}, {4, 0, 1}, {4, 8, 0}, {4, 8, 1000}, {4, 1 << 20, 1}}) {
    backup->cost = cost;
    CHECK(open_key_backup(*backup, "correct horse").error().code == Code::invalid);
  }
}
