// A store that may be behind its own chain: when it is in doubt, what it refuses, and how it catches up.
#include <filesystem>

#include "core/chain_file.h"
#include "tests/ledger/store_fixture.h"

using namespace tnode;
namespace fs = std::filesystem;

namespace {

const KeyPair alice = key_of(1), bob = key_of(2);

/// Alice pays Bob for an award, is paid by Bob, and holds something.
void trade(StoreFixture& f, const std::string& name) {
  auto a = f.open(alice), b = f.open(bob);
  std::optional<Block> debit, paid;
  committed(*b, [&] { debit = good(b->pay(alice.key(), hash_of(name + " to alice"), 7, 1)); });
  committed(*a, [&] {
    good(a->credit(*debit, 2));
    paid = good(a->pay(bob.key(), hash_of(name + " to bob"), 3, 3));
    good(a->hold(bob.key(), hash_of(name), {}, 2, 9, 4));
  });
  committed(*b, [&] { good(b->credit(*paid, 5)); });
  committed(*a, [&] { REQUIRE(a->keep_foreign(b->history(0, 100).back()).ok()); });
}

Bytes exported(StoreFixture& f, const KeyPair& key) { return f.open(key, true)->export_chain(); }

std::unique_ptr<Store> open_old_key(StoreFixture& f, const KeyPair& key) {
  auto options = f.options(key);
  options.key_is_new = false;
  return good(Store::open(options, 1000));
}

void refuses_to_sign(Store& store) {
  committed(store, [&] {
    CHECK(store.hold(bob.key(), hash_of("anything"), {}, 1, 0, 9).error().code == Code::unavailable);
    CHECK(store.pay(bob.key(), hash_of("a payment"), 1, 9).error().code == Code::unavailable);
    CHECK(store.put("b", "k", "v").ok());
  });
}

}  // namespace

TEST_CASE("a_key_that_is_not_new_begins_no_chain_by_itself") {
  StoreFixture f;
  auto a = open_old_key(f, alice);
  CHECK(a->doubt() == Store::Doubt::no_chain);
  refuses_to_sign(*a);
  CHECK(a->balance().blocks == 0);
  REQUIRE(a->trust(5).ok());
  CHECK(a->balance().blocks == 1);
  CHECK(a->history(0, 9)[0].time_ms == 5);
  committed(*a, [&] { good(a->hold(bob.key(), hash_of("x"), {}, 1, 0, 9)); });
  a.reset();
  CHECK(open_old_key(f, alice)->doubt() == Store::Doubt::none);
}

TEST_CASE("an_older_copy_in_the_stores_place_is_noticed") {
  StoreFixture f;
  trade(f, "one");
  const std::string path = f.options(alice).path, older = content_of(path);
  trade(f, "two");
  const std::string newer = content_of(path);
  write_file(path, older);  // into the same file
  {
    auto a = f.open(alice);
    CHECK(a->doubt() == Store::Doubt::older);
    refuses_to_sign(*a);
  }
  CHECK(f.open(alice)->doubt() == Store::Doubt::older);  // looking changes nothing
  write_file(path, newer);
  CHECK(f.open(alice)->doubt() == Store::Doubt::none);

  // Nor is another chain with more blocks.
  fs::remove(path);
  {
    auto other = good(Store::open(f.options(alice), 77));
    while (other->balance().blocks < 20) committed(*other, [&] { good(other->hold(bob.key(), hash_of(std::to_string(other->balance().blocks)), {}, 1, 0, 9)); });
    CHECK(other->doubt() == Store::Doubt::none);
  }
  const std::string longer = content_of(path);
  write_file(path, newer);
  fs::remove(path + ".last");
  f.open(alice).reset();
  write_file(path, longer);
  CHECK(f.open(alice)->doubt() == Store::Doubt::older);
}

TEST_CASE("a_copied_store_is_told_from_the_one_that_was_here") {
  StoreFixture f;
  trade(f, "one");
  const std::string path = f.options(alice).path;
  if (!fs::exists(path + ".last") || content_of(path + ".last").find(" 0 ") != std::string::npos) {
    SUCCEED("this file system does not say when a file was made");
    return;
  }
  fs::copy_file(path, path + ".copy");
  fs::rename(path + ".copy", path);
  {
    auto a = f.open(alice);
    CHECK(a->doubt() == Store::Doubt::copied);
    refuses_to_sign(*a);
    REQUIRE(a->trust(9).ok());
    committed(*a, [&] { good(a->hold(bob.key(), hash_of("goes on"), {}, 1, 0, 9)); });
  }
  CHECK(f.open(alice)->doubt() == Store::Doubt::none);
}

TEST_CASE("what_is_remembered_of_a_store_is_never_ahead_of_it") {
  StoreFixture f;
  auto a = f.open(alice);
  const std::string path = f.options(alice).path + ".last";
  const std::string begun = content_of(path);
  REQUIRE(a->begin().ok());
  good(a->hold(bob.key(), hash_of("x"), {}, 1, 0, 9));
  CHECK(content_of(path) == begun);
  a->rollback();
  CHECK(content_of(path) == begun);
  committed(*a, [&] { good(a->hold(bob.key(), hash_of("y"), {}, 1, 0, 9)); });
  CHECK(content_of(path) != begun);
  CHECK(content_of(path).size() == begun.size());

  SECTION("what_is_left_of_it_after_a_power_cut_may_be_anything") {
    a.reset();
    for (const std::string& rest : {std::string(), begun.substr(0, 40), std::string(128, '\0'), std::string(128, 'x')}) {
      write_file(path, rest);
      CHECK(f.open(alice)->doubt() == Store::Doubt::none);
    }
  }
}

TEST_CASE("a_lost_store_is_made_again_from_its_exported_chain") {
  StoreFixture f;
  trade(f, "one");
  trade(f, "two");
  const Bytes file = exported(f, alice);
  const Balance before = f.open(alice, true)->balance();
  const ChainReport chain = good(verify_chain_file(file));
  fs::remove(f.options(alice).path);
  auto a = open_old_key(f, alice);
  committed(*a, [&] { CHECK(good(a->take_own(chain)) == chain.own.size()); });
  committed(*a, [&] { CHECK(good(a->take_own(chain)) == 0); });
  const Balance after = a->balance();
  CHECK(after.head == before.head);
  CHECK(after.balance_micro == before.balance_micro);
  CHECK(after.held_micro == before.held_micro);
  CHECK(after.line_micro == before.line_micro);
  CHECK(after.unclaimed_out_micro == 0);
  CHECK(a->open_holds().size() == 2);
  CHECK(a->export_chain() == file);
  refuses_to_sign(*a);
  REQUIRE(a->trust(9).ok());
  committed(*a, [&] { good(a->debit(hash_of("one"), {}, 1, 9)); });
  a.reset();
  CHECK(f.open(alice)->balance().blocks == before.blocks + 1);
}

TEST_CASE("an_older_store_catches_up_and_a_rollback_takes_it_back") {
  StoreFixture f;
  trade(f, "one");
  const std::string path = f.options(alice).path, older = content_of(path);
  trade(f, "two");
  const ChainReport chain = good(verify_chain_file(exported(f, alice)));
  write_file(path, older);
  auto a = f.open(alice);
  const Balance behind = a->balance();
  REQUIRE(a->begin().ok());
  CHECK(good(a->take_own(chain)) == chain.own.size() - behind.blocks);
  a->rollback();
  CHECK(a->balance().head == behind.head);
  CHECK(a->open_holds().size() == 1);
  committed(*a, [&] { good(a->take_own(chain)); });
  CHECK(a->balance().blocks == chain.own.size());
}

TEST_CASE("a_chain_that_parts_from_ours_or_lacks_a_half_is_not_taken_in") {
  StoreFixture f;
  trade(f, "one");
  const std::string path = f.options(alice).path, common = content_of(path);
  const Bytes whole = exported(f, alice);
  {
    auto a = f.open(alice);
    committed(*a, [&] { good(a->hold(bob.key(), hash_of("here"), {}, 1, 0, 9)); });
  }
  const ChainReport here = good(verify_chain_file(exported(f, alice)));
  write_file(path, common);
  fs::remove(path + ".last");
  {
    auto a = f.open(alice);
    committed(*a, [&] { good(a->hold(bob.key(), hash_of("there"), {}, 1, 0, 9)); });
    a->distrust();
    CHECK(a->doubt() == Store::Doubt::told);
    committed(*a, [&] {
      auto parted = a->take_own(here);
      CHECK(parted.error().code == Code::exists);
      CHECK_THAT(parted.error().message, has_text("parts in two"));
      CHECK(a->take_own(good(verify_chain_file(exported(f, bob)))).error().code == Code::invalid);
    });
  }
  fs::remove(path);
  auto a = open_old_key(f, alice);
  const Bytes alone = whole.substr(0, here.own.size() * block_bytes - block_bytes);  // no halves
  REQUIRE(a->begin().ok());
  auto lacking = a->take_own(good(verify_chain_file(alone)));
  CHECK(lacking.error().code == Code::not_found);
  CHECK_THAT(lacking.error().message, has_text("DEBIT behind CREDIT block 1"));
  a->rollback();
  CHECK(a->balance().blocks == 0);
}

TEST_CASE("who_asks_for_his_own_chain_gets_what_is_here_of_it_with_our_halves") {
  StoreFixture f;
  trade(f, "one");
  trade(f, "two");
  auto b = f.open(bob, true);
  const std::vector<Block> whole = f.open(alice, true)->history(0, 100);
  const auto all = b->blocks_for(alice.key(), 0, 100);
  std::vector<Block> own, halves;
  for (const Block& block : all) (block.key == alice.key() ? own : halves).push_back(block);
  for (const Block& block : own) CHECK(block == whole[block.seq]);
  REQUIRE(own.size() == 2);  // the two DEBITs: nobody told Bob of more
  REQUIRE(halves.size() == 2);
  CHECK(halves[0].link == block_id(own[0]));
  CHECK(b->blocks_for(alice.key(), own[1].seq, 100).size() == 2);
  CHECK(b->blocks_for(alice.key(), own[1].seq + 1, 100).empty());
  CHECK(b->blocks_for(alice.key(), 0, 3).size() == 2);  // a block and its half stay together
  CHECK(b->blocks_for(key_of(9).key(), 0, 100).empty());
}
