// What a store demands of its file before it is used.
#include <unistd.h>

#include <filesystem>

#include "tests/ledger/store_fixture.h"

using namespace tnode;

namespace {
const KeyPair alice = key_of(1), bob = key_of(2);
}

TEST_CASE("a_reopened_store_goes_on_where_it_was") {
  StoreFixture f;
  Balance before;
  {
    auto a = f.open(alice), b = f.open(bob);
    std::optional<Block> debit;
    committed(*b, [&] {
      good(b->hold(alice.key(), hash_of("x"), {}, 4, 0, 1));
      debit = good(b->debit(hash_of("x"), {}, 4, 1));
    });
    committed(*a, [&] {
      good(a->credit(*debit, 2));
      good(a->hold(bob.key(), hash_of("award"), {}, 3, 0, 1));
      good(a->hold(bob.key(), hash_of("other"), {}, 2, 0, 1));
      good(a->release(hash_of("other"), {}, 1));
      REQUIRE(a->put("b", "k", "v").ok());
    });
    before = a->balance();
  }
  // The line of a later start does not change the one that the chain began with.
  auto options = f.options(alice);
  options.line_micro = 99 * credit_micro;
  auto a = good(Store::open(options, 1000));
  const Balance after = a->balance();
  CHECK(after.head == before.head);
  CHECK(after.balance_micro == 4);
  CHECK(after.held_micro == 3);
  CHECK(after.blocks == 5);
  CHECK(after.line_micro == 10 * credit_micro);
  CHECK(a->get("b", "k").value() == "v");
  committed(*a, [&] {
    CHECK(good(a->hold(bob.key(), hash_of("award"), {}, 3, 0, 9)).seq == 2);
    CHECK(good(a->debit(hash_of("award"), {}, 1, 9)).seq == 5);
  });
}

TEST_CASE("a_second_writer_is_refused_and_a_reader_is_not") {
  StoreFixture f;
  auto first = f.open(alice);
  auto second = Store::open(f.options(alice), 1);
  REQUIRE(second.error().code == Code::unavailable);
  CHECK_THAT(second.error().message, has_text("another tnode runs with this home (pid " + std::to_string(getpid()) + ")"));
  committed(*first, [&] { REQUIRE(first->put("b", "k", "v").ok()); });
  auto reader = f.open(alice, true);
  CHECK(reader->get("b", "k").value() == "v");
  first.reset();
  CHECK(Store::open(f.options(alice), 1).ok());
}

TEST_CASE("a_reader_sees_one_moment_and_does_not_disturb_the_writer") {
  StoreFixture f;
  auto writer = f.open(alice);
  REQUIRE(writer->begin().ok());
  good(writer->hold(bob.key(), hash_of("one"), {}, 1, 0, 1));
  auto reader = f.open(alice, true);  // beside an open transaction
  REQUIRE(writer->commit().ok());
  committed(*writer, [&] { good(writer->hold(bob.key(), hash_of("two"), {}, 1, 0, 1)); });
  CHECK(reader->balance().blocks == 1);
  CHECK(reader->history(0, 10).size() == 1);
  CHECK(f.open(alice, true)->balance().blocks == 3);
}

TEST_CASE("a_reader_finds_no_store_where_there_is_none_and_makes_none") {
  StoreFixture f;
  CHECK(Store::open(f.options(alice, true), 1).error().code == Code::not_found);
  CHECK(std::filesystem::is_empty(f.dir.path));
}

TEST_CASE("a_store_that_does_not_add_up_is_refused_and_the_block_named") {
  StoreFixture f;
  {
    auto a = f.open(alice), b = f.open(bob);
    std::optional<Block> debit;
    committed(*b, [&] {
      good(b->hold(alice.key(), hash_of("x"), {}, 4, 0, 1));
      debit = good(b->debit(hash_of("x"), {}, 4, 1));
    });
    committed(*a, [&] {
      good(a->hold(bob.key(), hash_of("award"), {}, credit_micro, 0, 1));
      good(a->debit(hash_of("award"), {}, credit_micro, 2));
      good(a->credit(*debit, 3));
      good(a->hold(bob.key(), hash_of("next"), {}, credit_micro, 0, 1));
    });
  }
  std::string named = "block 1";
  const std::string new_bytes_at_1 = "SELECT substr(bytes, 1, 230) || x'01' || substr(bytes, 232) FROM own WHERE seq = 1";
  SECTION("an amount was changed") { f.sql(alice, "UPDATE own SET amount = 5 WHERE seq = 1"); }
  SECTION("a payee was changed") { f.sql(alice, "UPDATE own SET counterparty = zeroblob(32) WHERE seq = 1"); }
  SECTION("a block's bytes were changed") { f.sql(alice, "UPDATE own SET bytes = (" + new_bytes_at_1 + ") WHERE seq = 1"); }
  SECTION("a signature inside the chain was changed") { f.sql(alice, "UPDATE own SET bytes = substr(bytes, 1, 311) || x'00' WHERE seq = 1"); }
  SECTION("bytes and sum were cut off") { f.sql(alice, "UPDATE own SET bytes = x'00', sum = x'6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d' WHERE seq = 1"); }
  SECTION("the first block is gone") { f.sql(alice, "DELETE FROM own WHERE seq = 0"); }
  SECTION("a block inside is gone") {
    f.sql(alice, "DELETE FROM own WHERE seq = 3");
    named = "block 4";
  }
  SECTION("a hold is gone") {
    f.sql(alice, "DELETE FROM own WHERE seq = 1");
    named = "debit block 2";
  }
  SECTION("the debit behind our credit is gone") {
    f.sql(alice, "DELETE FROM foreign_blocks");
    named = "credit block 3 has no DEBIT";
  }
  SECTION("a foreign block was changed") {
    f.sql(alice, "UPDATE foreign_blocks SET amount = 400");
    named = "another node's block 2";
  }
  for (bool read_only : {false, true}) {
    auto opened = Store::open(f.options(alice, read_only), 1);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code == Code::invalid);
    CHECK_THAT(opened.error().message, has_text("damaged"));
    CHECK_THAT(opened.error().message, has_text(named));
    CHECK_THAT(opened.error().message, has_text("restore it from a backup"));
  }
}

TEST_CASE("a_store_of_another_key_is_refused") {
  StoreFixture f;
  f.open(alice);
  auto options = f.options(alice);
  options.key = bob.key();
  options.signer = &bob;
  auto opened = Store::open(options, 1);
  REQUIRE_FALSE(opened.ok());
  CHECK_THAT(opened.error().message, has_text("is of another key"));
}

TEST_CASE("a_store_of_a_newer_version_is_left_alone") {
  StoreFixture f;
  f.open(alice);
  f.sql(alice, "PRAGMA user_version = 99");
  const std::string before = content_of(f.options(alice).path);
  auto opened = Store::open(f.options(alice), 1);
  REQUIRE(opened.error().code == Code::newer);
  CHECK_THAT(opened.error().message, has_text("update tnode"));
  CHECK(content_of(f.options(alice).path) == before);
}

TEST_CASE("a_file_that_is_no_store_is_left_alone") {
  StoreFixture f;
  SECTION("a text") {
    write_file(f.options(alice).path, std::string(5000, 'x'));
    auto opened = Store::open(f.options(alice), 1);
    REQUIRE_FALSE(opened.ok());
    CHECK_THAT(opened.error().message, has_text("damaged"));
    CHECK(content_of(f.options(alice).path) == std::string(5000, 'x'));
  }
  SECTION("another program's database") {
    f.sql(alice, "CREATE TABLE own (x)");
    auto opened = Store::open(f.options(alice), 1);
    REQUIRE_FALSE(opened.ok());
    CHECK_THAT(opened.error().message, has_text("no store of tnode"));
  }
}
