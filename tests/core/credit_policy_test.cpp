// Who may owe how much, and why: one key after another, then all at once.
#include "core/credit_policy.h"

#include <algorithm>

#include "core/chain_file.h"
#include "tests/catch.h"
#include "tests/sim/random.h"

using namespace tnode;

namespace {

constexpr Micro one = credit_micro;
constexpr TimeMs day = 86'400'000, start = 1'700'000'000'000;

NodeKey key_of(int number) { return rename_id<NodeKey>(sha256("key " + std::to_string(number))); }
AwardId award_of(int number) { return rename_id<AwardId>(sha256("award " + std::to_string(number))); }
const NodeKey alice = key_of(1), bob = key_of(2), carol = key_of(3), dave = key_of(4);

/// A policy and the chain that feeds it.
struct Book {
  CreditPolicy policy;
  std::uint64_t seq = 0;
  TimeMs now = start;
  explicit Book(CreditTerms terms = {1000 * one, 20 * one, {}}) : policy(std::move(terms)) {}

  Block block(BlockType type, const NodeKey& key, Micro amount) {
    Block each;
    each.type = type;
    each.seq = ++seq;
    each.time_ms = now;
    each.counterparty = key;
    each.amount = amount;
    return each;
  }
  /// It did work for us, and we paid.
  void works(const NodeKey& key, Micro amount) { policy.book(block(BlockType::debit, key, amount)); }
  /// It had work done by us, and paid by owing.
  void takes(const NodeKey& key, Micro amount) { policy.book(block(BlockType::credit, key, amount)); }
  Micro room(const NodeKey& key) const { return policy.room(key, now); }
};

}  // namespace

TEST_CASE("a_stranger_may_owe_what_is_left_for_all_strangers") {
  Book book;
  CHECK(book.room(alice) == 20 * one);
  book.takes(alice, 5 * one);
  CHECK(book.room(alice) == 15 * one);
  CHECK(book.room(bob) == 15 * one);
  book.takes(bob, 15 * one);
  CHECK(book.room(alice) == 0);
  CHECK(book.room(carol) == 0);
  CHECK(book.policy.standing(carol, book.now).strangers_micro == 20 * one);
}

TEST_CASE("who_worked_here_may_have_as_much_done_and_takes_nothing_from_strangers") {
  Book book;
  book.works(alice, 7 * one);
  CHECK(book.room(alice) == 27 * one);
  book.takes(bob, 20 * one);
  CHECK(book.room(alice) == 7 * one);
  book.takes(alice, 7 * one);
  CHECK(book.room(alice) == 0);
  book.works(alice, one);
  CHECK(book.room(alice) == one);
}

TEST_CASE("debts_are_worked_off_before_there_is_a_claim") {
  Book book;
  book.takes(alice, 5 * one);
  book.works(alice, 3 * one);
  const Standing s = book.policy.standing(alice, book.now);
  CHECK(s.debt_micro == 2 * one);
  CHECK(s.claim_micro == 0);
  CHECK(s.worked_micro == 3 * one);
  CHECK(s.taken_micro == 5 * one);
  CHECK(book.room(bob) == 18 * one);
}

TEST_CASE("a_promise_counts_as_a_debt_until_it_is_settled") {
  Book book;
  book.works(alice, 4 * one);
  book.policy.promise(award_of(1), alice, 10 * one);
  CHECK(book.policy.standing(alice, book.now).promised_micro == 10 * one);
  CHECK(book.room(alice) == 14 * one);
  CHECK(book.room(bob) == 14 * one);   // six of it lean on the pool
  book.policy.promise(award_of(1), alice, 3 * one);  // said again, it is another amount for the same award
  CHECK(book.room(bob) == 20 * one);
  book.policy.end_promise(award_of(1));
  book.policy.end_promise(award_of(1));
  CHECK(book.room(alice) == 24 * one);
}

TEST_CASE("a_key_with_a_line_owes_by_itself_and_is_no_stranger") {
  Book book(CreditTerms{1000 * one, 20 * one, {{alice, 50 * one}, {bob, 0}}});
  CHECK(book.room(alice) == 50 * one);
  book.takes(alice, 50 * one);
  CHECK(book.room(alice) == 0);
  CHECK(book.room(carol) == 20 * one);
  CHECK(book.room(bob) == 0);
  book.works(bob, 2 * one);
  CHECK(book.room(bob) == 2 * one);
  CHECK(book.policy.line_of(alice) == 50 * one);
  CHECK(book.policy.line_of(carol) == 1000 * one);
  CHECK(book.policy.keys() == std::set<NodeKey>{alice, bob});
}

TEST_CASE("who_is_owed_for_work_by_one_who_worked_here_may_owe_as_much") {
  Book book(CreditTerms{1000 * one, 0, {}});
  book.works(bob, 10 * one);
  book.policy.vouch(bob, {{carol, 6 * one}, {dave, 30 * one}});
  CHECK(book.room(carol) == 6 * one);
  CHECK(book.room(dave) == 10 * one);
  book.takes(dave, 8 * one);
  CHECK(book.room(carol) == 2 * one);  // what dave leans on, carol cannot
  CHECK(book.room(bob) == 2 * one);    // nor bob himself
  CHECK(book.policy.standing(carol, book.now).vouchers == std::map<NodeKey, Micro>{{bob, 6 * one}});
  book.policy.vouch(bob, {});
  CHECK(book.room(carol) == 0);
}

TEST_CASE("an_earlier_debt_moves_aside_for_one_that_can_lean_nowhere_else") {
  Book book(CreditTerms{1000 * one, 10 * one, {}});
  book.works(bob, 10 * one);
  book.policy.vouch(bob, {{carol, 10 * one}});
  book.takes(carol, 10 * one);
  CHECK(book.room(alice) == 10 * one);  // carol leans on bob
  CHECK(book.room(bob) == 10 * one);    // or on the pool
  book.takes(bob, 10 * one);
  CHECK(book.room(alice) == 0);
}

TEST_CASE("trust_goes_two_hops_and_no_further") {
  Book book(CreditTerms{1000 * one, 0, {}});
  book.works(bob, 10 * one);
  book.policy.vouch(bob, {{carol, 10 * one}});
  book.policy.vouch(carol, {{dave, 10 * one}});  // carol never worked here
  CHECK(book.room(carol) == 10 * one);
  CHECK(book.room(dave) == 0);
}

TEST_CASE("who_worked_for_nobody_here_vouches_for_nobody") {
  Book book(CreditTerms{1000 * one, 0, {}});
  book.policy.vouch(bob, {{carol, 1000 * one}});
  CHECK(book.room(carol) == 0);
  book.policy.vouch(alice, {{alice, 1000 * one}});
  CHECK(book.room(alice) == 0);
}

TEST_CASE("what_strangers_owe_is_half_forgotten_in_a_month_and_what_can_be_repaid_is_not") {
  Book book;
  book.takes(alice, 20 * one);
  book.works(bob, 10 * one);
  book.now += 30 * day;
  CHECK(book.room(carol) == 10 * one);
  const Standing s = book.policy.standing(alice, book.now);
  CHECK(s.debt_micro == 10 * one);
  CHECK(s.written_off_micro == 10 * one);
  // What was forgotten is still to be worked off before there is a claim.
  book.works(alice, 15 * one);
  CHECK(book.policy.standing(alice, book.now).debt_micro == 0);
  CHECK(book.policy.standing(alice, book.now).claim_micro == 0);

  Book vouched(CreditTerms{1000 * one, 0, {{dave, 5 * one}}});
  vouched.works(bob, 10 * one);
  vouched.policy.vouch(bob, {{carol, 10 * one}});
  vouched.takes(carol, 10 * one);
  vouched.takes(dave, 5 * one);
  vouched.now += 300 * day;
  CHECK(vouched.room(carol) == 0);
  CHECK(vouched.room(dave) == 0);
}

TEST_CASE("a_gift_makes_nobody_a_debtor_and_a_payment_said_twice_counts_once") {
  Book book;
  const Block gift = book.block(BlockType::credit, alice, 500 * one);
  book.policy.book(gift, false);
  CHECK(book.room(alice) == 20 * one);
  const Block pay = book.block(BlockType::credit, alice, 5 * one);
  book.policy.book(pay);
  book.policy.book(pay);
  CHECK(book.room(alice) == 15 * one);
  book.policy.book(book.block(BlockType::hold, alice, 5 * one));
  CHECK(book.room(alice) == 15 * one);
}

TEST_CASE("a_cap_that_was_lowered_lends_nothing_until_debts_are_below_it") {
  Book book(CreditTerms{1000 * one, 3 * one, {}});
  book.takes(alice, 10 * one);
  CHECK(book.room(bob) == 0);
  book.works(alice, 8 * one);
  CHECK(book.room(bob) == one);
}

TEST_CASE("the_refusal_says_how_much_and_what_would_help") {
  Book book;
  book.works(alice, 2 * one);
  book.takes(alice, 3'500'000);
  CHECK(why(book.policy.standing(alice, book.now)) ==
        "this key may owe us 18.5 credits more; it did work worth 2 for us and had 3.5 done, strangers owe us 1.5 of at most 20 together. Work for us, or for those who do");
  Book named(CreditTerms{1000 * one, 20 * one, {{alice, 7 * one}}});
  named.policy.promise(award_of(1), alice, one);
  CHECK(why(named.policy.standing(alice, start)) == "this key may owe us 6 credits more; it did work worth 0 for us and had 0 done, 1 are promised, its line here is 7");
}

TEST_CASE("a_list_of_vouchers_has_an_end") {
  Book book(CreditTerms{1000 * one, 0, {}});
  for (int i = 0; i < static_cast<int>(most_vouchers) + 10; ++i) {
    book.works(key_of(100 + i), (i + 1) * one);
    book.policy.vouch(key_of(100 + i), {{carol, one}});
  }
  CHECK(book.room(carol) == static_cast<Micro>(most_vouchers) * one);
  const auto vouchers = book.policy.vouchers();
  REQUIRE(vouchers.size() == most_vouchers);
  CHECK(vouchers.front() == key_of(100 + static_cast<int>(most_vouchers) + 9));
  std::map<NodeKey, Micro> many;
  for (int i = 0; i < static_cast<int>(most_vouched_by_one) + 5; ++i) many[key_of(1000 + i)] = i + 1;
  book.policy.vouch(key_of(100), many);
  CHECK(book.room(key_of(1000)) == 0);
  CHECK(book.room(key_of(1000 + static_cast<int>(most_vouched_by_one) + 4)) > 0);
}

// --- the bound ---

/// Whatever a set of keys does that never worked for anyone honest, all of it together owes no more than one stranger could.
TEST_CASE("keys_that_earned_nothing_owe_together_what_one_may_whatever_they_say_of_each_other") {
  sim::Random random(99);
  for (int round = 0; round < 200; ++round) {
    Book book(CreditTerms{1000 * one, random.between(0, 30) * one, {}});
    const int honest = 5, false_keys = 40;
    Micro earned_by_honest = 0;
    for (int i = 0; i < honest; ++i) {
      const Micro amount = random.between(0, 50) * one;
      if (amount > 0) book.works(key_of(i), amount);
      earned_by_honest += amount;
      // Honest chains owe honest keys; nobody honest owes a false key anything.
      book.policy.vouch(key_of(i), {{key_of(static_cast<int>(random.between(0, honest - 1))), random.between(0, 100) * one}});
    }
    auto false_key = [&](std::int64_t number) { return key_of(1000 + static_cast<int>(number)); };
    for (int i = 0; i < false_keys; ++i) {
      std::map<NodeKey, Micro> lies;
      for (int j = 0; j < 5; ++j) lies[false_key(random.between(0, false_keys - 1))] = 1'000'000 * one;
      book.policy.vouch(false_key(i), lies);
    }
    Micro gained = 0;
    for (int step = 0; step < 300; ++step) {
      const NodeKey key = random.chance(800) ? false_key(random.between(0, false_keys - 1)) : key_of(static_cast<int>(random.between(0, honest - 1)));
      const Micro asked = random.between(1, 5) * one;
      if (asked > book.room(key)) continue;
      book.takes(key, asked);
      bool is_false = false;
      for (int i = 0; i < false_keys; ++i) is_false = is_false || key == false_key(i);
      if (is_false) gained += asked;
    }
    REQUIRE(gained <= book.policy.terms().stranger_cap_micro);
    Micro taken = 0;
    for (const NodeKey& key : book.policy.keys()) taken += book.policy.standing(key, book.now).taken_micro;
    REQUIRE(taken <= book.policy.terms().stranger_cap_micro + earned_by_honest);
  }
}

/// A voucher that really worked lends what it earned, once, to however many it names.
TEST_CASE("one_who_worked_lends_its_claim_once_to_a_thousand_keys_of_its_own") {
  Book book(CreditTerms{1000 * one, 20 * one, {}});
  book.works(bob, 10 * one);
  std::map<NodeKey, Micro> own_keys;
  for (int i = 0; i < 1000; ++i) own_keys[key_of(5000 + i)] = 10 * one;
  book.policy.vouch(bob, own_keys);
  Micro gained = 0;
  for (int i = 0; i < 1000; ++i)
    while (book.room(key_of(5000 + i)) >= one) book.takes(key_of(5000 + i), one), gained += one;
  while (book.room(bob) >= one) book.takes(bob, one), gained += one;
  CHECK(gained == 30 * one);  // its own ten, and the strangers' pool
}

TEST_CASE("a_chain_that_says_something_else_each_time_lends_its_claim_once") {
  Book book(CreditTerms{1000 * one, 0, {}});
  book.works(bob, 10 * one);
  Micro gained = 0;
  for (int i = 0; i < 50; ++i) {
    const NodeKey fresh = key_of(7000 + i);
    book.policy.vouch(bob, {{fresh, 10 * one}});
    while (book.room(fresh) >= one) book.takes(fresh, one), gained += one;
  }
  CHECK(gained == 10 * one);
  // What it earned is its own all the same, once.
  while (book.room(bob) >= one) book.takes(bob, one), gained += one;
  CHECK(gained == 20 * one);
  CHECK(book.room(alice) == 0);
}

TEST_CASE("work_that_was_handed_over_and_never_paid_is_owed_like_any_other") {
  Book book;
  book.policy.unpaid(award_of(1), alice, 8 * one, book.now);
  CHECK(book.room(bob) == 12 * one);
  CHECK(book.policy.standing(alice, book.now).unpaid_micro == 8 * one);
  CHECK(book.policy.unpaid(award_of(1), bob) == 0);
  // Its payment comes late: it is owed once.
  book.takes(alice, 6 * one);
  book.policy.unpaid(award_of(1), alice, book.policy.unpaid(award_of(1), alice) - 6 * one, book.now);
  CHECK(book.room(bob) == 12 * one);
  CHECK(book.policy.unpaid(award_of(1), alice) == 2 * one);
  book.policy.unpaid(award_of(1), alice, -3 * one, book.now);
  CHECK(book.room(bob) == 14 * one);
  CHECK(book.policy.standing(alice, book.now).unpaid_micro == 0);
}

TEST_CASE("what_is_told_late_of_a_time_that_is_over_has_faded_since") {
  Book early, late;
  early.policy.unpaid(award_of(1), alice, 8 * one, start);
  for (Book* book : {&early, &late}) {
    book->now += 30 * day;
    book->takes(alice, one);
  }
  late.policy.unpaid(award_of(1), alice, 8 * one, start);
  CHECK(early.room(bob) == 15 * one);
  CHECK(late.room(bob) == 15 * one);
}
