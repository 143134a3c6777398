// One backup of a key, byte for byte: what was written years ago must open for ever.
#include "core/key_backup.h"
#include "tests/golden/golden_file.h"

using namespace tnode;

TEST_CASE("a_backup_of_a_known_key_never_changes") {
  Seed seed;
  seed.fill(1);
  const KeyPair key = KeyPair::from_seed(seed);
  Block genesis;
  genesis.key = key.key();
  genesis.amount = 1000 * credit_micro;
  genesis.time_ms = 1'700'000'000'000;
  sign_block(genesis, key);
  GcmNonce nonce;
  nonce.fill(2);
  const ChainMark chain{3, rename_id<BlockId>(sha256("head")), genesis};
  compare_with_golden("key_backup.txt", seal_key(key, chain, "a known passphrase", sha256("salt"), nonce) + seal_key(key, {}, "a known passphrase", sha256("other salt"), nonce, {10, 8, 2}));
}
