// The frame of one message of every kind: what two versions say to each other. Frames must also survive decode and encode,
// and nothing shorter or longer may pass for one.
#include "core/messages.h"
#include "tests/golden/golden_file.h"

using namespace tnode;

namespace {

template <class T>
T named(const char* text) { return rename_id<T>(sha256(text)); }

std::vector<std::pair<std::string, Message>> sample_messages() {
  Seed seed;
  seed.fill(1);
  const KeyPair key = KeyPair::from_seed(seed);
  const std::array<std::uint8_t, 20> v1 = sha1("a torrent");
  const auto award_id = named<AwardId>("award");

  Offer offer;
  offer.task = named<TaskId>("task");
  offer.v1_hash = v1;
  offer.requester = key.key();
  offer.name = "render-glass";
  offer.endpoint = "127.0.0.1:6881";
  offer.units = 60;
  offer.batch = 10;
  offer.max_price_micro = 2'500'000;
  offer.created_ms = 1'700'000'000'000;
  offer.expires_ms = 1'700'007'200'000;
  offer.run_ms = 300'000;
  offer.draw_commitment = named<Hash>("draw");

  Block hold;
  hold.type = BlockType::hold;
  hold.seq = 1;
  hold.key = key.key();
  hold.amount = hold.held = 5'000'000;
  sign_block(hold, key);
  Award award{named<OfferId>("offer"), award_id, offer.task, named<NodeKey>("farmer"), {0, 1, 255}, 1'000'000, 420'000, encode_block(hold)};

  Vote good{named<ResultId>("result"), named<Hash>("nonce"), {}, {1500, 1400, 10 << 20}};
  Vote bad{named<ResultId>("failure"), named<Hash>("other nonce"), {OutcomeKind::timeout, 0}, {300'000, 299'000, 1 << 20}};
  Extra inlined, plain;
  inlined.inlined = true;
  inlined.files = {{"manifest", false, "d1:ai1ee"}, {"out/run", true, Bytes("\0\xff", 2)}};
  inlined.v1_hash = v1;
  plain.detail = "still ran after 300 s";
  plain.stderr_tail = "frame 3 of 7";

  std::vector<std::pair<std::string, Message>> all;
  all.emplace_back("offer", OfferMessage{sign_body(key, offer_domain, encode(offer))});
  all.emplace_back("bid", BidMessage{{award.offer, 1'000'000, 4, 96, "cgroup2", "debian-12/x86_64"}});
  all.emplace_back("award", AwardMessage{sign_body(key, award_domain, encode(award))});
  all.emplace_back("accept", AcceptMessage{{award_id}});
  all.emplace_back("commit", CommitMessage{sign_body(key, commit_domain, encode(Commit{award_id, {{0, commitment(offer.task, 0, award_id, award.farmer, good)}, {255, commitment(offer.task, 255, award_id, award.farmer, bad)}}}))});
  all.emplace_back("commit-set", CommitSetMessage{sign_body(key, commit_set_domain, encode(CommitSet{award_id, {{0, {{award.farmer, named<Hash>("one")}, {key.key(), named<Hash>("two")}}}}}))});
  all.emplace_back("reveal", RevealMessage{sign_body(key, reveal_domain, encode(Reveal{award_id, {{0, good}, {255, bad}}})), {{{0, inlined}, {255, plain}}}});
  all.emplace_back("verdict", VerdictMessage{sign_body(key, verdict_domain, encode(Verdict{award_id, {{0, UnitVerdict::accepted}, {1, UnitVerdict::dissented}, {2, UnitVerdict::disputed}, {3, UnitVerdict::dropped}}, encode_block(hold)}))});
  all.emplace_back("credit", CreditMessage{{award_id, encode_block(hold)}});
  all.emplace_back("done", DoneMessage{{award.offer, named<ResultId>("whole"), v1, 123'456, named<Hash>("proof"), v1}});
  all.emplace_back("ask-certificate", AskCertificateMessage{{named<ResultId>("whole")}});
  all.emplace_back("certificate", CertificateAtMessage{{named<ResultId>("whole"), named<Hash>("proof"), v1}});
  all.emplace_back("mirrored", MirroredMessage{{named<ResultId>("whole")}});
  all.emplace_back("payment", PaymentMessage{{encode_block(hold)}});
  all.emplace_back("fraud", FraudMessage{{{encode_block(hold), encode_block(hold)}}});
  all.emplace_back("ask-blocks", AskBlocksMessage{{1023}});
  all.emplace_back("blocks", BlocksMessage{{std::vector<Bytes>(max_blocks_per_message, encode_block(hold))}});
  all.emplace_back("close", CloseMessage{sign_body(key, close_domain, encode(Close{award.offer}))});
  all.emplace_back("refuse", RefuseMessage{{named<Hash>("award"), "over_line", "we let a requester be at most 1000 credits below zero"}});
  return all;
}

}  // namespace

TEST_CASE("frames_of_known_messages_never_change") {
  std::ostringstream lines;
  lines << "# message, frame\n";
  for (const auto& [name, message] : sample_messages()) lines << name << ' ' << to_hex(encode_message(message)) << '\n';
  compare_with_golden("messages.txt", lines.str());
}

TEST_CASE("every_kind_of_message_is_pinned") { CHECK(sample_messages().size() == std::variant_size_v<Message>); }

TEST_CASE("a_frame_decodes_to_the_message_that_made_it") {
  for (const auto& [name, message] : sample_messages()) {
    INFO(name);
    const Bytes frame = encode_message(message);
    CHECK(frame.size() < (16u << 10));
    auto again = decode_message(frame);
    if (!again) FAIL(again.error().message);
    CHECK(again->index() == message.index());
    CHECK(encode_message(*again) == frame);
    CHECK_FALSE(decode_message(frame + "e").ok());
    for (std::size_t cut = 0; cut < frame.size(); cut += 1 + frame.size() / 64) CHECK_FALSE(decode_message(frame.substr(0, cut)).ok());
  }
}

TEST_CASE("ids_and_hashes_over_messages_never_change") {
  const auto messages = sample_messages();
  std::ostringstream lines;
  lines << "# what, hash\n";
  const auto& offer = std::get<OfferMessage>(messages[0].second).offer;
  lines << "offer-id " << to_hex(offer_id(offer.body)) << '\n';
  auto award = decode_award(std::get<AwardMessage>(messages[2].second).award.body);
  REQUIRE(award.ok());
  lines << "award-ref " << to_hex(award_ref(award->task, award->units, award->award)) << '\n';
  auto reveal = decode_reveal(std::get<RevealMessage>(messages[6].second).reveal.body);
  REQUIRE(reveal.ok());
  lines << "commitment " << to_hex(commitment(award->task, 0, award->award, award->farmer, reveal->units.at(0))) << '\n';
  compare_with_golden("message_hashes.txt", lines.str());
}

TEST_CASE("a_commitment_hides_behind_every_part_of_the_vote") {
  const Vote vote{named<ResultId>("r"), named<Hash>("n"), {}, {1, 2, 3}};
  const auto task = named<TaskId>("t");
  const auto award = named<AwardId>("a");
  const auto farmer = named<NodeKey>("f");
  const Hash base = commitment(task, 0, award, farmer, vote);
  CHECK(commitment(named<TaskId>("u"), 0, award, farmer, vote) != base);
  CHECK(commitment(task, 1, award, farmer, vote) != base);
  CHECK(commitment(task, 0, named<AwardId>("b"), farmer, vote) != base);
  CHECK(commitment(task, 0, award, named<NodeKey>("g"), vote) != base);
  Vote other = vote;
  other.result = named<ResultId>("s");
  CHECK(commitment(task, 0, award, farmer, other) != base);
  other = vote;
  other.nonce = named<Hash>("o");
  CHECK(commitment(task, 0, award, farmer, other) != base);
  other = vote;
  other.outcome.exit_code = 1;
  CHECK(commitment(task, 0, award, farmer, other) != base);
}

TEST_CASE("what_an_offer_may_leave_out_is_pinned_and_has_one_spelling") {
  Offer offer = *decode_offer(std::get<OfferMessage>(sample_messages()[0].second).offer.body);
  std::ostringstream lines;
  lines << "# what is set, body\n";
  offer.adaptive = true;
  lines << "adaptive " << to_hex(encode(offer)) << '\n';
  offer.warm = "python3";
  lines << "adaptive-warm " << to_hex(encode(offer)) << '\n';
  Offer with_runtime = offer;
  with_runtime.runtime_peers = {"10.9.0.4:6881", "farm.example:1"};
  lines << "adaptive-warm-peers " << to_hex(encode(with_runtime)) << '\n';
  compare_with_golden("offers.txt", lines.str());
  CHECK(decode_offer(encode(with_runtime))->runtime_peers == with_runtime.runtime_peers);
  with_runtime.runtime_peers.assign(max_runtime_peers + 1, "a:1");
  CHECK_FALSE(decode_offer(encode(with_runtime)).ok());
  with_runtime.runtime_peers = {""};
  CHECK_FALSE(decode_offer(encode(with_runtime)).ok());
  const Bytes body = encode(offer);
  auto again = decode_offer(body);
  REQUIRE(again.ok());
  CHECK(again->adaptive);
  CHECK(again->warm == "python3");
  Bytes zero = body;
  zero.replace(zero.find("8:adaptivei1e"), 13, "8:adaptivei0e");
  CHECK_FALSE(decode_offer(zero).ok());
}

TEST_CASE("a_bid_by_cpu_time_is_pinned_and_one_without_says_nothing_of_it") {
  Bid bid = std::get<BidMessage>(sample_messages()[1].second).bid;
  bid.cpu_second_micro = 1000;
  const Bytes frame = encode_message(BidMessage{bid});
  compare_with_golden("bids.txt", "# what is set, frame\ncpu-price " + to_hex(frame) + "\n");
  auto again = decode_message(frame);
  REQUIRE(again.ok());
  CHECK(std::get<BidMessage>(*again).bid.cpu_second_micro == 1000);
  Bytes zero = frame;
  zero.replace(zero.find("9:cpu pricei1000e"), 17, "9:cpu pricei0e");
  CHECK_FALSE(decode_message(zero).ok());
}
