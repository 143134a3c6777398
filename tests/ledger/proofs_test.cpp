// Every kind of proof of fraud is found whichever of its blocks comes last, and whatever of it was here before somebody handed it over.
#include <algorithm>

#include "tests/ledger/store_fixture.h"

using namespace tnode;

namespace {

const KeyPair alice = key_of(1), cheat = key_of(2), payer = key_of(3);

Block block_of(const KeyPair& key, BlockType type, std::uint64_t seq, Micro amount, const std::string& award = "") {
  Block block;
  block.type = type;
  block.seq = seq;
  block.time_ms = 1000 + static_cast<TimeMs>(seq);
  block.key = key.key();
  block.amount = amount;
  if (seq > 0) block.prev = rename_id<BlockId>(hash_of("before " + std::to_string(seq)));
  if (award.empty()) return block;
  block.counterparty = alice.key();
  block.ref = hash_of(award);
  if (type != BlockType::hold) block.link = rename_id<BlockId>(hash_of("answered by " + award));
  return block;
}
Block as_signed(Block block) {
  sign_block(block, block.key == payer.key() ? payer : cheat);
  return block;
}

struct Proof { std::string rule; std::vector<Block> blocks; };

std::vector<Proof> every_kind() {
  std::vector<Proof> proofs;
  auto cheats = [](BlockType type, std::uint64_t seq, Micro amount, const std::string& award = "") { return block_of(cheat, type, seq, amount, award); };
  auto add = [&](const std::string& rule, std::vector<Block> blocks) {
    for (Block& block : blocks) block = as_signed(block);
    proofs.push_back({rule, std::move(blocks)});
  };

  add("two blocks with seq", {cheats(BlockType::hold, 7, 1, "a"), cheats(BlockType::hold, 7, 2, "b")});
  Block backdated = cheats(BlockType::hold, 9, 1, "b");
  backdated.time_ms = 5;
  add("dated block", {cheats(BlockType::hold, 7, 1, "a"), backdated});
  add("two HOLDs", {cheats(BlockType::hold, 7, 1, "a"), cheats(BlockType::hold, 20, 1, "a")});
  Block other_hold = cheats(BlockType::debit, 20, 1, "a");
  other_hold.link = rename_id<BlockId>(hash_of("another"));
  add("two DEBITs", {cheats(BlockType::debit, 7, 1, "a"), other_hold});
  Block other_end = cheats(BlockType::release, 20, 1, "b");
  other_end.link = cheats(BlockType::debit, 7, 1, "a").link;
  add("ended one HOLD twice", {cheats(BlockType::debit, 7, 1, "a"), other_end});
  Block other_ref = cheats(BlockType::credit, 20, 1, "b");
  other_ref.link = cheats(BlockType::credit, 7, 1, "a").link;
  add("two CREDITs on one DEBIT", {cheats(BlockType::credit, 7, 1, "a"), other_ref});
  Block other_debit = cheats(BlockType::credit, 20, 1, "a");
  other_debit.link = rename_id<BlockId>(hash_of("another"));
  add("two CREDITs for one award", {cheats(BlockType::credit, 7, 1, "a"), other_debit});

  Block before = as_signed(cheats(BlockType::hold, 7, 1, "a")), after = cheats(BlockType::hold, 8, 1, "b");
  after.prev = block_id(before);
  after.held = 5;
  add("does not add up", {before, after});
  Block minted = cheats(BlockType::genesis, 0, 100), on_it = cheats(BlockType::hold, 1, 1, "a");
  minted.balance = on_it.balance = 50;
  on_it.held = 1;
  on_it.prev = block_id(minted);
  add("begins wrong", {minted, on_it});

  const Block hold = as_signed(cheats(BlockType::hold, 7, 10, "a"));
  Block more = cheats(BlockType::debit, 20, 11, "a"), elsewhere = cheats(BlockType::debit, 20, 5, "b"), of_none = cheats(BlockType::debit, 20, 5, "c");
  more.link = elsewhere.link = block_id(hold);
  add("paid more than it had held", {hold, more});
  add("for another award", {hold, elsewhere});
  const Block credit = as_signed(cheats(BlockType::credit, 7, 10, "a"));
  of_none.link = block_id(credit);
  add("no HOLD", {credit, of_none});
  // The one of three: alone the DEBIT may have ended a HOLD of 12.
  Block rich = cheats(BlockType::checkpoint, 19, 0), fell = cheats(BlockType::debit, 20, 10, "a");
  rich.held = 30;
  rich = as_signed(rich);
  fell.prev = block_id(rich);
  fell.link = block_id(hold);
  fell.held = 18;
  fell.balance = -10;
  add("does not add up", {rich, fell, hold});
  Block deep = cheats(BlockType::hold, 20, 1, "a");
  deep.held = 101;
  add("below its line", {cheats(BlockType::genesis, 0, 100), deep});

  // A CREDIT that says more than the DEBIT behind it, or answers what is none.
  const Block debit = as_signed(block_of(payer, BlockType::debit, 7, 10, "work"));
  Block booked = cheats(BlockType::credit, 20, 1000, "work");
  booked.counterparty = payer.key();
  booked.link = block_id(debit);
  add("another payment", {debit, booked});
  const Block promise = as_signed(block_of(payer, BlockType::hold, 7, 10, "work"));
  booked.link = block_id(promise);
  booked.amount = 10;
  add("another payment", {promise, booked});
  return proofs;
}

/// Nothing to do with any of them, and between most of their places.
const std::vector<Block> bystanders = {as_signed(block_of(cheat, BlockType::hold, 3, 1, "x")), as_signed(block_of(cheat, BlockType::hold, 12, 1, "y"))};

void caught(const Store& store, const Proof& proof) {
  REQUIRE(store.frauds().size() == 1);
  const Fraud fraud = store.frauds().front();
  CHECK(fraud.key == cheat.key());
  CHECK_THAT(fraud.rule, has_text(proof.rule));
  std::vector<Bytes> bytes;
  for (const Block& block : fraud.blocks) bytes.push_back(encode_block(block));
  auto told = check_fraud(bytes);  // as whoever it is handed on to
  if (!told) FAIL(told.error().message);
  CHECK(told->key == cheat.key());
  CHECK_FALSE(store.fraud_of(payer.key()).has_value());
}

}  // namespace

TEST_CASE("a_proof_is_found_whichever_of_its_blocks_comes_last") {
  for (Proof proof : every_kind()) {
    INFO(proof.rule);
    std::sort(proof.blocks.begin(), proof.blocks.end(), [](const Block& a, const Block& b) { return block_id(a) < block_id(b); });
    do {
      StoreFixture f;
      auto store = f.open(alice);
      committed(*store, [&] {
        for (const Block& block : bystanders)
          if (proof.rule != "begins wrong") REQUIRE(store->keep_chain_block(block).ok());
        for (const Block& block : proof.blocks) {
          auto kept = store->keep_chain_block(block);
          UNSCOPED_INFO(block_word(block.type) << " " << (kept ? "kept" : kept.error().message));
        }
      });
      caught(*store, proof);
    } while (std::next_permutation(proof.blocks.begin(), proof.blocks.end(), [](const Block& a, const Block& b) { return block_id(a) < block_id(b); }));
  }
}

TEST_CASE("a_proof_that_is_handed_over_is_kept_whatever_of_it_was_here") {
  for (const Proof& proof : every_kind())
    for (std::size_t here = 0; here <= proof.blocks.size(); ++here) {
      INFO(proof.rule << ", block " << here << " was here");
      StoreFixture f;
      auto store = f.open(alice);
      std::vector<Bytes> bytes;
      for (const Block& block : proof.blocks) bytes.push_back(encode_block(block));
      const Fraud fraud = good(check_fraud(bytes));
      committed(*store, [&] {
        if (here < proof.blocks.size()) REQUIRE(store->keep_chain_block(proof.blocks[here]).ok());
        CHECK(store->frauds().empty());
        REQUIRE(store->keep_proof(fraud).ok());
        REQUIRE(store->keep_proof(fraud).ok());
      });
      caught(*store, proof);
      CHECK(store->take_newly_caught() == std::vector<NodeKey>{cheat.key()});
      store.reset();
      caught(*f.open(alice), proof);
    }
}

TEST_CASE("a_cheats_credit_on_our_debit_is_no_half_of_it") {
  // From a published chain anybody knows a DEBIT of ours, and may sign a CREDIT that names it: into a store it comes as part of a proof against a
  // key that was made for that. Our chain would hold no more, in nobody's eyes.
  StoreFixture f;
  auto store = f.open(alice);
  Block debit;
  committed(*store, [&] {
    good(store->hold(payer.key(), hash_of("award"), {}, 5, 0, 1));
    debit = good(store->debit(hash_of("award"), {}, 5, 1));
  });
  auto named = [&](const KeyPair& by, std::uint64_t seq, Micro amount) {
    Block credit = block_of(by, BlockType::credit, seq, amount, "award");
    credit.link = block_id(debit);
    credit.balance = amount;
    return as_signed(credit);
  };
  const Block fake = named(cheat, 7, 5);
  const std::vector<std::vector<Block>> proofs = {{fake, named(cheat, 7, 6)}, {fake, debit}, {debit, fake}, {named(cheat, 8, 5), fake}};
  for (const auto& blocks : proofs) {
    committed(*store, [&] { REQUIRE(store->keep_proof({cheat.key(), "…", blocks}).ok()); });
    CHECK(store->fraud_of(cheat.key()).has_value());
    CHECK_FALSE(store->half_of(debit).has_value());
    CHECK(store->balance().unclaimed_out_micro == 5);
    CHECK(good(verify_chain_file(store->export_chain())).debits_receipted == 0);
  }
  // The payee's own stands, once, even when he is proved to have signed it twice.
  const Block receipt = named(payer, 9, 5);
  committed(*store, [&] {
    REQUIRE(store->keep_foreign(receipt).ok());
    REQUIRE(store->keep_proof({payer.key(), "…", {named(payer, 10, 5), receipt}}).ok());
  });
  CHECK(store->half_of(debit) == receipt);
  CHECK(good(verify_chain_file(store->export_chain())).debits_receipted == 1);
}

TEST_CASE("who_is_paid_and_books_more_is_caught_by_the_payer") {
  StoreFixture f;
  auto store = f.open(alice);
  Block booked;
  committed(*store, [&] {
    good(store->hold(cheat.key(), hash_of("award"), {}, 5, 0, 1));
    const Block debit = good(store->debit(hash_of("award"), {}, 5, 1));
    booked = block_of(cheat, BlockType::credit, 7, 6, "award");
    booked.link = block_id(debit);
    booked = as_signed(booked);
    CHECK_THAT(store->keep_foreign(booked).error().message, has_text("another payment than it was paid"));
  });
  caught(*store, {"another payment", {}});
  CHECK(store->balance().unclaimed_out_micro == 5);
  // Handed over by somebody else who is shown a DEBIT of ours that we never made: nothing is kept.
  Fraud invented{cheat.key(), "…", {booked, block_of(alice, BlockType::debit, 99, 5, "never")}};
  committed(*store, [&] { CHECK(store->keep_proof(invented).error().code == Code::invalid); });
}
