// One role alone before a stranger who says what no honest node would: what it costs, and that it costs no more.
#include <algorithm>

#include "core/farmer.h"
#include "core/requester.h"
#include "tests/catch.h"

using namespace tnode;

namespace {

KeyPair key_of(std::uint8_t number) {
  Seed seed{};
  seed[0] = number;
  return KeyPair::from_seed(seed);
}

Offer offer_by(const KeyPair& requester, UnitNumber units, TimeMs created = 1) {
  Offer offer;
  offer.task.bytes[0] = 7;
  offer.requester = requester.key();
  offer.units = units;
  offer.max_price_micro = 5 * credit_micro;
  offer.created_ms = created;
  offer.expires_ms = 1'000'000'000;
  offer.run_ms = 10'000;
  return offer;
}

template <class Kind, class Effects>
std::vector<Kind> all(const Effects& effects) {
  std::vector<Kind> found;
  for (const auto& effect : effects)
    if (const auto* kind = std::get_if<Kind>(&effect)) found.push_back(*kind);
  return found;
}

/// Messages of one kind among what is sent.
template <class Kind, class Effects>
std::vector<Kind> said(const Effects& effects) {
  std::vector<Kind> found;
  for (const Send& send : all<Send>(effects))
    if (const auto* kind = std::get_if<Kind>(&send.message)) found.push_back(*kind);
  return found;
}

// --- a requester and a farmer that it leased a task of one unit ---

struct LeasedTo {
  KeyPair requester_key = key_of(1), stranger = key_of(2);
  Requester requester;
  TimeMs now = 1'000;
  AwardId award;
  Vote vote;

  explicit LeasedTo(bool accepts = true) : requester(options()) {
    vote.result.bytes[0] = 9;
    const auto holds = all<WriteHold>(step({PeerCame{stranger.key()}, heard(BidMessage{Bid{requester.id(), credit_micro, 1, 1, "none", "test"}})}));
    REQUIRE(holds.size() == 1);
    award = holds[0].award;
    Block hold;
    hold.type = BlockType::hold;
    step({BlockWritten{award, encode_block(hold)}});
    if (accepts) step({heard(AcceptMessage{Accept{award}})});
  }
  RequesterOptions options() const {
    RequesterOptions options;
    options.offer = offer_by(requester_key, 1);
    options.offer.agree = 1;
    options.key = &requester_key;
    return options;
  }
  MessageCame heard(Message message) const { return {stranger.key(), std::move(message)}; }
  MessageCame commits() const {
    return heard(CommitMessage{sign_body(stranger, commit_domain, encode(Commit{award, {{0, commitment(requester.offer().task, 0, award, stranger.key(), vote)}}}))});
  }
  MessageCame reveals(const Vote& shown) const { return heard(RevealMessage{sign_body(stranger, reveal_domain, encode(Reveal{award, {{0, shown}}})), {}}); }
  std::vector<RequesterEffect> step(const std::vector<RequesterEvent>& events) { return requester.step(now, events); }
  /// Time, with the ticks that the requester asks for.
  void pass(TimeMs duration) {
    for (const TimeMs end = now + duration; now < end;) {
      now = std::min(end, requester.next_deadline(now));
      step({Tick{}});
    }
  }
  bool leased() const { return requester.counts().leased == 1; }
};

// --- a farmer and a requester who offers it a task of one unit ---

struct Farming {
  KeyPair own = key_of(3), stranger = key_of(4);
  Farmer farmer;
  TimeMs now = 1'000;

  Farming() : farmer(options()) { step({PeerCame{stranger.key()}}); }
  FarmerOptions options() const {
    FarmerOptions options;
    options.key = &own;
    return options;
  }
  static Signed signed_offer(const KeyPair& by, const Offer& offer) { return sign_body(by, offer_domain, encode(offer)); }
  std::vector<FarmerEffect> offered(const KeyPair& by, const Offer& offer, const NodeKey& from) {
    return step({MessageCame{from, OfferMessage{signed_offer(by, offer)}}});
  }
  /// An award with a HOLD that fits it.
  MessageCame award(const KeyPair& by, const Offer& offer, std::uint8_t number, UnitNumber unit) const {
    Award award{offer_id(encode(offer)), {}, offer.task, own.key(), {unit}, credit_micro, 60'000, {}};
    award.award.bytes[0] = number;
    Block hold;
    hold.type = BlockType::hold;
    hold.key = by.key();
    hold.counterparty = own.key();
    hold.amount = hold.held = credit_micro;
    hold.ref = award_ref(offer.task, award.units, award.award);
    sign_block(hold, by);
    award.hold = encode_block(hold);
    return {by.key(), AwardMessage{sign_body(by, award_domain, encode(award))}};
  }
  std::vector<FarmerEffect> step(const std::vector<FarmerEvent>& events) { return farmer.step(now, events); }
  static TaskSpec spec_of(std::int64_t indices) {
    TaskSpec spec;
    spec.command = {"true"};
    spec.array.last = indices - 1;
    return spec;
  }
};

}  // namespace

TEST_CASE("reveals_that_bring_no_vote_are_not_kept") {
  LeasedTo r;
  r.step({r.commits()});
  for (std::uint8_t i = 0; i < 20; ++i) {
    Vote other = r.vote;
    other.nonce.bytes[0] = static_cast<std::uint8_t>(100 + i);
    CHECK(all<Save>(r.step({r.reveals(other)})).empty());
  }
  CHECK(all<Save>(r.step({r.reveals(r.vote)})).size() >= 1);
}

TEST_CASE("one_who_says_its_commit_again_and_never_reveals_loses_its_lease") {
  LeasedTo r;
  const TimeMs end = r.now + fetch_allowance_ms + 10'000 + 20 * reveal_wait_ms;
  while (r.leased() && r.now < end) {
    r.pass(reveal_wait_ms - 1'000);
    r.step({r.commits()});
  }
  CHECK_FALSE(r.leased());
}

TEST_CASE("one_who_comes_again_and_again_and_never_accepts_loses_its_award") {
  LeasedTo r(false);
  const TimeMs end = r.now + 20 * accept_wait_ms;
  while (r.leased() && r.now < end) {
    r.pass(accept_wait_ms - 1'000);
    r.step({PeerLeft{r.stranger.key()}, PeerCame{r.stranger.key()}});
  }
  CHECK_FALSE(r.leased());
}

TEST_CASE("an_offer_that_contradicts_a_task_that_is_here_already_is_not_worked_on") {
  Farming f;
  const Offer honest = offer_by(f.stranger, 1);
  f.offered(f.stranger, honest, f.stranger.key());
  f.step({f.award(f.stranger, honest, 1, 0)});
  CHECK(all<RunUnit>(f.step({TaskReady{honest.task, f.spec_of(1)}})).size() == 1);
  // The same task, with units that it does not have.
  const KeyPair other = key_of(5);
  f.step({PeerCame{other.key()}, UnitRan{1, true, {}, {}, {}, {}, {}}});
  const Offer lies = offer_by(other, 1'000);
  f.offered(other, lies, other.key());
  const auto effects = f.step({f.award(other, lies, 2, 999)});
  CHECK(all<RunUnit>(effects).empty());
  const auto refusals = said<RefuseMessage>(effects);
  REQUIRE(refusals.size() == 1);
  CHECK(refusals[0].refuse.reason == "offer_mismatch");
}

TEST_CASE("a_flood_of_offers_from_one_key_is_cut_off_and_others_are_still_heard") {
  Farming f;
  std::size_t taken = 0;
  for (TimeMs created = 1; created <= 1'000; ++created) taken += said<BidMessage>(f.offered(f.stranger, offer_by(f.stranger, 1, created), f.stranger.key())).size();
  CHECK(taken == max_offers_of_one);
  const KeyPair other = key_of(6);
  f.step({PeerCame{other.key()}});
  CHECK(said<BidMessage>(f.offered(other, offer_by(other, 1), other.key())).size() == 1);
}

TEST_CASE("hearsay_makes_room_for_the_offer_of_one_who_is_here_and_is_passed_on_in_bounds") {
  Farming f;
  std::size_t known = 0;
  for (int key = 10; known < max_offers_known; ++key) {
    Seed seed{};
    seed[0] = static_cast<std::uint8_t>(key);
    seed[1] = static_cast<std::uint8_t>(key >> 8);
    seed[2] = 1;
    const KeyPair absent = KeyPair::from_seed(seed);
    for (std::size_t i = 0; i < max_offers_of_one && known < max_offers_known; ++i, ++known) f.offered(absent, offer_by(absent, 1, static_cast<TimeMs>(i + 1)), f.stranger.key());
  }
  CHECK(f.farmer.offers_known() == max_offers_known);
  const auto refusals = said<RefuseMessage>(f.offered(key_of(8), offer_by(key_of(8), 1), f.stranger.key()));
  REQUIRE(refusals.size() == 1);
  CHECK(refusals[0].refuse.reason == "busy");
  CHECK(said<BidMessage>(f.offered(f.stranger, offer_by(f.stranger, 1), f.stranger.key())).size() == 1);
  CHECK(f.farmer.offers_known() == max_offers_known);
  // A node that comes hears a bounded part, and that of the requester who is here.
  const auto heard = said<OfferMessage>(f.step({PeerCame{key_of(9).key()}}));
  CHECK(heard.size() == max_offers_passed_on);
  CHECK(std::any_of(heard.begin(), heard.end(), [&](const OfferMessage& m) { return decode_offer(m.offer.body)->requester == f.stranger.key(); }));
}

TEST_CASE("a_vote_is_not_shown_before_as_many_committed_as_the_offer_promised") {
  Farming f;
  const Offer offer = offer_by(f.stranger, 1);
  f.offered(f.stranger, offer, f.stranger.key());
  f.step({f.award(f.stranger, offer, 1, 0)});
  f.step({TaskReady{offer.task, f.spec_of(1)}});
  const auto commits = said<CommitMessage>(f.step({UnitRan{1, true, {}, {}, {}, {}, {}}}));
  REQUIRE(commits.size() == 1);
  const Commit commit = *decode_commit(commits[0].commit.body);
  CommitSet set{commit.award, {{0, {{f.own.key(), commit.units.at(0)}}}}};
  auto shown = [&] { return said<RevealMessage>(f.step({MessageCame{f.stranger.key(), CommitSetMessage{sign_body(f.stranger, commit_set_domain, encode(set))}}})).size(); };
  CHECK(shown() == 0);
  set.units[0][key_of(5).key()] = Hash{};
  CHECK(shown() == 1);
}

TEST_CASE("a_result_that_another_requester_still_waits_for_is_not_dropped") {
  Farming f;
  const KeyPair other = key_of(5);
  f.step({PeerCame{other.key()}});
  const Offer one = offer_by(f.stranger, 1), two = offer_by(other, 1);
  std::uint64_t job = 1;
  for (const auto& [by, offer] : std::vector<std::pair<const KeyPair*, const Offer*>>{{&f.stranger, &one}, {&other, &two}}) {
    f.offered(*by, *offer, by->key());
    f.step({f.award(*by, *offer, static_cast<std::uint8_t>(job), 0), TaskReady{offer->task, f.spec_of(1)}});
    const auto commits = said<CommitMessage>(f.step({UnitRan{job, true, {}, ResultId{}, {}, {}, {}}}));
    REQUIRE(commits.size() == 1);
    const Commit commit = *decode_commit(commits[0].commit.body);
    const CommitSet set{commit.award, {{0, {{f.own.key(), commit.units.at(0)}, {key_of(7).key(), Hash{}}}}}};
    REQUIRE(said<RevealMessage>(f.step({MessageCame{by->key(), CommitSetMessage{sign_body(*by, commit_set_domain, encode(set))}}})).size() == 1);
    ++job;
  }
  auto rejected = [&](const KeyPair& by, std::uint8_t number) {
    AwardId award;
    award.bytes[0] = number;
    Block release;
    release.type = BlockType::release;
    release.key = by.key();
    sign_block(release, by);
    return all<DropResult>(f.step({MessageCame{by.key(), VerdictMessage{sign_body(by, verdict_domain, encode(Verdict{award, {{0, UnitVerdict::dissented}}, encode_block(release)}))}}})).size();
  };
  CHECK(rejected(f.stranger, 1) == 0);
  CHECK(rejected(other, 2) == 1);
}

TEST_CASE("a_farmer_mirrors_one_result_for_an_offer_that_it_worked_for") {
  Farming f;
  const Offer offer = offer_by(f.stranger, 1);
  f.offered(f.stranger, offer, f.stranger.key());
  auto mirrored = [&](std::uint8_t result) {
    Done done;
    done.offer = offer_id(encode(offer));
    done.result.bytes[0] = result;
    return all<MirrorResult>(f.step({MessageCame{f.stranger.key(), DoneMessage{done}}})).size();
  };
  CHECK(mirrored(1) == 0);
  f.step({f.award(f.stranger, offer, 1, 0)});
  CHECK(mirrored(1) == 1);
  CHECK(mirrored(2) == 0);
  CHECK(mirrored(1) == 1);  // said again: the answer may have been lost
}

TEST_CASE("leases_are_bounded") {
  Farming f;
  Offer offer = offer_by(f.stranger, 1'000'000);
  f.offered(f.stranger, offer, f.stranger.key());
  std::size_t accepted = 0;
  std::string reason;
  for (UnitNumber unit = 0; unit < max_leases + 1; ++unit) {
    auto award = f.award(f.stranger, offer, 0, unit);
    Signed& message = std::get<AwardMessage>(award.message).award;
    Award body = *decode_award(message.body);
    body.award.bytes[1] = static_cast<std::uint8_t>(unit);
    body.award.bytes[2] = static_cast<std::uint8_t>(unit >> 8);
    body.price_micro = 0;
    Block hold = *decode_block(body.hold);
    hold.amount = hold.held = 0;
    hold.ref = award_ref(offer.task, body.units, body.award);
    sign_block(hold, f.stranger);
    body.hold = encode_block(hold);
    message = sign_body(f.stranger, award_domain, encode(body));
    const auto effects = f.step({award});
    accepted += said<AcceptMessage>(effects).size();
    for (const auto& refusal : said<RefuseMessage>(effects)) reason = refusal.refuse.reason;
  }
  CHECK(accepted == max_leases);
  CHECK(reason == "busy");
}
